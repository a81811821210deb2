"""The report of a run: one HTML page that needs nothing but a browser, now and in ten years."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from kaggle_ray.counted import counted
from kaggle_ray.report.analysis import Analysis
from kaggle_ray.report.analysis_page import analysis_figures, analysis_sections
from kaggle_ray.report.board import BestExperiment, Board, BoardRow
from kaggle_ray.report.confusion import confusion_table
from kaggle_ray.report.figures import (
    MOST_DRAWN,
    NUM_SHOWN,
    SCORE,
    TRAIN_LOSS,
    TRAIN_SCORE,
    VALID_LOSS,
    Figure,
    Folds,
    Mark,
    fold_scores,
    learning_curves,
    marks,
    of_metric,
)
from kaggle_ray.report.hyperparameters import hyperparameters_section
from kaggle_ray.report.kaggle_scores import FIGURE, KaggleScore, kaggle_scores_figure, kaggle_scores_section
from kaggle_ray.report.page import definitions, document, marked, section, table, tiles
from kaggle_ray.report.view_gains import ViewGain, views_section
from kaggle_ray.reporters.texts import duration_text, score_or_so_far_text, score_text
from kaggle_ray.types import IntArray, JsonValue

_HONEST_NOTE = """\
<p class="note">Every score here is honest unless it says otherwise: each training row is predicted by the one model
that never saw it, and ensemble weights are refitted without the fold they are scored on. The test rows are predicted by
the mean of all folds' models, which is a little better than one model, so the honest score is a little pessimistic.
<em>Optimism</em> is how much better the ensemble looks on the rows that chose its weights: a bias, not a gain.</p>"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportData:
    """All that the report shows."""

    competition: str
    run_id: str
    command: str
    """The command line that reproduces the run."""
    metric_name: str
    greater_is_better: bool
    board: Board
    histories: Mapping[str, Folds]
    """Experiment name -> per fold its epochs; an empty fold has not been trained."""
    fold_scores: Mapping[str, Sequence[float | None]]
    """Experiment name -> per fold the score of what its trial predicts; None where it is not finished."""
    confusion: IntArray | None
    """(C, C) counts of the out-of-fold ensemble; rows are the truth. None where the task has no classes."""
    class_names: Sequence[str]
    """(C,) names of the classes, in the order of the counts."""
    experiments: Mapping[str, Mapping[str, JsonValue]]
    """Experiment name -> hyperparameters."""
    facts: Mapping[str, str]
    """Hardware, versions and the like: label -> text."""
    failures: Mapping[str, str]
    """Experiment name -> why it is not complete."""
    kaggle_scores: Sequence[KaggleScore] = ()
    """The submissions that Kaggle has scored."""
    analysis: Analysis | None = None
    """What there is to tell of the answers beyond their score; None where the run keeps no rows."""
    views: Mapping[str, Sequence[ViewGain]] = field(default_factory=dict)
    """Experiment name -> what each view of its test-time augmentation is worth, of those that tell it."""
    networks: Mapping[str, str] = field(default_factory=dict)
    """Experiment name -> how large its network is, in words, of those of which a trial is committed."""


def render_report(data: ReportData) -> str:
    """Return the page: about 1.5 MB, what draws the figures included, and never a request to anywhere."""
    ranked = [row.name for row in data.board.rows if row.kind == "experiment"]
    mark_of = marks(dict.fromkeys([*ranked, *data.histories, *data.experiments]))
    drawn = [name for name in mark_of if name in data.histories][:MOST_DRAWN]
    marks_drawn = {name: mark_of[name] for name in drawn}
    figures = _figures(data, marks_drawn) | analysis_figures(data.analysis, data.histories, marks_drawn)
    sections = [
        _header(data),
        _tiles(data),
        _HONEST_NOTE,
        section("Leaderboard", _leaderboard(data.board, mark_of)),
        kaggle_scores_section(data.kaggle_scores),
        _curves_section(data, marks_drawn),
        _fold_scores_section(data),
        _confusion_section(data),
        analysis_sections(data.analysis, data.histories),
        views_section(data.views, mark_of),
        _failures_section(data),
        _notes_section(data),
        hyperparameters_section(data.experiments, data.networks, mark_of),
        _facts_section(data),
    ]
    body = "\n".join(section for section in sections if section)
    return document(f"{data.competition} · {data.run_id}", body, figures)


