"""The list of runs, as a table."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from kaggle_ray.errors import KaggleRayError
from kaggle_ray.report.collect import board_of
from kaggle_ray.reporters.table import score_text
from kaggle_ray.store.run import list_runs


def runs_table(root: Path) -> Table:
    """Return one row per run below ``root``; one that cannot be read says why."""
    table = Table(title=f"Runs in {root}")
    for name in ("competition", "run", "trials", "metric", "best experiment", "score", "ensemble (honest)"):
        table.add_column(name, overflow="fold")
    for store in list_runs(root):
        competition, run_id = store.run_dir.parent.name, store.run_dir.name
        try:
            board = board_of(store)
        except KaggleRayError as error:
            table.add_row(competition, run_id, "", "", str(error), "", "")
            continue
        experiments = [row for row in board.rows if row.kind == "experiment"]
        best = board.best_experiment
        table.add_row(
            competition,
            run_id,
            f"{sum(row.folds_done for row in experiments)}/{sum(row.num_folds for row in experiments)}",
            board.metric,
            best.name if best else "",
            score_text(best.score) if best else "",
            score_text(board.submitted.score) if board.submitted else "",
        )
    return table
