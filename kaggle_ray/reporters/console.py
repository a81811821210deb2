"""Shows a run to whoever started it: a live view on a terminal, plain lines in a pipe or a log."""

from __future__ import annotations

import math
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kaggle_ray.progress import Progress
from kaggle_ray.reporters import Reporter
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import (
    BaselineScored,
    EnsembleChosen,
    EpochEnded,
    Event,
    PreparationProgressed,
    RefitEnded,
    RunEnded,
    RunInterrupted,
    RunStarted,
    RunWarned,
    TrialEnded,
    TrialWarned,
)
from kaggle_ray.reporters.progress import RunProgress, TrialProgress
from kaggle_ray.reporters.table import clock_text, duration_text, leaderboard_table, one_line, plain, score_text
from kaggle_ray.types import EpochMetrics, Trial
from kaggle_ray.untrusted import printable

SLOW_EPOCH_S = 30.0
"""Seconds of an epoch from which a trial in a pipe shows signs of life, at most one in this time."""
_PIPE_WIDTH = 200


class ConsoleReporter:
    """Draws the run on ``console``; a log file gets whole lines without colour codes."""

    def __init__(self, console: Console) -> None:
        """Draw on ``console``: live where it is a terminal, lines where it is not."""
        self._console = console
        self._progress = RunProgress()
        self._live: Live | None = None
        self._last_sign_of_life = float("-inf")

    def emit(self, envelope: Envelope) -> None:
        """Take in one event and show it."""
        before = self._progress.trials.get(envelope.trial) if envelope.trial else None
        previous_at = before.last_event_at if before else envelope.time
        self._progress.update(envelope)
        match envelope.event:
            case PreparationProgressed() | RunStarted():
                self._open()
            case RunInterrupted() | RunEnded():
                self.close()
        if self._console.is_terminal:
            self._show_on_terminal(envelope.event)
        else:
            self._show_in_pipe(envelope, previous_at)

    def close(self) -> None:
        """Stop the live view; its last state stays on the screen."""
        if self._live is not None:
            self._live.update(live_view(self._progress))
            self._live.stop()
            self._live = None

    def _open(self) -> None:
        if self._console.is_terminal and self._live is None:
            self._live = Live(live_view(self._progress), console=self._console)
            self._live.start()

    def _show_on_terminal(self, event: Event) -> None:
        is_failure = isinstance(event, TrialEnded) and event.status == "failed"
        if is_failure or not isinstance(
            event, PreparationProgressed | RunStarted | EpochEnded | TrialEnded
        ):  # in the view
            for line in event_lines(event, self._progress):
                self._console.print(_printable(line), soft_wrap=True)
        if isinstance(event, RunEnded):
            self._console.print(self._leaderboard(event))
        if self._live is not None:
            self._live.update(live_view(self._progress))

    def _show_in_pipe(self, envelope: Envelope, previous_at: float) -> None:
        event = envelope.event
        match event:
            case EpochEnded():
                is_shown = envelope.time - previous_at > SLOW_EPOCH_S and self._is_sign_of_life_due(envelope.time)
            case PreparationProgressed():
                is_shown = self._is_sign_of_life_due(envelope.time)
            case _:
                is_shown = True
        if not is_shown:
            return
        for line in event_lines(event, self._progress):
            self._write(line.plain)
        if isinstance(event, RunEnded):
            options = self._console.options.update(width=_PIPE_WIDTH)
            table = self._leaderboard(event, ascii_only=True)
            drawn = "".join(segment.text for segment in self._console.render(table, options))
            self._write(drawn.rstrip("\n"))

    def _leaderboard(self, event: RunEnded, *, ascii_only: bool = False) -> Table:
        metric, greater_is_better = self._progress.metric, self._progress.greater_is_better
        return leaderboard_table(event.board, metric=metric, greater_is_better=greater_is_better, ascii_only=ascii_only)

    def _is_sign_of_life_due(self, time: float) -> bool:
        if time - self._last_sign_of_life < SLOW_EPOCH_S:
            return False
        self._last_sign_of_life = time
        return True

    def _write(self, text: str) -> None:
        self._console.out(printable(text), highlight=False)


_CONSOLE_IS_A_REPORTER: type[Reporter] = ConsoleReporter


