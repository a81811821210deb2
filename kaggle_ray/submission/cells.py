"""What stands in a submission's cells: numbers, the names of classes, or run lengths.

Shape legend: N rows, C columns of a prediction, K classes of a pixel, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np

from kaggle_ray.data.competition import Competition, MaskSize
from kaggle_ray.decide import Decision
from kaggle_ray.errors import SubmissionError
from kaggle_ray.rows import Rows, blocks
from kaggle_ray.submission.rle import decode_rle, encode_rle
from kaggle_ray.submission.table import SubmissionTable, parse_values
from kaggle_ray.types import ByteArray, FloatArray

Cell = str | float


def to_cells(values: Rows, competition: Competition, decision: Decision) -> Iterator[tuple[Cell, ...]]:
    """Yield each row's cells; some rows at a time are in memory.

    Args:
        values: (N, C) predictions, not yet decided.
        competition: says what the cells hold.
        decision: turns predictions into an answer; numbers are written as they are.
    """
    for block in blocks(values):
        yield from _cells_of(values[block], competition, decision)


def _cells_of(values: FloatArray, competition: Competition, decision: Decision) -> Iterator[tuple[Cell, ...]]:
    kind, classes = competition.submission.cells, competition.classes
    if kind in ("probabilities", "numbers"):
        yield from map(tuple, values.astype(np.float64).tolist())
    elif kind == "label":
        answers = decision.apply(values)
        best = answers.argmax(axis=1) if len(classes) > 2 or values.shape[1] > 1 else (answers[:, 0] > 0.5).astype(int)
        yield from ((classes[number],) for number in best.tolist())
    elif kind == "tags":
        for chosen in decision.apply(values) > 0.5:
            yield (" ".join(name for name, is_there in zip(classes, chosen.tolist(), strict=True) if is_there),)
    else:
        assert competition.mask is not None, "run lengths are of masks"
        for row in values:
            mask = enlarged(row, competition.mask, decision)
            foreground = range(1, max(2, len(classes)))
            yield tuple(encode_rle(mask == number, competition.submission.pixel_order) for number in foreground)


def enlarged(values_P: FloatArray, size: MaskSize, decision: Decision) -> ByteArray:
    """Return (full H, full W) the decided class of each pixel of one image.

    The probabilities are enlarged first and decided then: the other way round, an outline would be as coarse as they
    are.

    Args:
        values_P: (K * height * width,) probabilities of one image, at the size that they are kept at.
        size: both sizes.
        decision: of masks.
    """
    planes_KHW = values_P.reshape(-1, size.height, size.width)
    full = (size.full_width, size.full_height)
    if (size.height, size.width) != (size.full_height, size.full_width):
        planes_KHW = np.stack([cv2.resize(plane, full, interpolation=cv2.INTER_LINEAR) for plane in planes_KHW])
    if len(planes_KHW) > 1:
        return np.asarray(planes_KHW.argmax(axis=0), dtype=np.uint8)
    times = size.full_height * size.full_width / (size.height * size.width)
    answer = decision.enlarged(times).apply(planes_KHW.reshape(1, -1))
    return np.asarray(answer.reshape(size.full_height, size.full_width) > 0.5, dtype=np.uint8)


def check_cells(table: SubmissionTable, competition: Competition) -> None:
    """Check that every cell is what the competition's kind of cell allows.

    Raises:
        SubmissionError: a number is missing, infinite or no probability, a class is unknown or there twice, or run
            lengths do not describe a mask of the full size; row and column are named.
    """
    if competition.submission.cells in ("probabilities", "numbers"):
        _check_numbers(table, probabilities=competition.submission.cells == "probabilities")
        return
    check: Callable[[str], str | None] = {
        "label": lambda cell: _wrong_names([cell], competition.classes),
        "tags": lambda cell: _wrong_names(cell.split(), competition.classes),
        "rle": lambda cell: _wrong_rle(cell, competition),
    }[competition.submission.cells]
    for sample_id, cells in zip(table.ids, table.cells, strict=True):
        for column, cell in zip(table.header[1:], cells, strict=True):
            if problem := check(cell):
                raise SubmissionError(f"{table.path}: row {sample_id!r}, column {column!r}: {problem}.")


def _check_numbers(table: SubmissionTable, *, probabilities: bool) -> None:
    values = parse_values(table)
    outside = (values < 0) | (values > 1)
    if probabilities and outside.any():
        row, column = (int(position) for position in np.argwhere(outside)[0])
        raise SubmissionError(
            f"{table.path}: row {table.ids[row]!r}, column {table.header[column + 1]!r}: expected a probability from 0 "
            f"to 1, got {table.cells[row][column]!r}; {np.count_nonzero(outside)} cells are like that."
        )


def _wrong_names(names: Sequence[str], classes: Sequence[str]) -> str | None:
    if unknown := sorted(set(names) - set(classes)):
        return f"expected classes of {', '.join(classes[:20])}, got {', '.join(unknown)}"
    return None if len(set(names)) == len(names) else f"a class is there twice: {' '.join(names)}"


def _wrong_rle(cell: str, competition: Competition) -> str | None:
    assert competition.mask is not None, "run lengths are of masks"
    size = competition.mask
    try:
        decode_rle(cell, size.full_height, size.full_width, competition.submission.pixel_order)
    except SubmissionError as error:
        return str(error)
    return None
