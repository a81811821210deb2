"""The cells of a row, written and read: numbers, the names of classes, or run lengths.

Each kind of cell is one class, so that what is written is read by the same rules.

Shape legend: N rows, C columns of a prediction, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kaggle_ray.data.columns import Column
from kaggle_ray.data.competition import Competition, MaskSize
from kaggle_ray.data.head import place_heads
from kaggle_ray.data.submission_format import PixelOrder, SubmissionFormat
from kaggle_ray.decide import Decision, default_decision
from kaggle_ray.rows import Rows, blocks
from kaggle_ray.submission.answers import Answer, answers_of
from kaggle_ray.submission.numerals import parse_number, parse_whole, shown
from kaggle_ray.submission.rle import decode_rle, encode_rle
from kaggle_ray.types import BoolArray, FloatArray, StrArray

Cell = str | float
SUM_TOLERANCE = 0.01
"""How far the probabilities of a row's classes may be from 1 together: what is rounded to a few digits is not 1."""


class CellError(ValueError):
    """A cell is not what the competition asks for."""

    def __init__(self, problem: str, *, column: int | None = None) -> None:
        """Say what is wrong, and in which of the row's cells; None is all of them together."""
        super().__init__(problem)
        self.column = column


class Cells(Protocol):
    """One kind of cell."""

    def write(self, answer: Answer) -> tuple[Cell, ...]:
        """Return the cells of a row."""
        ...

    def read(self, cells: Sequence[str], sample_id: str) -> Answer:
        """Return the answer that the cells of a sample's row say: what was written, to the bit.

        Raises:
            CellError: a cell says none.
        """
        ...


@dataclass(frozen=True, slots=True)
class NumberCells:
    """A number per column; a whole one without a point."""

    columns: tuple[Column, ...]
    """What each cell of a row holds."""
    are_whole: BoolArray
    """(C,) whether the answers of a prediction's column are whole numbers."""
    are_probabilities: bool
    distributions: tuple[slice, ...]
    """The prediction's columns of each head that are probabilities of its classes, which sum to 1."""

    def write(self, answer: Answer) -> tuple[Cell, ...]:
        """Return the numbers; the text of a float is the shortest that reads back as the same."""
        numbers = [
            int(number) if is_whole else number
            for number, is_whole in zip(answer.tolist(), self.are_whole.tolist(), strict=True)
        ]
        return tuple(
            1 - numbers[column.output] if column.is_complement else numbers[column.output] for column in self.columns
        )

    def read(self, cells: Sequence[str], sample_id: str) -> FloatArray:
        """Return (C,) the numbers."""
        values, texts = np.empty(len(self.are_whole), dtype=np.float64), [""] * len(self.are_whole)
        complements: list[tuple[int, float]] = []
        for position, (cell, column) in enumerate(zip(cells, self.columns, strict=True)):
            try:
                number = parse_whole(cell) if self.are_whole[column.output] else parse_number(cell)
            except ValueError as error:
                raise CellError(str(error), column=position) from None
            if self.are_probabilities and not 0 <= number <= 1:
                raise CellError(f"expected a probability from 0 to 1, got {shown(cell)}", column=position)
            if column.is_complement:
                complements.append((column.output, number))
            else:
                values[column.output], texts[column.output] = number, cell
        for columns in self.distributions:
            _check_sum(values[columns].tolist(), texts[columns])
        for output, number in complements:
            _check_sum([number, values[output]], [f"{number:g}", texts[output]])
        return values.astype(np.float32)