def event_lines(event: Event, progress: RunProgress) -> list[Text]:
    """Return what there is to say of ``event``, which ``progress`` has taken in already; nothing for some."""
    match event:
        case PreparationProgressed(progress=done):
            return [Text(f"{done.stage}: {done.num_done} of {done.num_total}")]
        case RunStarted():
            return [_start_line(progress)]
        case RunWarned():
            return [Text(f"warning: {one_line(event.text)}", style="yellow")]
        case BaselineScored():
            score = f"{progress.metric} {_known(event.score)}"
            return [Text(f"baseline (a constant)  {score}{_written(event.submission)}")]
        case EpochEnded(metrics=metrics):
            return [_epoch_line(progress.trials[event.trial], metrics, progress)]
        case TrialWarned(trial=trial, warning=warning):
            return [Text(f"warning: {_title(trial, progress)}, {warning.text}", style="yellow")]
        case TrialEnded():
            return [_ended_line(progress.trials[event.trial], progress)]
        case EnsembleChosen():
            return [_ensemble_line(event, progress)]
        case RefitEnded(why_not=str()):
            return [Text(f"no refit: {event.why_not}", style="yellow")]
        case RefitEnded():
            counterpart = f"cross-validated, {progress.metric} {_known(event.cross_validated_score)}"
            return [Text(f"refit on all rows  not measured; {counterpart}{_written(event.submission)}")]
        case RunInterrupted():
            safe = f"{event.num_committed} of {event.num_trials} trials are safe."
            return [
                Text(f"stopped by {event.reason}: {safe}", style="yellow"),
                Text(f"  go on:                    {event.how_to_resume}"),
                Text(f"  ensemble what there is:   {event.how_to_ensemble}"),
            ]
        case RunEnded():
            return _end_lines(event, progress)
    return []


def live_view(progress: RunProgress) -> RenderableType:
    """Return the live view: what is prepared, what runs, how far it is, the best score, the trials under way."""
    parts: list[RenderableType] = []
    if progress.has_started:
        parts += [_header(progress), _overall(progress), _counts(progress)]
    if progress.preparation is not None:
        parts.append(_preparation(progress.preparation))
    if progress.running:
        parts.append(_running_table(progress))
    return Group(*parts)


def _start_line(progress: RunProgress) -> Text:
    before = f", {progress.num_ended_before} done before" if progress.num_ended_before else ""
    experiments, folds = _counted(len(progress.names), "experiment"), _counted(progress.num_folds, "fold")
    return Text(
        f"{progress.competition}  run {progress.run_id}"
        f"  {experiments} x {folds} = {_counted(progress.num_trials, 'trial')}{before}"
        f"  {_metric(progress)}  {_slots(progress)}  {progress.run_dir}"
    )


def _epoch_line(trial: TrialProgress, metrics: EpochMetrics, progress: RunProgress) -> Text:
    num_epochs = progress.num_epochs_of(trial.trial)
    return Text(
        f"{_counter(progress)} {_title(trial.trial, progress)}  epoch {metrics.epoch}/{num_epochs}"
        f"  train {_loss(metrics.train_loss)}  valid {_loss(metrics.valid_loss)}"
        f"  {progress.metric} {_known(metrics.score)}{_eta(progress)}"
    )


def _ended_line(trial: TrialProgress, progress: RunProgress) -> Text:
    line = Text(f"{_counter(progress)} {_title(trial.trial, progress)}  ")
    if trial.status == "failed":
        line.append("FAILED", style="bold red").append(f"  {one_line(trial.error or 'no reason given')}", style="red")
    else:
        if trial.status == "stopped":
            line.append("stopped early  ", style="yellow")
        line.append(f"{progress.metric} {_known(trial.score)}  {_counted(trial.epoch, 'epoch')}")
    return line.append(f"  {duration_text(trial.duration_s)}{_eta(progress)}")


def _ensemble_line(event: EnsembleChosen, progress: RunProgress) -> Text:
    members = ", ".join(f"{name} {weight:.3f}" for name, weight in event.weights.items() if weight)
    scores = f"{_known(event.score_honest)} (in-sample {_known(event.score_in_sample)})"
    if event.score_full_size is not None:
        scores += f"; at full size {_known(event.score_full_size)}"
    return Text(f"ensemble {event.method}  {progress.metric} {scores}  {members}".rstrip())