def _figures(data: ReportData, mark_of: Mapping[str, Mark]) -> dict[str, Figure]:
    """Return the id of the page's element -> the figure to draw in it, of the experiments that have a mark."""
    figures: dict[str, Figure] = {}
    if data.kaggle_scores:
        figures[FIGURE] = kaggle_scores_figure(data.kaggle_scores, metric=data.metric_name)
    if data.histories:
        drawn = {
            "loss": (VALID_LOSS, TRAIN_LOSS, "loss"),
            "score": (SCORE, TRAIN_SCORE, data.metric_name),
            **{f"metric-{number}": (*of_metric(name), name) for number, name in enumerate(_further_metrics(data))},
        }
        for name, (solid, dashed, title) in drawn.items():
            figures[name] = learning_curves(data.histories, mark_of, solid=solid, dashed=dashed, title=title)
        figures["fold-scores"] = fold_scores(data.fold_scores, mark_of, metric=data.metric_name)
    return figures


def _further_metrics(data: ReportData) -> list[str]:
    """Return the names of what the epochs were measured by beside the metric that decides."""
    epochs = (epoch for folds in data.histories.values() for fold in folds for epoch in fold)
    return list(dict.fromkeys(name for epoch in epochs for name in epoch.metrics))


def _header(data: ReportData) -> str:
    return (
        f'<header><p class="eyebrow">kaggle_ray report</p><h1>{escape(data.competition)}</h1>'
        f'<p class="sub">run <code>{escape(data.run_id)}</code></p></header>'
    )


def _tiles(data: ReportData) -> str:
    board = data.board
    experiments = [row for row in board.rows if row.kind == "experiment"]
    best = {row.kind: row for row in reversed(board.rows) if row.score is not None}
    ensemble, single, baseline = board.submitted, board.best_experiment, best.get("baseline")
    optimism = board.optimism(ensemble) if ensemble else None
    num_folds = max((row.num_folds for row in experiments), default=0)
    num_done, num_trials = sum(row.folds_done for row in experiments), sum(row.num_folds for row in experiments)
    shown = [
        (
            "Ensemble, honest",
            score_text(ensemble.score if ensemble else None) or "none",
            _of_ensemble(ensemble.standard_error, optimism) if ensemble else "",
        ),
        (
            "Best single",
            score_text(single.score) if single else "none",
            _of_single(single) if single else "no experiment is complete and has an honest score",
        ),
        (
            "Metric",
            data.metric_name,
            f"{'higher' if data.greater_is_better else 'lower'} is better"
            + (f"; a constant gets {score_text(baseline.score)}" if baseline else ""),
        ),
        (
            "Experiments \N{MULTIPLICATION SIGN} folds",
            f"{len(experiments)} \N{MULTIPLICATION SIGN} {num_folds}",
            f"{num_done} of {counted(num_trials, 'trial')} done",
        ),
        (
            "Trial time",
            duration_text(sum(row.duration_s for row in experiments)),
            f"summed over {counted(num_done, 'trial')}, some of them at once",
        ),
    ]
    return tiles(shown)


def _of_ensemble(standard_error: float | None, optimism: float | None) -> str:
    named = {"standard error": standard_error, "optimism": optimism}
    return "; ".join(f"{name} {score_text(value)}" for name, value in named.items() if value is not None)


def _of_single(best: BestExperiment) -> str:
    chosen = f", the best of {best.num_candidates}, chosen on other rows than it is scored on"
    return f"{best.name}{chosen if best.num_candidates > 1 else ''}"


def _leaderboard(board: Board, mark_of: Mapping[str, Mark]) -> str:
    head = ["#", "name", escape(board.metric), "± folds", "optimism", "weight", "folds", "epochs", "time"]
    rows = []
    for place, row in enumerate(board.rows, start=1):
        weight = ""
        if row.weight is not None:
            weight = (
                f'<span class="bar" style="width:{max(0.0, min(1.0, row.weight)) * 3.5:.2f}em"></span>{row.weight:.3f}'
            )
        cells = [
            str(place) if row.score is not None else "",
            _board_name(row, mark_of),
            f"<b>{score_text(row.score)}</b>" if row.score is not None else score_or_so_far_text(row),
            score_text(row.score_std),
            score_text(board.optimism(row)),
            weight,
            f"{row.folds_done}/{row.num_folds}" if row.num_folds else "",
            str(row.epochs or ""),
            duration_text(row.duration_s) if row.duration_s else "",
        ]
        rows.append((row.kind, cells))
    return table(head, rows, css="board")


