"""Experiments across runs, users and competitions: chosen, sorted, as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from kaggle_ray.errors import KaggleRayError
from kaggle_ray.report.cells import Cell, Cells, check_columns, columns_of, select_rows
from kaggle_ray.report.collect import experiment_rows
from kaggle_ray.reporters.events import BoardRow
from kaggle_ray.reporters.texts import duration_text, one_line, plain, score_text
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import JsonValue, canonical_json

_FIGURES: Mapping[str, Callable[[BoardRow], Cell]] = {
    "score": lambda row: row.score,
    "std": lambda row: row.score_std,
    "weight": lambda row: row.weight,
    "folds": lambda row: row.folds_done,
    "epochs": lambda row: row.epochs,
    "seconds": lambda row: row.duration_s,
    "parameters": lambda row: row.num_parameters,
    "layers": lambda row: row.num_layers,
    "flops": lambda row: row.flops,
}
_SHOWN = (
    "experiment",
    "score",
    "std",
    "folds",
    "epochs",
    "seconds",
    "user",
    "run",
    "competition",
    "metric",
    "plan",
    "notes",
)
"""Columns of the table, where nobody chooses; one that says the same in every row is left out."""
_ALWAYS = {"experiment", "score"}
_TITLES = {"std": "± folds", "seconds": "time", "plan": "fold plan"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """An experiment of one of several runs."""

    row: BoardRow
    greater_is_better: bool
    cells: Cells
    """Column -> value: what it is, its figures, metrics beside the one that decides, then its hyperparameters."""

    def better_first(self) -> tuple[str, str, bool, float]:
        """Return what sorts the experiments of a competition, the best first, those without a score last."""
        score = self.row.score
        has_none = score is None or not math.isfinite(score)
        rank = 0.0 if score is None or has_none else -score if self.greater_is_better else score
        return str(self.cells["competition"]), str(self.cells["metric"]), has_none, rank


def compared(runs: Iterable[tuple[str, RunStore]]) -> tuple[list[Compared], list[str]]:
    """Return the experiments of runs, and a line for each run that cannot be read.

    Args:
        runs: whose each is, empty where nobody knows, and its store.
    """
    found, errors = list[Compared](), list[str]()
    for user, store in runs:
        try:
            found += _of_run(store, user)
        except KaggleRayError as error:
            errors.append(one_line(str(error)))
    return found, errors


def _of_run(store: RunStore, user: str) -> list[Compared]:
    rows, record = experiment_rows(store), store.record()
    assert record is not None, "it has rows"
    found: list[Compared] = []
    for experiment in store.experiments():
        row = rows[experiment.experiment_id]
        cells: dict[str, Cell] = {
            "experiment": experiment.name,
            "user": user,
            "run": store.run_id,
            "competition": record.competition,
            "metric": record.metric,
            "plan": record.folds_digest,
            "id": experiment.experiment_id,
            "notes": row.notes,
            **{name: of(row) for name, of in _FIGURES.items()},
        }
        cells |= {name: score for name, score in row.metrics.items() if name not in cells}
        values = {name: _cell(value) for name, value in experiment.hyperparameters.items() if name not in cells}
        found.append(Compared(row=row, greater_is_better=record.greater_is_better, cells=cells | values))
    return found


def chosen(rows: Iterable[Compared], *, where: Sequence[str] = (), sort: str | None = None) -> list[Compared]:
    """Return the experiments that meet all conditions, as ``select_rows`` does; by competition, the best first."""
    return select_rows(sorted(rows, key=Compared.better_first), where=where, sort=sort)


def comparison_table(rows: Sequence[Compared], *, columns: Sequence[str] = (), errors: Sequence[str] = ()) -> Table:
    """Return the experiments as a table; what all of them have in common is said above it.

    Args:
        rows: in order.
        columns: to show beside the experiment, instead of those that differ.
        errors: what could not be read, for below.
    """
    check_columns(columns, columns_of(rows) or columns)
    shown = [name for name in _SHOWN if name in _ALWAYS or len({row.cells[name] for row in rows}) > 1]
    in_common = [name for name in ("competition", "metric", "user", "run") if name not in shown and rows]
    said = [f"{name} {rows[0].cells[name]}" for name in in_common if rows[0].cells[name]]
    table = Table(
        title=plain(", ".join(said)) if said else None,
        box=box.SIMPLE_HEAD,
        caption=Text("\n", style="red").join([plain(one_line(each)) for each in errors]) if errors else None,
        caption_justify="left",
        padding=(0, 1, 0, 0),
    )
    for name in (drawn := ["experiment", *columns] if columns else shown):
        is_figure = name in _FIGURES or all(isinstance(row.cells.get(name), float | int) for row in rows)
        table.add_column(
            plain(_TITLES.get(name, name)),
            justify="right" if is_figure else "left",
            no_wrap=is_figure,
            overflow="fold",
        )
    for number, row in enumerate(rows):
        is_last = number + 1 == len(rows) or rows[number + 1].cells["competition"] != row.cells["competition"]
        table.add_row(*(plain(_text(name, row)) for name in drawn), end_section=is_last)
    return table


def _cell(value: JsonValue) -> Cell:
    if value is None or (isinstance(value, float | int) and not isinstance(value, bool)):
        return value
    return value if isinstance(value, str) else canonical_json(value)


def _text(name: str, row: Compared) -> str:
    value = row.cells.get(name)
    if name in ("score", "std"):
        return score_text(row.row.score if name == "score" else row.row.score_std)
    if name == "folds":
        return f"{row.row.folds_done}/{row.row.num_folds}"
    if name == "seconds":
        return duration_text(row.row.duration_s) if row.row.duration_s else ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)
