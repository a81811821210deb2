"""Tells how far two submissions agree, row by row, and whether one holds its answers under the ids of others.

Shape legend: N rows, C columns of numbers, R runs of a mask.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kaggle_ray.errors import SubmissionError
from kaggle_ray.submission.numerals import parse_number
from kaggle_ray.submission.rle import Runs, parse_runs
from kaggle_ray.submission.table import read_blocks
from kaggle_ray.types import Float64Array

_MOST_ROWS = 2000
"""Rows that a likeness is made of: evenly spaced ones, where there are more."""
_CLEARLY = 0.2
"""How much better another order has to agree than the ids', to be believed."""
_AT_LEAST = 0.5
"""How well it has to agree."""

Positions = npt.NDArray[np.intp]
Row = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Likeness:
    """How far a submission agrees with another one."""

    value: float
    """1 is the same, 0 no connection: see ``kind``."""
    kind: str
    """What the value is: a correlation of numbers, a mean overlap of masks, or a share of equal rows."""
    misaligned: str | None
    """Which ids' answers the rows really hold; None where they are those of their own ids, or it cannot be told."""


def likeness(path: Path, like: Path) -> Likeness:
    """Return how far the submission at ``path`` agrees with the one at ``like``, joined by id.

    Raises:
        SubmissionError: one of them is no CSV, or they have other ids or columns.
    """
    (header, ids, rows), (other_header, other_ids, other_rows) = _read(path), _read(like)
    if set(ids) != set(other_ids) or header != other_header:
        raise SubmissionError(
            f"{path} and {like}: expected the same header and ids, got others. Compare like with like."
        )
    row_of = dict(zip(other_ids, other_rows, strict=True))
    expected = [row_of[sample_id] for sample_id in ids]
    agreement = _agreement_of(rows, expected)
    own = np.arange(len(ids))
    value = agreement.of(own)
    return Likeness(
        value=value,
        kind=agreement.kind,
        misaligned=_shuffled(ids, rows, expected, like) or _reordered(ids, agreement, value, like),
    )


def _shuffled(ids: Sequence[str], rows: Sequence[Row], expected: Sequence[Row], like: Path) -> str | None:
    """Say which row holds another one's answer, where all answers are there to the letter, under other ids."""
    if rows == expected or Counter(rows) != Counter(expected) or 2 * len(set(rows)) < len(rows):
        return None
    row = next(number for number, (got, own) in enumerate(zip(rows, expected, strict=True)) if got != own)
    whose = ids[expected.index(rows[row])]
    return f"row {ids[row]!r} holds what {like} says of {whose!r}: the same answers under other ids. Join them by id"


def _reordered(ids: Sequence[str], agreement: _Agreement, value: float, like: Path) -> str | None:
    """Say in which order the answers would agree, where they do not in that of the ids and clearly do in another."""
    of_orders = {what: agreement.of(order) for what, order in _usual_orders(ids).items()}
    if not of_orders:
        return None
    best = max(of_orders, key=lambda what: of_orders[what])
    if of_orders[best] < max(value + _CLEARLY, _AT_LEAST):
        return None
    first = int(np.flatnonzero(_usual_orders(ids)[best] != np.arange(len(ids)))[0])
    return (
        f"row {ids[first]!r} does not agree with {like} ({agreement.kind} {value:.2f} over the rows), and would with "
        f"{best} ({of_orders[best]:.2f}): the answers seem to stand under the ids of others. Join them by id"
    )


def _usual_orders(ids: Sequence[str]) -> dict[str, Positions]:
    """Return the mistakes that people make: which row's answer stands in each row."""
    own = np.arange(len(ids))
    orders = {
        "the answers of the row before": np.roll(own, 1),
        "the answers of the row after": np.roll(own, -1),
        "the answers in reverse": own[::-1],
        "the answers of the ids sorted as text": np.array(sorted(own.tolist(), key=lambda row: ids[row])),
    }
    if all(sample_id.isdigit() for sample_id in ids):
        orders["the answers of the ids sorted as numbers"] = np.array(
            sorted(own.tolist(), key=lambda row: int(ids[row]))
        )
    # Answers that were written in the sample's order for ids that were sorted: the way back.
    orders |= {f"{what}, the other way round": np.argsort(order) for what, order in orders.items() if "sorted" in what}
    return {what: order for what, order in orders.items() if (order != own).any()}