def _board_name(row: BoardRow, mark_of: Mapping[str, Mark]) -> str:
    if row.kind == "experiment":
        return marked(row.name, mark_of)
    return f'{escape(row.name)} <span class="tag">{row.kind}</span>'


def _curves_section(data: ReportData, mark_of: Mapping[str, Mark]) -> str:
    if not mark_of:
        return ""
    chips = "".join(
        f'<button type="button" class="chip" data-experiment="{mark_of[name].index}"'
        f' aria-pressed="{"true" if mark_of[name].index < NUM_SHOWN else "false"}">{marked(name, mark_of)}</button>'
        for name in mark_of
    )
    top = f'<button type="button" class="pick" data-top="{NUM_SHOWN}">best {NUM_SHOWN}</button>'
    picks = (top if len(mark_of) > NUM_SHOWN else "") + (
        '<button type="button" class="pick" data-top="all">all</button>'
        '<button type="button" class="pick" data-top="0">none</button>'
    )
    names = ["loss", "score", *(f"metric-{number}" for number, _ in enumerate(_further_metrics(data)))]
    plots = "".join(f'<div class="plot" id="{name}"></div>' for name in names)
    return section(
        "Learning curves",
        '<p class="hint">Solid: mean over the folds on their validation rows, predicted as the epoch was trained,'
        " without test-time augmentation; the loss is the task's plain one. Band: from the lowest fold to the highest."
        " Dashed: the training rows as they pass, with augmentation; of the loss, what is minimised. Tap a name to show"
        f" or hide it.{_left_out(data)}</p>"
        f'<div class="chips">{picks}{chips}</div>'
        f'<div class="pair">{plots}</div>',
    )


def _left_out(data: ReportData) -> str:
    """Return how many experiments are not drawn, so that the page opens fast; nothing where all are."""
    if len(data.histories) <= MOST_DRAWN:
        return ""
    return (
        f" Drawn are the best {MOST_DRAWN} of {counted(len(data.histories), 'experiment')}, here and by fold;"
        " kaggle_ray.open_run(RUN).history() has all."
    )


def _fold_scores_section(data: ReportData) -> str:
    if not data.histories:
        return ""
    return section(
        "Scores by fold",
        '<p class="hint">One mark per finished fold: the score of what its trial predicts, with test-time augmentation,'
        " by the rule that needs no fitting; the bar is their mean where all folds are done. The leaderboard scores the"
        " same predictions by rules that are fitted on other folds, and all rows at once where the metric is pooled;"
        " with epoch_rule other_folds, those of each fold's chosen epoch.</p>"
        '<div class="plot" id="fold-scores"></div>',
    )


def _confusion_section(data: ReportData) -> str:
    if data.confusion is None:
        return ""
    return section("Confusion matrix", confusion_table(data.confusion, data.class_names))


def _failures_section(data: ReportData) -> str:
    reasons = {
        row.name: f"{row.folds_done} of {counted(row.num_folds, 'fold')} done" + (f": {row.error}" if row.error else "")
        for row in data.board.rows
        if row.kind == "experiment" and (row.error or row.folds_done < row.num_folds)
    } | dict(data.failures)
    items = "".join(f"<li><b>{escape(name)}</b> {escape(reason)}</li>" for name, reason in reasons.items())
    return section("Failed or incomplete", f'<ul class="failures">{items}</ul>') if items else ""


def _notes_section(data: ReportData) -> str:
    notes = {row.name: row.notes for row in data.board.rows if row.notes}
    items = "".join(f"<li><b>{escape(name)}</b> {escape(text)}</li>" for name, text in notes.items())
    return section("Notes", f"<ul>{items}</ul>") if items else ""


def _facts_section(data: ReportData) -> str:
    return section("How it ran", f"<pre>{escape(data.command)}</pre>{definitions(data.facts)}")
