"""The list of runs: how far each is, and what it has come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from kaggle_ray.errors import KaggleRayError
from kaggle_ray.report.cells import Cell, Cells
from kaggle_ray.report.collect import board_of
from kaggle_ray.reporters.texts import one_line, plain, score_text
from kaggle_ray.store.opening import list_runs
from kaggle_ray.store.run import RunStore

_SHOWN = ("competition", "run", "trials", "metric", "score", "ensemble", "best experiment")
_FIGURES = {"trials", "score", "ensemble"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedRun:
    """A run in the list."""

    cells: Cells
    """Column -> value; of a run that cannot be read its place alone."""
    error: str | None = None
    """Why it cannot be read, in one line."""


def listed_runs(runs: str | Path) -> list[ListedRun]:
    """Return the runs below ``runs``, sorted by place."""
    return [_listed(store) for store in list_runs(runs)]


def runs_table(runs: Sequence[ListedRun], *, title: str) -> Table:
    """Return one row per run, and a line beneath for each that cannot be read.

    The name of the best experiment takes as many lines as it needs, so that nothing else is cut.
    """
    table = Table(title=plain(title), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption_justify="left")
    for name in _SHOWN:
        table.add_column(name, justify="right" if name in _FIGURES else "left", no_wrap=name != "best experiment")
    for run in runs:
        table.add_row(*(plain(_text(name, run.cells)) for name in _SHOWN))
    errors = [plain(run.error) for run in runs if run.error]
    table.caption = Text("\n", style="red").join(errors) if errors else None
    return table


def _listed(store: RunStore) -> ListedRun:
    place: dict[str, Cell] = {"competition": store.competition_name, "run": store.run_id}
    try:
        return ListedRun(cells={**place, **_cells(store)})
    except KaggleRayError as error:
        return ListedRun(cells=place, error=one_line(str(error)))
    except Exception as error:  # whatever is wrong with one run, the others are shown
        return ListedRun(
            cells=place, error=one_line(f"{store.location}: cannot be read: {type(error).__name__}: {error}")
        )


def _cells(store: RunStore) -> Cells:
    board = board_of(store)
    experiments = [row for row in board.rows if row.kind == "experiment"]
    best = board.best_experiment
    return {
        "begun": datetime.fromtimestamp(store.begun_at()).astimezone().isoformat(timespec="seconds"),
        "experiments": len(experiments),
        "done": sum(row.folds_done for row in experiments),
        "trials": sum(row.num_folds for row in experiments),
        "metric": board.metric,
        "score": best.score if best else None,
        "ensemble": board.submitted.score if board.submitted else None,
        "best experiment": best.name if best else None,
        "location": store.location,
    }


def _text(name: str, cells: Cells) -> str:
    value = cells.get(name)
    if name == "trials" and value is not None:
        return f"{cells['done']}/{value}"
    if name in ("score", "ensemble") and isinstance(value, float):
        return score_text(value)
    return "" if value is None else str(value)