class _Agreement:
    """How far rows agree with the expected ones, in any order of these."""

    kind = "share of equal rows"

    def __init__(self, rows: Sequence[Row], expected: Sequence[Row]) -> None:
        """Compare evenly spaced rows, where there are many."""
        self.rows, self.expected = rows, expected
        self.chosen = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _MOST_ROWS)).astype(np.intp))

    def of(self, order: Positions) -> float:
        """Return the agreement, row i being compared with the expected row ``order[i]``."""
        return float(np.mean([self.rows[row] == self.expected[order[row]] for row in self.chosen.tolist()]))


class _Correlation(_Agreement):
    """The correlation of numbers, each column around its own mean."""

    kind = "correlation"

    def __init__(self, rows: Sequence[Row], expected: Sequence[Row]) -> None:
        """Read the numbers. Raises ValueError where a cell is none."""
        super().__init__(rows, expected)
        self.values_NC, self.expected_NC = _centred(rows), _centred(expected)

    def of(self, order: Positions) -> float:
        """Return the correlation; 0 where one side has the same answer for all rows."""
        mine, other = self.values_NC[self.chosen], self.expected_NC[order[self.chosen]]
        scale = float(np.sqrt((mine**2).sum() * (other**2).sum()))
        return float((mine * other).sum()) / scale if scale > 0 else 0.0


class _Overlap(_Agreement):
    """The mean Dice of masks, of which no size has to be known."""

    kind = "mean Dice"

    def __init__(self, rows: Sequence[Row], expected: Sequence[Row]) -> None:
        """Read the run lengths. Raises ValueError where a cell is none."""
        super().__init__(rows, expected)
        self.runs, self.expected_runs = _runs_of(rows), _runs_of(expected)

    def of(self, order: Positions) -> float:
        """Return the mean over rows and columns of the masks."""
        return float(
            np.mean(
                [
                    _dice(mine, other)
                    for row in self.chosen.tolist()
                    for mine, other in zip(self.runs[row], self.expected_runs[order[row]], strict=True)
                ]
            )
        )


def _agreement_of(rows: Sequence[Row], expected: Sequence[Row]) -> _Agreement:
    for kind in (_Correlation, _Overlap):
        try:
            return kind(rows, expected)
        except ValueError:  # the cells are of another kind
            continue
    return _Agreement(rows, expected)


def _read(path: Path) -> tuple[tuple[str, ...], tuple[str, ...], list[Row]]:
    blocks = list(read_blocks(path))
    ids = tuple(sample_id for block in blocks for sample_id in block.ids)
    return blocks[0].header, ids, [cells for block in blocks for cells in block.cells]


def _centred(rows: Sequence[Row]) -> Float64Array:
    values = np.array([[parse_number(cell) for cell in row] for row in rows], dtype=np.float64)
    return np.asarray(values - values.mean(axis=0), dtype=np.float64)


def _runs_of(rows: Sequence[Row]) -> list[list[tuple[Runs, Runs]]]:
    return [[parse_runs(cell, None) for cell in row] for row in rows]


def _dice(mine: tuple[Runs, Runs], other: tuple[Runs, Runs]) -> float:
    """Return the Dice of two masks by their runs; two empty ones agree."""
    (starts, ends), (other_starts, other_ends) = mine, other
    sizes = int((ends - starts).sum()) + int((other_ends - other_starts).sum())
    if not len(starts) or not len(other_starts):
        return float(sizes == 0)
    # The number of the other mask's pixels before a pixel is linear between the edges of its runs.
    edges = np.column_stack([other_starts, other_ends]).ravel()
    before = np.column_stack([np.zeros_like(other_starts), other_ends - other_starts]).ravel().cumsum()
    common = (np.interp(ends, edges, before) - np.interp(starts, edges, before)).sum()
    return float(2 * common / sizes)
