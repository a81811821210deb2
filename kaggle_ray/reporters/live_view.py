"""What a terminal shows of a run that is going on: what is prepared, what runs, how far it is, the best score."""

from __future__ import annotations

from collections.abc import Collection

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kaggle_ray.progress import Progress
from kaggle_ray.reporters.progress import RunProgress
from kaggle_ray.reporters.texts import (
    clock_text,
    eta_text,
    known_score,
    loss_text,
    metric_text,
    plain,
    score_text,
    slots_text,
    time_text,
)
from kaggle_ray.reporters.trial_sums import TrialProgress
from kaggle_ray.types import EpochMetrics, TrialStatus

_BAD_ENDS: dict[TrialStatus, str] = {"pruned": "yellow", "stopped": "yellow", "failed": "bold red"}
"""Status of a trial that was not committed -> its style."""

_SPARED = ("memory", "samples/s", "train loss", "valid loss")
"""Columns that a narrow terminal does without, the first one first."""
_NO_LIMIT = 10_000


def live_view(progress: RunProgress) -> RenderableType:
    """Return the live view: what is prepared, what runs, how far it is, the best score, the trials under way."""
    parts: list[RenderableType] = []
    if progress.has_started:
        parts += [header(progress), overall(progress), counts(progress)]
    if progress.preparation is not None:
        parts.append(preparation(progress.preparation))
    if progress.running:
        parts.append(running_table(progress))
    return Group(*parts)


def header(progress: RunProgress) -> Text:
    """Return which run it is, by which metric it is judged, and where its trials run."""
    line = Text(progress.competition, style="bold", no_wrap=True, overflow="ellipsis")
    line.append(f"  {metric_text(progress)}", style="cyan")
    return line.append(f"  {slots_text(progress)}  run {progress.run_id}", style="dim")


def overall(progress: RunProgress) -> RenderableType:
    """Return a bar of all epochs, the time that has passed, and when the run ends at this pace."""
    total, left = progress.num_epochs, progress.num_epochs_left
    done = total - round(left) if total else 1
    row = Table.grid(padding=(0, 1))
    clock = f"{clock_text(progress.elapsed_s)} elapsed{eta_text(progress)}"
    if progress.ends_at is not None and not progress.has_ended:
        clock += f", ends about {time_text(progress.ends_at)}"
    bar = ProgressBar(total=total or 1, completed=done, width=32)
    row.add_row("epochs", bar, f"{done if total else 0}/{total}", Text(clock, style="dim"))
    return row


def preparation(done: Progress) -> RenderableType:
    """Return a bar of what is being prepared, or only its name where it is not known how much there is."""
    if not done.num_total:
        return Text(done.stage)
    row = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=done.num_total, completed=done.num_done, width=32)
    row.add_row(done.stage, bar, f"{done.num_done}/{done.num_total}")
    return row


def counts(progress: RunProgress) -> Text:
    """Return how many trials are done, run, wait and came to no good end, and the best score so far."""
    line = Text(f"trials {progress.num_settled}/{progress.num_trials} done")
    if progress.running:
        line.append(f" · {len(progress.running)} running")
    if progress.num_waiting:
        line.append(f" · {progress.num_waiting} waiting")
    for status, style in _BAD_ENDS.items():
        if num_ended := progress.num_ended(status):
            line.append(f" · {num_ended} {status}", style=style)
    if best := progress.best:
        line.append(" · best ").append(score_text(best.score), style="bold green").append(f" ({best.of})")
    return line


def running_table(progress: RunProgress) -> RenderableType:
    """Return a table of the trials under way: how far each is, what it is at, and what its last epoch measured."""
    return _Fitting(progress)


class _Fitting:
    """A table of the trials under way that leaves out, where it is too wide, what can be spared."""

    def __init__(self, progress: RunProgress) -> None:
        self._progress = progress

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for number in range(len(_SPARED) + 1):
            table = self._table(left_out=_SPARED[:number])
            if Measurement.get(console, options.update(max_width=_NO_LIMIT), table).maximum <= options.max_width:
                break
        yield table

    def _table(self, *, left_out: Collection[str]) -> Table:
        progress = self._progress
        rows = [_row(trial, progress) for trial in progress.running]
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        names = [name for name in rows[0] if name not in left_out] if rows else []
        if not any(row["now"] for row in rows):
            names = [name for name in names if name != "now"]
        for name in names:
            is_text = name in ("running", "now")
            title = progress.metric if name == "score" else name
            table.add_column(title, justify="left" if is_text else "right", overflow="ellipsis", no_wrap=True)
        for row in rows:
            table.add_row(*(row[name] for name in names))
        return table


def _row(trial: TrialProgress, progress: RunProgress) -> dict[str, str | Text]:
    """Return column -> what it says of a trial."""
    measured = trial.measured
    return {
        "running": plain(progress.name_of(trial.trial)),
        "fold": trial.trial.rows.removeprefix("fold"),
        "epoch": f"{trial.epoch}/{progress.num_epochs_of(trial.trial) or '?'}",
        "now": doing_text(trial),
        "train loss": loss_text(measured.train_loss) if measured else "",
        "valid loss": loss_text(measured.valid_loss) if measured else "",
        "score": known_score(measured.score) if measured else "",
        "samples/s": _rate(measured) if measured else "",
        "memory": _memory(measured) if measured else "",
        "eta": _eta(trial, progress),
    }


def doing_text(trial: TrialProgress) -> str:
    """Return what a trial is at, and how far that is; nothing where nothing was told of it."""
    done = trial.doing
    if done is None:
        return ""
    return f"{done.stage} {done.num_done / done.num_total:.0%}" if done.num_total else done.stage


def _eta(trial: TrialProgress, progress: RunProgress) -> str:
    seconds = progress.eta_of(trial)
    return "" if seconds is None else clock_text(seconds)


def _rate(measured: EpochMetrics) -> str:
    return "" if measured.samples_per_s is None else f"{measured.samples_per_s:,.0f}"


def _memory(measured: EpochMetrics) -> str:
    """Return the trial's memory: the GPU's where it has one, which runs out first."""
    if measured.gpu_peak_bytes is not None:
        return f"{measured.gpu_peak_bytes / 2**30:.1f} GiB GPU"
    return "" if measured.resident_bytes is None else f"{measured.resident_bytes / 2**30:.1f} GiB"
