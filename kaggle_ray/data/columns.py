"""Which of a prediction's numbers each column of a submission holds: told by names, never by their order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kaggle_ray.data.head import Head, place_heads
from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.errors import ConfigError, SubmissionError

_FILLERS = {"class", "has", "is", "label", "p", "pred", "prob", "probability", "score", "target"}
"""Words of a column's name beside that of its class."""

_SHOWN = 20
"""Names of a list that a message shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """What one column of a submission holds."""

    output: int
    """Number of the prediction's column; of masks of several classes, of the class, the first after the background
    being 0."""
    is_complement: bool = False
    """Whether the column holds 1 minus that number: the probability of a binary head's first class."""


def place_columns(heads: Sequence[Head], fmt: SubmissionFormat) -> tuple[Column, ...]:
    """Return what each column of numbers or run lengths holds; one of words holds all.

    A column is found by its name, or by what ``fmt.holds`` says of it. All may have the same text before or after their
    names, as in ``digit_0, digit_1``, and be written in other capitals, with other spaces or underscores. Where there
    is one number, its column may have any name but that of a binary head's first class.

    Args:
        heads: of the competition.
        fmt: of its submission.

    Raises:
        ConfigError: the names are not those of the classes, labels and heads, each once; both lists are named.
    """
    if fmt.cells in ("label", "tags"):
        return (Column(output=0),)
    written = fmt.holds or fmt.columns
    if len(heads) > 1:
        return _of_several(heads, written)
    (head,) = heads
    names = _names_of(head, is_two_columns=len(written) == 2)
    if len(names) == len(written) == 1:
        _check_side(head, written[0])
        return (Column(output=0),)
    numbers = _numbers_of(written, list(names))
    if numbers is None:
        raise _no_such_columns(list(names), written)
    columns = list(names.values())
    return tuple(columns[number] for number in numbers)


def ordered_as(fmt: SubmissionFormat, header: Sequence[str], *, where: str) -> SubmissionFormat:
    """Return the format with its columns in the order of a file: of the sample submission, or of one that is read.

    Args:
        fmt: of the competition.
        header: of the file, the id's column first.
        where: names the file.

    Raises:
        SubmissionError: the file has other columns; both lists are named.
    """
    if header[0] != fmt.id_column or sorted(header[1:]) != sorted(fmt.columns):
        raise SubmissionError(
            f"{where}: expected the id column {fmt.id_column!r} and, in any order, the columns of the competition's "
            f"format, {_listed(fmt.columns)}, got {_listed(header)}{_difference(fmt.header, header)}. "
            f"Declare the columns as they stand in the sample submission."
        )
    holds = dict(zip(fmt.columns, fmt.holds, strict=False))
    return replace(fmt, columns=tuple(header[1:]), holds=tuple(holds[name] for name in header[1:] if fmt.holds))


def _names_of(head: Head, *, is_two_columns: bool) -> dict[str, Column]:
    """Return the names by which the columns of a single head go."""
    if head.task == "binary":
        positive = {head.classes[1]: Column(output=0)}
        return positive | ({head.classes[0]: Column(output=0, is_complement=True)} if is_two_columns else {})
    if head.task == "regression":
        return {head.name: Column(output=0)}
    has_background = head.task == "segmentation" and len(head.classes) > 1
    return {name: Column(output=number) for number, name in enumerate(head.classes[1 if has_background else 0 :])}


def _of_several(heads: Sequence[Head], written: Sequence[str]) -> tuple[Column, ...]:
    """Return what columns hold that are named by a class, by a head that is one number, or by ``head.class``."""
    named = _names_of_several(heads)
    outputs = list(range(place_heads(heads)[-1].outputs.stop))
    for form in (str, _squeezed):
        found: dict[str, set[Column]] = {}
        for name, column in named:
            found.setdefault(form(name), set()).add(column)
        placed = [column for name in written if len(found.get(form(name), ())) == 1 for column in found[form(name)]]
        if len(placed) == len(set(placed)) == len(written) and outputs == sorted(
            column.output for column in placed if not column.is_complement
        ):
            return tuple(placed)
    raise _no_such_columns([name for name, _ in named], written)


def _names_of_several(heads: Sequence[Head]) -> list[tuple[str, Column]]:
    """Return each name by which a column of several heads goes, and what it then holds."""
    named: list[tuple[str, Column]] = []
    for place in place_heads(heads):
        head, first = place.head, place.outputs.start
        for name, column in _names_of(head, is_two_columns=True).items():
            of_all = replace(column, output=first + column.output)
            named += [(name, of_all)] if name == head.name else [(name, of_all), (f"{head.name}.{name}", of_all)]
        if head.task == "binary":
            named.append((head.name, Column(output=first)))
    return named


def _numbers_of(written: Sequence[str], names: Sequence[str]) -> tuple[int, ...] | None:
    """Return which of ``names`` each written one is, None where they are others or it is not certain."""
    for form in (str, _squeezed):
        ways = _ways_to_read([form(name) for name in written], [form(name) for name in names])
        if ways:
            return ways.pop() if len(ways) == 1 else None
    return None


def _ways_to_read(written: Sequence[str], names: Sequence[str]) -> set[tuple[int, ...]]:
    """Return each way to read the written names as ``names`` with one text before and one after all of them."""
    surplus = sum(map(len, written)) - sum(map(len, names))
    if len(written) != len(names) or surplus % len(names):
        return set()
    num_added, first = surplus // len(names), written[0]
    ways = set()
    for num_before in range(num_added + 1):
        before, after = first[:num_before], first[len(first) - num_added + num_before :]
        number_of = {f"{before}{name}{after}": number for number, name in enumerate(names)}
        if number_of.keys() == set(written):
            ways.add(tuple(number_of[name] for name in written))
    return ways


def _check_side(head: Head, written: str) -> None:
    """Raise ConfigError where the column of P(second class) is named by the first."""
    if head.task != "binary":
        return
    first, second = head.classes
    if _words(first) in (_words(written), _words(written) - _FILLERS):
        raise ConfigError(
            f"submission: the column {written!r} has the name of class {first!r}, and what a binary head predicts is "
            f"the probability of the second class, {second!r}. Declare classes=({second!r}, {first!r}) if it asks for "
            f"{first!r}, or holds=({second!r},) if it does not."
        )


def _words(name: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", name.casefold()))


def _squeezed(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _no_such_columns(names: Sequence[str], written: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"submission: expected columns named {_listed(names)}, got {_listed(written)}"
        f"{_difference(names, written)}. Name the columns so, or say with SubmissionFormat(holds=...) what each holds."
    )


def _listed(names: Sequence[str]) -> str:
    return f"[{', '.join(map(repr, names[:_SHOWN]))}{', ...' if len(names) > _SHOWN else ''}] ({len(names)})"


def _difference(expected: Sequence[str], got: Sequence[str]) -> str:
    """Say which names are missing, too many or there twice."""
    counts = Counter(got)
    parts = {
        "missing": [name for name in expected if name not in counts],
        "not expected": [name for name in counts if name not in set(expected)],
        "there twice": [name for name, count in counts.items() if count > 1],
    }
    found = [f"{what}: {', '.join(map(repr, names[:_SHOWN]))}" for what, names in parts.items() if names]
    return f"; {'; '.join(found)}" if found else ""
