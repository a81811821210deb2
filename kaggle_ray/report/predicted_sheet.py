"""Pictures of a few samples with what is predicted of them: labels and probabilities beneath, masks drawn over."""

from __future__ import annotations

import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from kaggle_ray.data.competition import Competition
from kaggle_ray.data.head import Head, place_heads
from kaggle_ray.data.samples import Samples, views_of
from kaggle_ray.images.decode import Pixels
from kaggle_ray.report.sheets import captioned, grid, label_of, mask_of, outlined, thumb
from kaggle_ray.types import FloatArray, StrArray

NUM_SAMPLES = 6
_COLOR = (60, 120, 255)
"""Color of masks that are predicted; the true ones are red."""


def sheet_of_train(competition: Competition, samples: Samples, ids: StrArray, values_NC: FloatArray) -> bytes:
    """Return a JPEG of training samples: what is true of each, beneath it what a model that never saw it predicts."""
    rows = _rows_of(samples.train_ids, ids)
    cells = []
    for row, values in zip(rows, values_NC, strict=True):
        image = thumb(views_of(samples.train_paths[row])[0], competition)
        if samples.train_masks is None:
            image = captioned(image, label_of(competition, samples, row))
        else:
            image = outlined(image, mask_of(samples.train_masks[row], competition, image.shape))
        cells.append(_predicted(image, competition, values))
    return _jpeg(cells)


def sheet_of_test(competition: Competition, samples: Samples, ids: StrArray, values_NC: FloatArray) -> bytes:
    """Return a JPEG of test samples with what is predicted of them."""
    paths = [samples.test_paths[row] for row in _rows_of(samples.test_ids, ids)]
    images = [thumb(views_of(path)[0], competition) for path in paths]
    return _jpeg([_predicted(image, competition, values) for image, values in zip(images, values_NC, strict=True)])


def evenly_spaced(number: int) -> list[int]:
    """Return a few positions among ``number``, the first and the last among them.

    >>> evenly_spaced(11)
    [0, 2, 4, 6, 8, 10]
    """
    return sorted({round(each) for each in np.linspace(0, number - 1, min(NUM_SAMPLES, number))})


def _rows_of(all_ids: StrArray, ids: StrArray) -> Sequence[int]:
    return [int(np.flatnonzero(all_ids == each)[0]) for each in ids]


def _predicted(image: Pixels, competition: Competition, values: FloatArray) -> Pixels:
    """Return the image with a row's prediction (C,)."""
    if competition.mask is not None:
        height, width = competition.mask.height, competition.mask.width
        planes = values.reshape(-1, height, width)
        answer = (planes[0] > 0.5) if len(planes) == 1 else planes.argmax(axis=0) > 0
        sides = image.shape[1], image.shape[0]
        return outlined(image, cv2.resize(answer.astype(np.uint8), sides, interpolation=cv2.INTER_NEAREST), _COLOR)
    words = (_words(place.head, values[place.outputs]) for place in place_heads(competition.heads))
    return captioned(image, f"> {' '.join(words)}")


def _words(head: Head, values: FloatArray) -> str:
    if head.task == "regression":
        return f"{values[0]:.3g}"
    if head.task == "multilabel":
        there = [name for name, value in zip(head.classes, values, strict=True) if value > 0.5]
        return " ".join(there) or f"none ({head.classes[int(values.argmax())]} {values.max():.2f})"
    if head.task == "binary":
        values = np.array([1 - values[0], values[0]], dtype=np.float32)
    return f"{head.classes[int(values.argmax())]} {values.max():.2f}"


def _jpeg(cells: Sequence[Pixels]) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(grid(cells, num_columns=3)).save(encoded, format="JPEG", quality=88)
    return encoded.getvalue()
