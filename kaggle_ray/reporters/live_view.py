"""What a terminal shows of a run that is going on: what is prepared, what runs, how far it is, the best score."""

from __future__ import annotations

from rich.console import Group, RenderableType
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


def live_view(progress: RunProgress) -> RenderableType:
    """Return the live view: what is prepared, what runs, how far it is, the best score, the trials under way."""
    parts: list[RenderableType] = []
    if progress.has_started:
        parts += [header(progress), overall(progress), counts(progress)]
    if progress.preparation is not None:
        parts.append(_preparation(progress.preparation))
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


def _preparation(done: Progress) -> RenderableType:
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


def running_table(progress: RunProgress) -> Table:
    """Return a table of the trials under way: how far each is, and what its last epoch measured."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("running", overflow="ellipsis", no_wrap=True)
    for title in ("fold", "epoch", "train loss", "valid loss", progress.metric, "samples/s", "memory", "eta"):
        table.add_column(title, justify="right", no_wrap=True)
    for trial in progress.running:
        measured = trial.measured
        table.add_row(
            plain(progress.name_of(trial.trial)),
            trial.trial.rows.removeprefix("fold"),
            f"{trial.epoch}/{progress.num_epochs_of(trial.trial) or '?'}",
            loss_text(measured.train_loss) if measured else "",
            loss_text(measured.valid_loss) if measured else "",
            known_score(measured.score) if measured else "",
            _rate(measured) if measured else "",
            _memory(measured) if measured else "",
            _eta(trial, progress),
        )
    return table


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
