"""A number and what it counts, as a message says them."""

from __future__ import annotations


def counted(number: int, one: str, several: str | None = None) -> str:
    """Return ``number`` with its noun, in the plural where that is due: ``1 row``, ``2,000 rows``, ``0 classes``.

    Every count that a person reads is worded here: a test finds a plural that is written after a number.

    Args:
        number: of things, at least 0.
        one: the noun of one thing, with the verb where that follows at once: ``"id has"``.
        several: the same of several things, ``"ids have"``; by default the noun's regular plural.

    >>> counted(1, "class"), counted(1200, "entry"), counted(1, "id has", "ids have")
    ('1 class', '1,200 entries', '1 id has')
    """
    return f"{number:,} {one if number == 1 else several or _plural(one)}"


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "tch", "sh")) else f"{noun}s"
