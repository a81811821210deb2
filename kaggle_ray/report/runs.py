"""The list of runs, as a table, and the one of them that a person means."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from kaggle_ray.errors import ConfigError, KaggleRayError, suggest
from kaggle_ray.report.collect import board_of
from kaggle_ray.reporters.texts import one_line, plain, score_text
from kaggle_ray.store.opening import list_runs, open_run
from kaggle_ray.store.run import RunStore


def runs_table(runs: str | Path) -> Table:
    """Return one row per run below ``runs``; one that cannot be read says why."""
    table = Table(title=plain(f"Runs in {runs}"))
    for name in ("competition", "run", "trials", "metric", "best experiment", "score", "ensemble (honest)"):
        table.add_column(name, overflow="fold")
    for store in list_runs(runs):
        try:
            cells = _cells(store)
        except KaggleRayError as error:
            cells = ["", "", one_line(str(error)), "", ""]
        except Exception as error:  # whatever is wrong with one run, the others are shown
            cells = ["", "", one_line(f"cannot be read: {type(error).__name__}: {error}"), "", ""]
        table.add_row(*map(plain, (store.competition_name, store.run_id, *cells)))
    return table


def find_run(named: str | None, runs: str | Path) -> RunStore:
    """Return the run that a person means: a run folder, the id of a run below ``runs``, or a competition's latest run.

    Args:
        named: what was typed; None is the latest run of all.
        runs: folder of the run folders.

    Raises:
        ConfigError: there is no such run.
    """
    if named is not None and "/" in named and (run := open_run(named)).record() is not None:
        return run
    known = list_runs(runs)
    meant = [each for each in known if named in (None, each.run_id, each.competition_name)]
    if not meant:
        names = {name for each in known for name in (each.run_id, each.competition_name)}
        what = f"there is no run {named!r}{suggest(named, names)}" if named and names else "there is no run."
        raise ConfigError(f"{runs}: {what} Name its folder, or the folder of the run folders with --runs.")
    return max(meant, key=lambda run: run.diary.written_at() or run.begun_at())


def _cells(store: RunStore) -> list[str]:
    """Return what there is to say of a run: trials, metric, best experiment, its score, and the ensemble's."""
    board = board_of(store)
    experiments = [row for row in board.rows if row.kind == "experiment"]
    best = board.best_experiment
    return [
        f"{sum(row.folds_done for row in experiments)}/{sum(row.num_folds for row in experiments)}",
        board.metric,
        best.name if best else "",
        score_text(best.score) if best else "",
        score_text(board.submitted.score) if board.submitted else "",
    ]