@dataclass(frozen=True, slots=True)
class LabelCells:
    """The name of a class."""

    classes: tuple[str, ...]
    num_columns: int
    """C: 1 where the second of two classes is 1 and the first 0."""

    def write(self, answer: Answer) -> tuple[Cell, ...]:
        """Return the name of the class that is 1."""
        return (self.classes[int(answer[0]) if self.num_columns == 1 else int(answer.argmax())],)

    def read(self, cells: Sequence[str], sample_id: str) -> FloatArray:
        """Return (C,) 1 for the named class."""
        _check_names(cells, self.classes)
        number = self.classes.index(cells[0])
        if self.num_columns == 1:
            return np.array([number], dtype=np.float32)
        return np.asarray(np.arange(self.num_columns) == number, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class TagCells:
    """The names of the labels that are there, the format's separator between two of them."""

    labels: tuple[str, ...]
    fmt: SubmissionFormat

    def write(self, answer: Answer) -> tuple[Cell, ...]:
        """Return the names of the labels that are 1."""
        is_there = (answer > 0.5).tolist()
        return (self.fmt.join_tags(name for name, chosen in zip(self.labels, is_there, strict=True) if chosen),)

    def read(self, cells: Sequence[str], sample_id: str) -> FloatArray:
        """Return (C,) 1 for the named labels."""
        names = self.fmt.split_tags(cells[0])
        _check_names(names, self.labels)
        return np.array([name in names for name in self.labels], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class MaskCells:
    """The run lengths of a mask, or of each class of pixels but the background."""

    size: MaskSize
    columns: tuple[Column, ...]
    """Which class each cell of a row is the mask of."""
    order: PixelOrder

    def write(self, answer: Answer) -> tuple[Cell, ...]:
        """Return the run lengths of each column's class: 1, 2, ... in the answer."""
        return tuple(encode_rle(answer == column.output + 1, self.order) for column in self.columns)

    def read(self, cells: Sequence[str], sample_id: str) -> Answer:
        """Return (H, W) the class of each pixel."""
        full = self.size.full_size(sample_id)
        answer = np.zeros(full, dtype=np.uint8)
        for position, (cell, column) in enumerate(zip(cells, self.columns, strict=True)):
            try:
                mask = decode_rle(cell, *full, self.order)
            except ValueError as error:
                raise CellError(str(error), column=position) from None
            if (answer[mask] > 0).any():
                raise CellError("expected one class for each pixel, got pixels that another class has", column=position)
            answer[mask] = column.output + 1
        return answer


def cells_of(competition: Competition) -> Cells:
    """Return the kind of cell that a competition's submission has."""
    fmt, classes = competition.submission, competition.classes
    if fmt.cells == "label":
        return LabelCells(classes, num_columns=competition.num_columns)
    if fmt.cells == "tags":
        return TagCells(classes, fmt)
    if fmt.cells == "rle":
        assert competition.mask is not None, "run lengths are of masks"
        return MaskCells(competition.mask, competition.columns, order=fmt.pixel_order)
    are_probabilities = fmt.cells == "probabilities"
    placed = place_heads(competition.heads) if are_probabilities else ()
    return NumberCells(
        competition.columns,
        default_decision(competition.metric, competition.num_columns).whole_columns(competition.num_columns),
        are_probabilities=are_probabilities,
        distributions=tuple(place.outputs for place in placed if place.head.task == "multiclass"),
    )


def to_cells(
    values: Rows, competition: Competition, decision: Decision, *, ids: StrArray
) -> Iterator[tuple[Cell, ...]]:
    """Yield each row's cells; some rows at a time are in memory.

    Args:
        values: (N, C) predictions, not yet decided.
        competition: says what the cells hold.
        decision: turns predictions into an answer.
        ids: (N,) of the rows.

    Raises:
        SubmissionError: a prediction is not finite.
    """
    cells = cells_of(competition)
    for block in blocks(values):
        yield from map(cells.write, answers_of(values[block], competition, decision, ids=ids[block]))


def _check_sum(numbers: Sequence[float], cells: Sequence[str]) -> None:
    """Raise CellError where the probabilities of a row's classes, of which each is one, do not sum to 1."""
    if abs(sum(numbers) - 1) > SUM_TOLERANCE:
        raise CellError(
            f"expected probabilities of the classes that sum to 1, got {', '.join(cells[:10])}: "
            f"their sum is {sum(numbers):g}"
        )


def _check_names(names: Sequence[str], classes: Sequence[str]) -> None:
    """Raise CellError where a name is unknown or there twice."""
    if unknown := sorted(set(names) - set(classes)):
        got = ", ".join(map(shown, unknown[:20]))
        raise CellError(f"expected classes of {', '.join(classes[:20])}, got {got}", column=0)
    if len(set(names)) < len(names):
        raise CellError(f"a class is there twice: {' '.join(names[:20])}", column=0)


_: Cells = LabelCells((), num_columns=1)
