"""How scores, losses, durations and counts are written, for every reporter and the report."""

from __future__ import annotations

import math
import time

from rich.text import Text

from kaggle_ray.counted import counted
from kaggle_ray.reporters.events import BoardRow
from kaggle_ray.reporters.progress import RunProgress
from kaggle_ray.types import ModelSize, Trial
from kaggle_ray.untrusted import printable


def score_text(score: float | None) -> str:
    """Return a score, or a difference of scores, to five decimals; nothing for None."""
    return "" if score is None else f"{score:.5f}"


def score_or_so_far_text(row: BoardRow) -> str:
    """Return a row's score, or ``~0.12345``, the mean of the folds that are done where others are missing."""
    if row.score is None and row.mean_so_far is not None:
        return f"~{score_text(row.mean_so_far)}"
    return score_text(row.score)


def duration_text(seconds: float) -> str:
    """Return ``8.1s``, ``1:12`` (minutes:seconds) or ``2:03:04``."""
    if seconds < 60 and f"{seconds:.1f}" != "60.0":
        return f"{seconds:.1f}s"
    return clock_text(seconds)


def clock_text(seconds: float) -> str:
    """Return ``0:08``, ``1:12`` (minutes:seconds) or ``2:03:04``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def plain(text: str) -> Text:
    """Return a text that is shown letter by letter: nothing in it is markup, or moves the cursor."""
    return Text(printable(text))


def one_line(text: str) -> str:
    """Return ``text`` with every run of white space, line ends too, as one space."""
    return " ".join(text.split())


def shortened(name: str, num_chars: int = 28) -> str:
    """Return a name without its middle: names of experiments differ at the end, and begin with the model.

    >>> shortened("small_resnet blocks=[1, 1, 1] lr=0.01")
    'small_resnet b…1, 1] lr=0.01'
    """
    left = num_chars // 2
    return name if len(name) <= num_chars else f"{name[:left]}…{name[left + 1 - num_chars :]}"


def bytes_text(num_bytes: float) -> str:
    """Return a size as ``512 bytes``, ``3.4 MiB`` or ``1.2 GiB``."""
    if num_bytes < 2**10:
        return counted(round(num_bytes), "byte")
    for unit in ("KiB", "MiB"):
        num_bytes /= 2**10
        if num_bytes < 2**10:
            return f"{num_bytes:.1f} {unit}"
    return f"{num_bytes / 2**10:.1f} GiB"


def size_text(size: ModelSize) -> str:
    """Return how large a network is: ``11,177,025 parameters in 41 layers, 3.627 GFLOPs``."""
    flops = "GFLOPs unknown" if size.flops is None else f"{size.flops / 1e9:.3g} GFLOPs"
    return f"{counted(size.num_parameters, 'parameter')} in {counted(size.num_layers, 'layer')}, {flops}"


def eta_text(progress: RunProgress) -> str:
    """Return the estimated time left, with two blanks before it; nothing where it is not known."""
    return "" if progress.eta_s is None else f"  eta {clock_text(progress.eta_s)}"


def time_text(seconds: float, *, now: float | None = None) -> str:
    """Return seconds since the Unix epoch as ``23:41`` of this machine, with the date where that is not today's."""
    moment, today = time.localtime(seconds), time.localtime(now)
    return time.strftime("%H:%M" if moment[:3] == today[:3] else "%Y-%m-%d %H:%M", moment)


def title_text(trial: Trial, progress: RunProgress) -> str:
    """Return what a person calls a trial: its experiment's name, and the fold."""
    return f"{progress.name_of(trial)} {trial.rows.replace('fold', 'fold ')}"


def known_score(score: float | None) -> str:
    """Return a score, or ``n/a`` where there is none that is finite."""
    return "n/a" if score is None or not math.isfinite(score) else score_text(score)


def score_with_error(score: float | None, standard_error: float | None) -> str:
    """Return a score with its standard error, ``0.03270 ± 0.00210``, without it where it is not known."""
    return known_score(score) if standard_error is None else f"{known_score(score)} ± {score_text(standard_error)}"


def loss_text(loss: float) -> str:
    """Return a loss to four decimals, or ``n/a`` where it is not finite."""
    return f"{loss:.4f}" if math.isfinite(loss) else "n/a"


def metric_text(progress: RunProgress) -> str:
    """Return the name of the run's metric, and which direction is better."""
    return f"{progress.metric} ({'higher' if progress.greater_is_better else 'lower'} is better)"


def slots_text(progress: RunProgress) -> str:
    """Return the launcher, and how many trials it runs at once."""
    return f"{progress.launcher or 'launcher unknown'}, {counted(progress.num_slots, 'slot')}"
