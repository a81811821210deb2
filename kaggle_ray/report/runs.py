"""The list of runs, as a table, and the one of them that a person means."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from kaggle_ray.errors import ConfigError, KaggleRayError, suggest
from kaggle_ray.report.collect import board_of
from kaggle_ray.reporters.texts import one_line, plain, score_text
from kaggle_ray.store.opening import list_runs, open_run
from kaggle_ray.store.run import RunStore


def runs_table(runs: str | Path) -> Table:
    """Return one row per run below ``runs``, and a line beneath for each that cannot be read.

    The name of the best experiment takes as many lines as it needs, so that nothing else is cut.
    """
    table = Table(title=plain(f"Runs in {runs}"), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption_justify="left")
    for name in ("competition", "run", "trials", "metric", "score", "ensemble", "best experiment"):
        is_figure = name in ("trials", "score", "ensemble")
        table.add_column(name, justify="right" if is_figure else "left", no_wrap=name != "best experiment")
    errors = list[Text]()
    for store in list_runs(runs):
        names, cells = (store.competition_name, store.run_id), [""] * 5
        try:
            cells = _cells(store)
        except KaggleRayError as error:
            errors.append(plain(one_line(str(error))))
        except Exception as error:  # whatever is wrong with one run, the others are shown
            errors.append(plain(one_line(f"{store.location}: cannot be read: {type(error).__name__}: {error}")))
        table.add_row(*map(plain, (*names, *cells)))
    table.caption = Text("\n", style="red").join(errors) if errors else None
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


def place_named(named: str, runs: str | Path) -> str:
    """Return where the run is that is named by its id or by its competition's name; a place as it is.

    Raises:
        ConfigError: it is no place, and there is no such run.
    """
    is_place = "/" in named or Path(named).exists()
    return named if is_place else find_run(named, runs).location


def _cells(store: RunStore) -> list[str]:
    """Return what there is to say of a run: trials, metric, best score, the ensemble's, and whose the best one is."""
    board = board_of(store)
    experiments = [row for row in board.rows if row.kind == "experiment"]
    best = board.best_experiment
    return [
        f"{sum(row.folds_done for row in experiments)}/{sum(row.num_folds for row in experiments)}",
        board.metric,
        score_text(best.score) if best else "",
        score_text(board.submitted.score) if board.submitted else "",
        best.name if best else "",
    ]
