"""What a sample submission tells of each column's cells, where no competition declares them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from kaggle_ray.data.submission_format import PixelOrder
from kaggle_ray.submission.cells import SUM_TOLERANCE, CellError
from kaggle_ray.submission.numerals import parse_number, shown
from kaggle_ray.submission.rle import decode_rle, parse_runs
from kaggle_ray.submission.table import read_blocks

_OF_MASKS = re.compile(r"rle|mask|encoded_?pixels|run_?length|segmentation", re.IGNORECASE)
"""Words in the name of a column of run lengths."""


class CellRule(Protocol):
    """What a column's cells have to be."""

    @property
    def told(self) -> str:
        """What it is, in a few words."""
        ...

    def check(self, cell: str) -> None:
        """Raise ValueError where a cell is something else."""
        ...


@dataclass(frozen=True, slots=True)
class NumberRule:
    """A finite number."""

    is_probability: bool

    @property
    def told(self) -> str:
        """What the cells are."""
        return "a number from 0 to 1, as in the sample" if self.is_probability else "a finite number"

    def check(self, cell: str) -> None:
        """Raise ValueError where the cell is no number, or none of the range."""
        number = parse_number(cell)
        if self.is_probability and not 0 <= number <= 1:
            raise ValueError(f"expected a number from 0 to 1, as in the sample, got {shown(cell)}")


@dataclass(frozen=True, slots=True)
class JoinedNumbersRule:
    """Several numbers with one blank between two of them."""

    num_numbers: int
    are_probabilities: bool
    sum_to_one: bool

    @property
    def told(self) -> str:
        """What the cells are."""
        what = "probabilities" if self.are_probabilities else "numbers"
        return f"{self.num_numbers} {what} joined by spaces{', which sum to 1' if self.sum_to_one else ''}"

    def check(self, cell: str) -> None:
        """Raise ValueError where there are more or fewer numbers, or one is no number or out of range."""
        words = cell.split(" ")
        if len(words) != self.num_numbers:
            raise ValueError(f"expected {self.told}, got {len(words)}: {shown(cell)}")
        of_word = NumberRule(self.are_probabilities)
        for word in words:
            of_word.check(word)
        if self.sum_to_one and abs((total := sum(map(float, words))) - 1) > SUM_TOLERANCE:
            raise ValueError(f"expected {self.told}, got {shown(cell)}: their sum is {total:g}")


@dataclass(frozen=True, slots=True)
class RunLengthsRule:
    """The run lengths of a mask."""

    size: tuple[int, int] | None
    """Height and width of all masks; None where nobody has said them."""
    order: PixelOrder

    @property
    def told(self) -> str:
        """What the cells are."""
        of_size = f"a mask of {self.size[0]} x {self.size[1]}" if self.size else "a mask whose size is not known"
        return f"run lengths of {of_size}"

    def check(self, cell: str) -> None:
        """Raise ValueError where the cell is no run lengths, or none of such a mask."""
        if self.size is None:
            parse_runs(cell, None)
        else:
            decode_rle(cell, *self.size, self.order)


