"""Contact sheets of a submission: what its cells say of the test images, the likeliest mistakes first.

Shape legend: H and W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.head import Head, place_heads
from kaggle_ray.data.samples import ImagePaths, Samples, views_of
from kaggle_ray.errors import SubmissionError
from kaggle_ray.images.decode import Pixels
from kaggle_ray.report.sheets import captioned, grid, outlined, thumb
from kaggle_ray.submission.answers import Answer
from kaggle_ray.submission.check import read_answers
from kaggle_ray.submission.table import read_sample
from kaggle_ray.types import FloatArray

NUM_SHOWN = 24
"""Pictures of a sheet."""
_TINY = 0.002
"""Share of the image below which a mask is tiny: a few pixels that a model was not sure of."""
_FULL = 0.9
"""Share of the image above which a mask is nearly all of it."""
_COLOR = (60, 120, 255)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownRow:
    """What a submission says of a test image."""

    sample_id: str
    words: str
    """Line beneath the picture."""
    certainty: float
    """Number by which rows are ordered: the least probability of what is named, or a mask's share of the image."""


def submission_sheets(path: Path, competition: Competition, samples: Samples) -> dict[str, Pixels]:
    """Return title -> sheet of a submission: masks that are empty, full or tiny, or the least and most certain labels.

    The file is read twice, some rows at a time: masks of the rows that are shown are in memory.

    Args:
        path: of the submission.
        competition: with the names and sizes that its files tell.
        samples: whose test images are shown.

    Raises:
        SubmissionError: a row is not what the competition asks for, or is of no test image.
    """
    _, ids = read_sample(path)
    rows = [_row(name, answer, competition) for name, answer in zip(ids, read_answers(path, competition), strict=True)]
    paths = dict(zip(samples.test_ids.tolist(), samples.test_paths, strict=True))
    if unknown := [name for name in ids if name not in paths]:
        raise SubmissionError(
            f"{path}: row {unknown[0]!r}: there is no such test image; {counted(len(unknown), 'row is', 'rows are')} "
            "so."
        )
    chosen = _of_masks(rows) if competition.is_segmentation else _of_answers(rows)
    wanted = {row.sample_id for of_sheet in chosen.values() for row in of_sheet}
    answers = {
        name: answer for name, answer in zip(ids, read_answers(path, competition), strict=True) if name in wanted
    }
    return {
        f"{title} ({len(of_sheet)} of {len(rows):,})": _sheet(of_sheet, answers, paths, competition)
        for title, of_sheet in chosen.items()
        if of_sheet
    }


def _of_masks(rows: Sequence[ShownRow]) -> dict[str, list[ShownRow]]:
    """Return the masks that look worst, and others from the smallest to the largest."""
    ordered = sorted(rows, key=lambda row: row.certainty)
    some = [row for row in ordered if row.certainty]
    spread = [some[position] for position in sorted({*np.linspace(0, len(some) - 1, NUM_SHOWN).round().astype(int)})]
    return {
        "Tiny masks": [row for row in some if row.certainty < _TINY][:NUM_SHOWN],
        "Masks of nearly all of the image": [row for row in ordered[::-1] if row.certainty > _FULL][:NUM_SHOWN],
        "Masks from the smallest to the largest": spread if some else [],
        "Empty masks": [row for row in ordered if not row.certainty][:NUM_SHOWN],
    }


def _of_answers(rows: Sequence[ShownRow]) -> dict[str, list[ShownRow]]:
    ordered = sorted(rows, key=lambda row: row.certainty)
    if len({row.certainty for row in rows}) == 1:  # names alone, of which none is more certain than another
        return {"Rows": ordered[:NUM_SHOWN]}
    shown = min(NUM_SHOWN, len(ordered))
    return {"The least certain or smallest": ordered[:shown], "The most certain or largest": ordered[::-1][:shown]}


def _row(sample_id: str, answer: Answer, competition: Competition) -> ShownRow:
    if competition.is_segmentation:
        share = float(np.count_nonzero(answer)) / answer.size
        return ShownRow(sample_id=sample_id, words=f"{sample_id} {share:.2%}", certainty=share)
    told = [_told(place.head, np.asarray(answer[place.outputs])) for place in place_heads(competition.heads)]
    return ShownRow(
        sample_id=sample_id,
        words=f"{sample_id} {' '.join(words for words, _ in told)}",
        certainty=min(certainty for _, certainty in told),
    )


def _told(head: Head, values: FloatArray) -> tuple[str, float]:
    """Return what values say of a head, in words, and how certain that is."""
    if head.task == "regression":
        return f"{values[0]:.3g}", float(values[0])
    if head.task == "multilabel":
        names = [name for name, value in zip(head.classes, values, strict=True) if value > 0.5]
        return " ".join(names) or "none", float(np.maximum(values, 1 - values).min())
    if head.task == "binary":
        values = np.array([1 - values[0], values[0]], dtype=np.float32)
    return f"{head.classes[int(values.argmax())]} {values.max():.2f}", float(values.max())


def _sheet(
    rows: Sequence[ShownRow], answers: Mapping[str, Answer], paths: Mapping[str, ImagePaths], competition: Competition
) -> Pixels:
    cells = []
    for row in rows:
        image = thumb(views_of(paths[row.sample_id])[0], competition)
        if competition.is_segmentation:
            mask = np.where(answers[row.sample_id] > 0, np.uint8(255), np.uint8(0))
            shrunk = cv2.resize(mask, image.shape[1::-1], interpolation=cv2.INTER_AREA)
            image = outlined(image, (shrunk > 0).astype(np.uint8), _COLOR)  # of a tiny one a trace is left
        cells.append(captioned(image, row.words))
    return grid(cells, num_columns=6)
