"""What the user has said, and the question that is asked where files and answers leave something open."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kaggle_ray.errors import ConfigError
from kaggle_ray.types import Task


class UnclearError(ConfigError):
    """The files leave something open; the message says what, and which option answers it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What the user has said, where the files do not."""

    sample: str | None = None
    labels: str | None = None
    train: str | None = None
    id_column: str | None = None
    target: str | None = None
    task: Task | None = None
    positive: str | None = None
    metric: str | None = None


def only(
    found: Sequence[str], answer: str | None, what: str, option: str, *, known: Collection[str] | None = None
) -> str:
    """Return the only one, or the one that the user named.

    Args:
        found: what the files tell.
        answer: of the user.
        what: is looked for, in words.
        option: that answers the question.
        known: what may be answered; None: one of ``found``.

    Raises:
        UnclearError: there are none or several, or the answer is none of them.
    """
    if answer is not None:
        if answer in (found if known is None else known):
            return answer
        there = ", ".join(sorted(found if known is None else known)[:8]) or "none"
        raise UnclearError(f"{option.split()[0]} {answer}: expected {what}; there are: {there}.")
    if len(found) == 1:
        return found[0]
    got = f"{len(found)}: {', '.join(found[:8])}" if found else "none"
    if not found and known:
        got = f"none among {', '.join(sorted(known)[:8])}"
    raise UnclearError(f"expected {what}, found {got}. Say it: {option}.")
