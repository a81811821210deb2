"""What becomes of a trial that failed: which failures repeat themselves, and which are worth another try.

A failure that repeats itself is committed, so that no rerun pays for it again; any other leaves the trial open, and the
next run of the same command repeats it. A trial whose process died is begun again in the same run, as long as it gets
on between one death and the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kaggle_ray.config.users_code import users_line
from kaggle_ray.errors import (
    ConfigError,
    DataError,
    KaggleRayError,
    NonFiniteLossError,
    OutOfMemoryError,
    ProcessDiedError,
    StoreError,
    TrialError,
)

NUM_DEATHS_IN_A_ROW = 3
"""How often a trial's process dies before it gets on by an epoch until the trial has failed: machines go and memory
comes back, but what kills one process after the other at the same place (the memory that it asks for, a crash in a
library) kills each."""


NUM_LOST_NODES_IN_A_ROW = 11
"""How often its processes go with their machines until it has failed: spot machines go for reasons of their own, but a
trial that takes each of its machines along is not given all that there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FailurePolicy:
    """What to do about errors of one type."""

    repeats_itself: bool
    """Whether the same trial would fail the same way again."""
    because: str
    """Why, in a sentence's half."""


POLICIES: Mapping[type[Exception], FailurePolicy] = {
    NonFiniteLossError: FailurePolicy(
        repeats_itself=True, because="the same rows, seed and hyperparameters give the same loss"
    ),
    ProcessDiedError: FailurePolicy(
        repeats_itself=False, because="the memory that ended its processes is there with fewer slots, or elsewhere"
    ),
    OutOfMemoryError: FailurePolicy(
        repeats_itself=False, because="another GPU has more memory, and so has this one when nobody else uses it"
    ),
    ConfigError: FailurePolicy(
        repeats_itself=False, because="what this machine lacks, such as a GPU or a package, another one has"
    ),
    DataError: FailurePolicy(repeats_itself=False, because="a file can be mended, or copied anew"),
    StoreError: FailurePolicy(repeats_itself=False, because="a disk that is full or away comes back"),
    Exception: FailurePolicy(
        repeats_itself=False, because="what is not understood may be chance: a try costs one trial, giving up a member"
    ),
}
"""Type of error -> policy; that of the nearest type in an error's family holds."""


def policy_of(error: Exception) -> FailurePolicy:
    """Return what to do about ``error``."""
    return next(POLICIES[kind] for kind in type(error).__mro__ if kind in POLICIES)


def is_users(error: BaseException) -> bool:
    """Return whether a person's own code raised what is no Exception, such as ``sys.exit``, and what is no ctrl-c."""
    is_ours = isinstance(error, Exception | KeyboardInterrupt | GeneratorExit)
    return not is_ours and bool(users_line(error))


def named_error(error: BaseException) -> Exception:
    """Return ``error``, or in place of a library's that a person can act upon one that says what to do."""
    import torch  # here, as processes that only count failures, such as a slot's exchange, do without its seconds

    if not isinstance(error, Exception):
        named: Exception = ConfigError(f"{type(error).__name__}: {error}{users_line(error)}")
        named.__cause__ = error
        return named
    if not isinstance(error, torch.OutOfMemoryError):
        return error
    first = str(error).partition(". ")[0].strip()
    named = OutOfMemoryError(
        f"the GPU has not enough memory for a step: {first}. Try a larger accumulate, which computes the same batch in "
        f"more parts, a smaller batch_size or image_size, or fewer trials at once on this GPU."
    )
    named.__cause__ = error
    return named


def reason_of(error: Exception) -> str:
    """Return one line that says why a trial failed; an error that does not name itself is preceded by its type."""
    text = " ".join(str(error).split())
    if isinstance(error, TrialError):
        return text
    line = "" if isinstance(error, KaggleRayError) else users_line(error)
    return f"{type(error).__name__}: {text}{line}"
