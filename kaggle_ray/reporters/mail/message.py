"""The mail itself: a subject that says what became of a run, the figures, a picture, and how to go on."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from rich.console import Console

from kaggle_ray.counted import counted
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import (
    BoardRow,
    EnsembleChosen,
    RunEnded,
    RunFailed,
    RunInterrupted,
    RunStalled,
    RunStarted,
)
from kaggle_ray.reporters.mail.occasions import Outcome
from kaggle_ray.reporters.progress import RunProgress
from kaggle_ray.reporters.table import Leaderboard
from kaggle_ray.reporters.texts import clock_text, known_score, one_line, score_with_error, title_text
from kaggle_ray.types import short_digest
from kaggle_ray.untrusted import printable

_SUBJECTS: dict[Outcome, str] = {
    "complete": "complete",
    "failed": "FAILED",
    "stopped": "stopped",
    "killed": "its driver was killed",
    "stalled": "nothing was heard of it for a while",
}
_WIDTH = 78
_MOST_FAILURES = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Addresses:
    """Sender and recipients of a mail."""

    sender: str
    to: tuple[str, ...]


def compose(
    outcome: Outcome,
    envelope: Envelope,
    progress: RunProgress,
    *,
    addresses: Addresses,
    ensemble: EnsembleChosen | None = None,
    live_page: str = "",
    picture: bytes | None = None,
    samples: Mapping[str, bytes] | None = None,
) -> EmailMessage:
    """Return the mail of what ``envelope`` tells.

    Args:
        outcome: what became of the run.
        envelope: the event by which that was learnt.
        progress: what is known of the run, this event included.
        addresses: from whom and to whom.
        ensemble: what was chosen last; None where nothing was yet.
        live_page: address under which the run can be watched; empty where there is none.
        picture: PNG of the curves.
        samples: file name -> JPEG of samples with what is predicted of them.
    """
    mail = EmailMessage()
    score = "" if ensemble is None else f", {progress.metric} {known_score(ensemble.score_honest)}"
    mail["Subject"] = printable(
        f"[kaggle-ray] {one_line(progress.competition)}: {_SUBJECTS[outcome]}{score if outcome == 'complete' else ''}"
    )
    mail["From"], mail["To"] = addresses.sender, ", ".join(addresses.to)
    mail["Date"] = format_datetime(datetime.fromtimestamp(envelope.time, tz=UTC))
    # The same for each attempt to send it, so that a mail server that took it twice shows it once.
    mail["Message-ID"] = f"<{short_digest([envelope.event_id, envelope.time], num_hex=32)}@kaggle-ray.invalid>"
    paragraphs = [
        _headline(outcome, envelope, progress),
        _figures(progress, ensemble),
        _board(envelope, progress),
        _failures(progress),
        _ways_on(outcome, envelope, progress, live_page),
    ]
    mail.set_content(printable("\n\n".join(text for text in paragraphs if text)) + "\n")
    if picture is not None:
        mail.add_attachment(picture, maintype="image", subtype="png", filename="curves.png")
    for name, jpeg in (samples or {}).items():
        mail.add_attachment(jpeg, maintype="image", subtype="jpeg", filename=name)
    return mail


def _headline(outcome: Outcome, envelope: Envelope, progress: RunProgress) -> str:
    what = f"Run {progress.run_id} of {progress.competition}: {_SUBJECTS[outcome]}."
    match envelope.event:
        case RunFailed(error=error):
            what += f"\n{error}"
        case RunStarted():
            what += "\nAnother one goes on."
        case RunStalled(silent_s=silent_s):
            what += f"\nThe last event was {clock_text(silent_s)} before this mail. It may still go on by itself."
        case RunInterrupted(num_committed=safe, num_trials=num_trials):
            what += f"\nThe driver got SIGTERM. {safe} of {counted(num_trials, 'trial')} are safe."
        case RunEnded(note=str(note)):
            what += f"\n{note}"
    return f"{what}\nBy {envelope.user} on {envelope.host}, after {clock_text(progress.elapsed_s)}."


def _figures(progress: RunProgress, ensemble: EnsembleChosen | None) -> str:
    ended = len(progress.ended("committed"))
    lines = [f"Trials: {ended} of {progress.num_trials} done, {len(progress.ended('failed'))} failed."]
    if progress.best is not None:
        lines.append(f"Best so far: {progress.metric} {known_score(progress.best.score)} ({progress.best.of}).")
    if ensemble is not None:
        score = score_with_error(ensemble.score_honest, ensemble.standard_error)
        lines.append(f"Ensemble ({ensemble.name}): {progress.metric} {score}, honest.")
    return "\n".join(lines)


def _board(envelope: Envelope, progress: RunProgress) -> str:
    rows: Sequence[BoardRow] = envelope.event.board if isinstance(envelope.event, RunEnded) else ()
    if not rows:
        return ""
    table = Leaderboard(
        rows=rows, metric=progress.metric, greater_is_better=progress.greater_is_better, ascii_only=True
    )
    drawn = io.StringIO()
    Console(file=drawn, width=_WIDTH).print(table)
    return drawn.getvalue().rstrip()


def _failures(progress: RunProgress) -> str:
    failed = progress.ended("failed")
    lines = [f"failed: {title_text(trial.trial, progress)}: {one_line(trial.error or '')}" for trial in failed]
    if len(lines) > _MOST_FAILURES:
        lines[_MOST_FAILURES:] = [f"and {counted(len(lines) - _MOST_FAILURES, 'other')}"]
    return "\n".join(lines)


def _ways_on(outcome: Outcome, envelope: Envelope, progress: RunProgress, live_page: str) -> str:
    lines = [f"Live: {live_page}"] if live_page else []
    match envelope.event:
        case RunEnded(submission=submission, report=report):
            lines += [f"Submission: {submission}"] if submission else []
            lines += [f"Report: {report}"] if report else []
    if outcome != "complete" and progress.how_to_resume:
        lines.append(f"Go on: {progress.how_to_resume}")
    return "\n".join([*lines, f"Folder: {progress.run_dir}"])
