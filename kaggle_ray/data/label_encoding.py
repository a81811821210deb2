"""What a table says of its rows, as numbers: classes, labels, and how much of a mask is foreground."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kaggle_ray.data.ids import composed
from kaggle_ray.errors import DataError
from kaggle_ray.types import Float64Array, IntArray


def encode_tags(texts: Sequence[str], classes: Sequence[str], *, ids: Sequence[str], where: str) -> IntArray:
    """Return (N, L) 1 where a row's text, names separated by spaces, has the label.

    >>> from kaggle_ray import encode_tags
    >>> encode_tags(["clear road", "cloudy"], ("clear", "cloudy", "road"), ids=["a", "b"], where="train.csv").tolist()
    [[1, 0, 1], [0, 1, 0]]

    Raises:
        DataError: a name is not among the classes; the sample is named.
    """
    positions = {composed(name): number for number, name in enumerate(classes)}
    target = np.zeros((len(texts), len(classes)), dtype=np.int64)
    for row, (sample_id, text) in enumerate(zip(ids, map(composed, texts), strict=True)):
        if unknown := sorted(set(text.split()) - positions.keys()):
            raise DataError(
                f"{where}: sample {sample_id!r} has the tag {unknown[0]!r}, expected some of {list(classes)}."
            )
        target[row, [positions[name] for name in text.split()]] = 1
    return target


def rle_coverage(texts: Sequence[str], num_pixels: int) -> Float64Array:
    """Return (N,) the share of foreground of masks that are given as run lengths, ``start length start length ...``.

    >>> from kaggle_ray import rle_coverage
    >>> rle_coverage(["1 2 9 2", ""], num_pixels=16).tolist()
    [0.25, 0.0]
    """
    lengths = [sum(int(length) for length in text.split()[1::2]) for text in texts]
    return np.array(lengths, dtype=np.float64) / num_pixels


def encode_labels(labels: Sequence[str], classes: Sequence[str], *, ids: Sequence[str], where: str) -> IntArray:
    """Return (N,) the position of each label in ``classes``.

    >>> from kaggle_ray import encode_labels
    >>> encode_labels(["dog", "cat"], ("cat", "dog"), ids=["a", "b"], where="train.csv").tolist()
    [1, 0]

    Raises:
        DataError: a label is not among the classes; the sample is named.
    """
    positions = {composed(name): number for number, name in enumerate(classes)}
    texts = [composed(label) for label in labels]
    for sample_id, label in zip(ids, texts, strict=True):
        if label not in positions:
            raise DataError(f"{where}: sample {sample_id!r} has the label {label!r}, expected one of {list(classes)}.")
    return np.array([positions[label] for label in texts], dtype=np.int64)