def _end_lines(event: RunEnded, progress: RunProgress) -> list[Text]:
    lines = [Text(f"finished in {duration_text(event.seconds)}", style="green")]
    if progress.num_failed:
        failed = f"{progress.num_failed} of {_counted(progress.num_trials, 'trial')} failed"
        lines = [Text(f"ended after {duration_text(event.seconds)}: {failed}", style="yellow")]
    for name, path in (("submission", event.submission), ("report", event.report)):
        if path is not None:
            lines.append(Text(f"  {name + ':':<12}{path}"))
    return lines if event.note is None else [*lines, Text(f"  {event.note}")]


def _header(progress: RunProgress) -> Text:
    header = Text(progress.competition, style="bold", no_wrap=True, overflow="ellipsis")
    header.append(f"  {_metric(progress)}", style="cyan")
    return header.append(f"  {_slots(progress)}  run {progress.run_id}", style="dim")


def _overall(progress: RunProgress) -> RenderableType:
    total, left = progress.num_epochs, progress.num_epochs_left
    done = total - round(left) if total else 1
    row = Table.grid(padding=(0, 1))
    clock = f"{clock_text(progress.elapsed_s)} elapsed{_eta(progress)}"
    bar = ProgressBar(total=total or 1, completed=done, width=32)
    row.add_row("epochs", bar, f"{done if total else 0}/{total}", Text(clock, style="dim"))
    return row


def _preparation(done: Progress) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=done.num_total, completed=done.num_done, width=32)
    row.add_row(done.stage, bar, f"{done.num_done}/{done.num_total}")
    return row


def _counts(progress: RunProgress) -> Text:
    line = Text(f"trials {progress.num_settled}/{progress.num_trials} done")
    if progress.num_failed:
        line.append(f" · {progress.num_failed} failed", style="bold red")
    if best := progress.best:
        line.append(" · best ").append(score_text(best.score), style="bold green").append(f" ({best.of})")
    return line


def _running_table(progress: RunProgress) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("running", overflow="ellipsis", no_wrap=True)
    for title in ("fold", "epoch", "train loss", "valid loss", progress.metric, "samples/s", "memory"):
        table.add_column(title, justify="right", no_wrap=True)
    for trial in progress.running:
        measured = trial.measured
        table.add_row(
            plain(progress.name_of(trial.trial)),
            trial.trial.rows.removeprefix("fold"),
            f"{trial.epoch}/{progress.num_epochs_of(trial.trial) or '?'}",
            _loss(measured.train_loss) if measured else "",
            _loss(measured.valid_loss) if measured else "",
            _known(measured.score) if measured else "",
            _rate(measured) if measured else "",
            _memory(measured) if measured else "",
        )
    return table


def _printable(line: Text) -> Text:
    """Return a line as it is, or without its styles where it holds what would move the cursor."""
    return line if line.plain.isprintable() else plain(line.plain)


def _counter(progress: RunProgress) -> str:
    width = len(str(progress.num_trials))
    return f"[{progress.num_settled:>{width}}/{progress.num_trials}]"


def _title(trial: Trial, progress: RunProgress) -> str:
    return f"{progress.name_of(trial)} {trial.rows.replace('fold', 'fold ')}"


def _metric(progress: RunProgress) -> str:
    return f"{progress.metric} ({'higher' if progress.greater_is_better else 'lower'} is better)"


def _slots(progress: RunProgress) -> str:
    return f"{progress.launcher}, {_counted(progress.num_slots, 'slot')}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _eta(progress: RunProgress) -> str:
    return "" if progress.eta_s is None else f"  eta {clock_text(progress.eta_s)}"


def _known(score: float | None) -> str:
    return "n/a" if score is None or not math.isfinite(score) else score_text(score)


def _loss(loss: float) -> str:
    return f"{loss:.4f}" if math.isfinite(loss) else "n/a"


def _rate(measured: EpochMetrics) -> str:
    return "" if measured.samples_per_s is None else f"{measured.samples_per_s:,.0f}"


def _memory(measured: EpochMetrics) -> str:
    """Return the trial's memory: the GPU's where it has one, which runs out first."""
    if measured.gpu_peak_bytes is not None:
        return f"{measured.gpu_peak_bytes / 2**30:.1f} GiB GPU"
    return "" if measured.resident_bytes is None else f"{measured.resident_bytes / 2**30:.1f} GiB"


def _written(submission: Path | None) -> str:
    return "" if submission is None else f"  {submission}"
