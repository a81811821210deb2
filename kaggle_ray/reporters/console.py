"""Shows a run to whoever started it: a live view on a terminal or in a notebook, plain lines in a pipe or a log."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from rich.console import Console
from rich.live import Live
from rich.text import Text

from kaggle_ray.reporters import Reporter
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import (
    EpochEnded,
    Event,
    PreparationProgressed,
    RunEnded,
    RunFailed,
    RunInterrupted,
    RunStarted,
    TrialEnded,
    TrialProgressed,
)
from kaggle_ray.reporters.lines import event_lines
from kaggle_ray.reporters.live_view import live_view
from kaggle_ray.reporters.progress import RunProgress
from kaggle_ray.reporters.table import Leaderboard
from kaggle_ray.reporters.texts import (
    plain,
)
from kaggle_ray.untrusted import printable

QUIET_S = 30.0
"""Seconds without a line after which a run in a pipe tells of an epoch that ended, or of what goes on."""
_PIPE_WIDTH = 200
_NOTEBOOK_WIDTH = 100
"""Letters of a line that a notebook's cell has room for, whose width nobody tells."""


class ConsoleReporter:
    """Draws the run on ``console``; a log file gets whole lines without colour codes."""

    def __init__(self, console: Console) -> None:
        """Draw on ``console``: live where it is a terminal or a notebook, lines where it is neither."""
        self._console = console
        # In a notebook the live view is a widget; without its package it would be a wall of warnings.
        self._is_live = console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)
        self._progress = RunProgress()
        self._live: Live | None = None
        self._last_news = float("-inf")
        """When a line was written that was no progress within an epoch; in seconds, as the others."""
        self._last_heard = float("-inf")
        """When any line was written, or an epoch ended without one."""

    def emit(self, envelope: Envelope) -> None:
        """Take in one event and show it."""
        self._progress.update(envelope)
        match envelope.event:
            case PreparationProgressed() | RunStarted():
                self._open()
            case RunInterrupted() | RunFailed() | RunEnded():
                self.close()
        if self._is_live:
            self._show_on_terminal(envelope.event)
        else:
            self._show_in_pipe(envelope)

    def close(self) -> None:
        """Stop the live view; its last state stays on the screen."""
        if self._live is not None:
            self._live.update(live_view(self._progress))
            self._live.stop()
            self._live = None

    def _open(self) -> None:
        if self._is_live and self._live is None:
            self._live = Live(live_view(self._progress), console=self._console)
            self._live.start()

    def _show_on_terminal(self, event: Event) -> None:
        is_failure = isinstance(event, TrialEnded) and event.status == "failed"
        if is_failure or not isinstance(
            event, PreparationProgressed | RunStarted | TrialProgressed | EpochEnded | TrialEnded
        ):  # in the view
            if isinstance(event, RunEnded) and not self._console.is_jupyter:  # which shows that of the result
                self._console.print(self._leaderboard(event))
            self._print([_printable(line) for line in event_lines(event, self._progress)])
        if self._live is not None:
            self._live.update(live_view(self._progress))

    def _print(self, lines: Sequence[Text]) -> None:
        """Print whole lines; in a notebook, where each output has a frame and a bar of its own, wrapped and as one."""
        if not self._console.is_jupyter:
            for line in lines:
                self._console.print(line, soft_wrap=True)
        elif lines:
            self._console.print(Text("\n").join(lines), width=min(self._console.width, _NOTEBOOK_WIDTH))

    def _show_in_pipe(self, envelope: Envelope) -> None:
        event = envelope.event
        match event:
            case EpochEnded():
                is_shown = envelope.time - self._last_news >= QUIET_S
                self._last_heard = envelope.time
            case PreparationProgressed() | TrialProgressed():
                is_shown = envelope.time - self._last_heard >= QUIET_S
            case _:
                is_shown = True
        if not is_shown:
            return
        lines = [line.plain for line in event_lines(event, self._progress)]
        if isinstance(event, RunEnded):
            options = self._console.options.update(width=_PIPE_WIDTH)
            table = self._leaderboard(event, ascii_only=True)
            drawn = "".join(segment.text for segment in self._console.render(table, options))
            lines.insert(0, drawn.rstrip("\n"))
        for line in lines:
            self._write(line)
        if lines:
            self._last_heard = envelope.time
            if not isinstance(event, PreparationProgressed | TrialProgressed):
                self._last_news = envelope.time

    def _leaderboard(self, event: RunEnded, *, ascii_only: bool = False) -> Leaderboard:
        metric, greater_is_better = self._progress.metric, self._progress.greater_is_better
        return Leaderboard(rows=event.board, metric=metric, greater_is_better=greater_is_better, ascii_only=ascii_only)

    def _write(self, text: str) -> None:
        self._console.out(printable(text), highlight=False)


_CONSOLE_IS_A_REPORTER: type[Reporter] = ConsoleReporter


def _printable(line: Text) -> Text:
    """Return a line as it is, or without its styles where it holds what would move the cursor."""
    return line if line.plain.isprintable() else plain(line.plain)
