"""What was found, as rich tables that fit a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kaggle_ray.reporters.elasticsearch.queries import Experiment, Run, Source
from kaggle_ray.reporters.texts import duration_text, known_score, one_line, plain
from kaggle_ray.types import JsonValue, canonical_json

Column = Callable[[Source], str]

_SCORE: dict[str, Column] = {"score": lambda each: _score_text(each.get("score"), each.get("score_of"))}
_EXPERIMENT: dict[str, Column] = {
    "experiment": lambda each: str(each["experiment_id"]),
    "name": lambda each: one_line(str(each["name"])),
    "folds": lambda each: f"{each.get('folds_done', 0)}/{each.get('num_folds', 0)}",
}
_OF_ALL: dict[str, Column] = {
    "competition": lambda each: str(each["competition"]),
    "user": lambda each: str(each["user"]),
    "run": lambda each: str(each["run_id"]),
}
_METRIC: dict[str, Column] = {"metric": lambda each: str(each.get("metric") or "")}
_TRIAL: dict[str, Column] = {
    "trained on": lambda each: _trained_on(str(each["rows"])),
    "status": lambda each: str(each["status"]),
    "epochs": lambda each: f"{each.get('epoch') or 0}/{each.get('epochs') or '?'}",
    "time": lambda each: _duration_text(each.get("duration_s")),
    "why": lambda each: one_line(str(each.get("error") or each.get("reason") or "")),
}


def experiments_table(experiments: Sequence[Source]) -> RenderableType:
    """Return experiments of any runs, one a row, as they are sorted."""
    if not experiments:
        return Text("No experiments.")
    return Group(_table(experiments, {**_SCORE, **_METRIC, **_EXPERIMENT, **_OF_ALL}), _footnote(experiments))


def run_view(found: Run) -> RenderableType:
    """Return a run: how far it is, its ensemble, its experiments."""
    run = found.run
    parts: list[RenderableType] = [
        _title(f"{run['competition']}  run {run['run_id']}", f"{run['user']} on {run['host']}"),
        _facts(
            {
                "status": run.get("status"),
                "began": _time_text(run.get("started_at")),
                "ended": _time_text(run.get("ended_at")),
                "metric": run.get("metric"),
                "place": run.get("run_dir"),
                "go on": run.get("how_to_resume") if run.get("status") != "complete" else None,
                "error": run.get("error"),
                "submission": run.get("submission"),
                **{f"ensemble {each['method']}": _score_text(each.get("score")) for each in found.ensembles},
            }
        ),
    ]
    if found.experiments:
        parts += [_table(found.experiments, {**_SCORE, **_EXPERIMENT}), _footnote(found.experiments)]
    return Group(*parts)


def experiment_view(found: Experiment) -> RenderableType:
    """Return an experiment of a run: its score, its hyperparameters, its trials."""
    experiment = found.experiment
    hyperparameters = experiment.get("hyperparameters") or {}
    assert isinstance(hyperparameters, Mapping)
    whose = f"{experiment['experiment_id']}  {experiment['competition']}  run {experiment['run_id']}"
    parts: list[RenderableType] = [
        _title(one_line(str(experiment["name"])), f"{whose}  {experiment['user']} on {experiment['host']}"),
        _facts(
            {
                "metric": experiment.get("metric"),
                "score": _score_text(experiment.get("score"), experiment.get("score_of")),
                "± folds": _score_text(experiment.get("score_std")),
                "weight": experiment.get("weight"),
                "time": _duration_text(experiment.get("duration_s")),
                "error": experiment.get("error"),
            }
        ),
        Text(),
        _facts({name: canonical_json(value) for name, value in hyperparameters.items()}),
    ]
    if found.trials:
        parts.append(_table(found.trials, {**_SCORE, **_TRIAL}))
    return Group(*parts)


def _table(rows: Sequence[Source], columns: Mapping[str, Column]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in columns:
        is_number = name in ("score", "folds", "epochs", "time")
        table.add_column(name, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    for row in rows:
        table.add_row(*(plain(draw(row)) for draw in columns.values()))
    return table


def _facts(facts: Mapping[str, JsonValue]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts.items():
        if value not in (None, ""):
            grid.add_row(plain(name), plain(one_line(str(value))))
    return grid


def _title(text: str, whose: str) -> Text:
    return Text.assemble(plain(text).append(f"\n{whose}\n", style="dim"))


def _trained_on(rows: str) -> str:
    return "all rows" if rows == "full" else rows.replace("fold", "all but fold ")


def _footnote(experiments: Sequence[Source]) -> Text:
    is_needed = any(each.get("score_of") == "mean of folds" for each in experiments)
    return Text("~ mean of the folds: the run has not ended" if is_needed else "", style="dim")


def _score_text(score: JsonValue, of: JsonValue = None) -> str:
    if not isinstance(score, int | float):
        return ""
    return ("~" if of == "mean of folds" else "") + known_score(score)


def _duration_text(seconds: JsonValue) -> str:
    return duration_text(seconds) if isinstance(seconds, int | float) and seconds else ""


def _time_text(date: JsonValue) -> str:
    return f"{datetime.fromisoformat(date).astimezone():%Y-%m-%d %H:%M}" if isinstance(date, str) else ""