@dataclass(frozen=True, slots=True)
class NameRule:
    """The name of something, such as a class: which there are, a sample does not tell."""

    may_be_empty: bool
    may_be_number: bool = False

    @property
    def told(self) -> str:
        """What the cells are."""
        return "a text, of which the sample tells no more" if self.may_be_number else "a name, whichever there are"

    def check(self, cell: str) -> None:
        """Raise ValueError where the cell is empty, has blanks around it, or is a number."""
        if not cell and not self.may_be_empty:
            raise ValueError("expected a name, got ''")
        if cell != cell.strip():
            raise ValueError(f"expected a name without blanks around it, got {shown(cell)}")
        if not self.may_be_number and _is_number(cell):
            raise ValueError(f"expected a name, as in the sample, got the number {shown(cell)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleCells:
    """What the cells of a row have to be, by the sample."""

    header: tuple[str, ...]
    rules: tuple[CellRule, ...]
    """Rule of each column but the id's."""
    sum_to_one: bool
    """Whether the numbers of each of the sample's rows sum to 1."""

    def check(self, cells: Sequence[str]) -> None:
        """Raise CellError, which names the column, where a cell is not what its column asks for."""
        for position, (cell, rule) in enumerate(zip(cells, self.rules, strict=True)):
            try:
                rule.check(cell)
            except ValueError as error:
                raise CellError(str(error), column=position) from None

    def sum_of(self, cells: Sequence[str]) -> float | None:
        """Return the sum of a row that should be 1 and is not; None for any other."""
        total = sum(map(float, cells)) if self.sum_to_one else 1.0
        return total if abs(total - 1) > SUM_TOLERANCE else None

    @property
    def told(self) -> tuple[str, ...]:
        """What each column is held to, columns that are alike in one line."""
        columns_of: dict[str, list[str]] = {}
        for name, rule in zip(self.header[1:], self.rules, strict=True):
            columns_of.setdefault(rule.told, []).append(name)
        return tuple(f"{_listed(names)}: {told}" for told, names in columns_of.items())


def sample_cells(path: Path, *, mask_size: tuple[int, int] | None, order: PixelOrder) -> SampleCells:
    """Return what the cells of a sample submission tell; what they do not tell is not asked for.

    Args:
        path: of the sample.
        mask_size: height and width of all masks, which no sample tells; None where they are not known.
        order: in which the pixels of masks are counted.

    Raises:
        SubmissionError: the file is missing or no CSV.
    """
    blocks = list(read_blocks(path))
    header = blocks[0].header
    rows = [cells for block in blocks for cells in block.cells]
    columns = [[row[position] for row in rows] for position in range(len(header) - 1)]
    rules = tuple(
        _rule_of(cells, name, mask_size=mask_size, order=order) for name, cells in zip(header[1:], columns, strict=True)
    )
    are_shares = len(rules) > 1 and all(isinstance(rule, NumberRule) and rule.is_probability for rule in rules)
    sums = np.array(columns, dtype=np.float64).sum(axis=0) if are_shares else np.zeros(1)
    return SampleCells(
        header=header, rules=rules, sum_to_one=bool(are_shares and (np.abs(sums - 1) <= SUM_TOLERANCE).all())
    )


def _rule_of(cells: Sequence[str], name: str, *, mask_size: tuple[int, int] | None, order: PixelOrder) -> CellRule:
    filled = [cell.split(" ") for cell in cells if cell]
    are_numbers = all(_is_number(word) for words in filled for word in words)
    lengths = {len(words) for words in filled}
    is_decimal = any("." in word for words in filled for word in words)
    if are_numbers and not is_decimal and (_OF_MASKS.search(name) or any(length > 1 for length in lengths)):
        return RunLengthsRule(mask_size, order)
    if not are_numbers or not filled or len(lengths) > 1:
        return NameRule(may_be_empty=len(filled) < len(cells), may_be_number=are_numbers)
    numbers = np.array([float(word) for words in filled for word in words])
    # All 0 or 1 may be answers, counts or probabilities: the sample does not tell.
    are_probabilities = bool(((numbers >= 0) & (numbers <= 1)).all() and is_decimal and (numbers % 1 > 0).any())
    (num_numbers,) = lengths
    if num_numbers == 1:
        return NumberRule(are_probabilities)
    sums = numbers.reshape(-1, num_numbers).sum(axis=1)
    return JoinedNumbersRule(num_numbers, are_probabilities, bool((np.abs(sums - 1) <= SUM_TOLERANCE).all()))


def _is_number(text: str) -> bool:
    try:
        parse_number(text)
    except ValueError:
        return False
    return True


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f", ... ({len(names)})" if len(names) > 6 else "")
