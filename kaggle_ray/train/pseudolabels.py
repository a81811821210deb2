"""Test rows that are trained on, with what a teacher predicts of them for labels.

A fold's data then has N + T rows: the training rows, and after them the test rows. Which of the test rows are taken,
and with which labels, follows from the predictions of one trial alone: the teacher's of the same fold.

Shape legend: N training rows, T test rows, P of them that are taken, C columns of a prediction, K classes of a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kaggle_ray.config.pseudolabels import PseudolabelHyperparameters, PseudolabelKind
from kaggle_ray.counted import counted
from kaggle_ray.data.competition import MaskSize
from kaggle_ray.data.head import Head, place_heads
from kaggle_ray.errors import ConfigError
from kaggle_ray.images.augment import resize_masks
from kaggle_ray.images.decode import Pixels
from kaggle_ray.images.joined import JoinedImages
from kaggle_ray.rows import Rows, blocks
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.train.inputs import FitData, Inputs, PseudolabelledRows
from kaggle_ray.types import FloatArray, IntArray, StoredValues, StrArray


def check_pseudolabels(heads: tuple[Head, ...], given: PseudolabelHyperparameters) -> None:
    """Raise ConfigError where a head's answers cannot be labels of the kind that is asked for."""
    if not given.share:
        return
    if given.kind == "soft" and heads[0].task == "segmentation" and len(heads[0].classes) > 1:
        raise ConfigError(
            "hyperparameter 'pseudolabel_kind': expected hard for masks of several classes, got 'soft': such a mask "
            "holds one class a pixel."
        )
    if all(head.task == "regression" for head in heads) and (given.kind == "hard" or given.min_confidence):
        raise ConfigError(
            "hyperparameters 'pseudolabel_kind' and 'pseudolabel_min_confidence': expected soft and 0 where only "
            "numbers are predicted: a number has neither a likeliest class nor a confidence."
        )


def with_pseudolabels(
    data: FitData,
    values: StoredValues,
    given: PseudolabelHyperparameters,
    *,
    test: Inputs,
    test_ids: StrArray,
    id_hashes: npt.NDArray[np.uint64],
    mask: MaskSize | None,
    where: str,
) -> FitData:
    """Return a fold's data with test rows to train on.

    Args:
        data: of the fold.
        values: (T, C) what the teacher of the same fold predicts of the test rows.
        given: how many rows, and which labels.
        test: inputs of the T rows.
        test_ids: (T,) their ids, by which messages name them.
        id_hashes: (T * V,) hashes of these ids.
        mask: the size at which masks are predicted; None where there are none.
        where: names the teacher's trial, for messages.

    Raises:
        ConfigError: no test row is as confident as it has to be.
    """
    floats = float_rows(values)
    confidences = np.concatenate([confidence_of(floats[block], data.heads) for block in blocks(floats)])
    taken = np.flatnonzero(confidences >= given.min_confidence)
    if not len(taken):
        raise ConfigError(
            "hyperparameter 'pseudolabel_min_confidence': expected some of the "
            f"{counted(len(confidences), 'test row')} to reach "
            f"{given.min_confidence:g}, got {confidences.max():.3f} at most, by {where}. Lower it."
        )
    num_wanted = round(len(data.train_rows) * given.share / (1 - given.share))
    num_train = data.num_rows
    are_masks = data.segments
    labels = None if are_masks else _labels_of(floats[:], data.heads, given.kind)
    return replace(
        data,
        inputs=_joined(data.inputs, test),
        target=data.target if are_masks else _with_zeros(data.target, len(test_ids)),
        id_hashes=np.concatenate([data.id_hashes, id_hashes]),
        sample_ids=None if data.sample_ids is None else np.concatenate([data.sample_ids, test_ids]),
        masks=None
        if data.masks is None or mask is None
        else JoinedImages(
            data.masks,
            MaskLabels(values, data.heads[0], (mask.height, mask.width), data.masks.shape[1:3], kind=given.kind),
        ),
        weights=None
        if data.weights is None
        else np.concatenate([data.weights, np.ones(len(test_ids), dtype=np.float32)]),
        auxiliary_target=None
        if data.auxiliary_target is None
        else np.concatenate([data.auxiliary_target, np.full((len(test_ids), data.auxiliary_target.shape[1]), np.nan)]),
        pseudolabelled=PseudolabelledRows(
            first=num_train,
            rows=num_train + taken,
            num_per_epoch=max(1, min(num_wanted, len(taken))),
            labels=labels,
        ),
    )


def confidence_of(values_NC: FloatArray, heads: tuple[Head, ...]) -> FloatArray:
    """Return (N,) the probability of each row's likeliest answer: of its least certain label or head.

    That of masks is the mean over the pixels; numbers have none, and do not count.
    """
    if heads[0].task == "segmentation":
        num_classes = len(heads[0].classes)
        values_NKP = values_NC.reshape(len(values_NC), num_classes, -1)
        likeliest_NP = values_NKP.max(axis=1) if num_classes > 1 else np.maximum(values_NC, 1 - values_NC)
        return np.asarray(likeliest_NP.mean(axis=1), dtype=np.float32)
    of_heads = [np.ones(len(values_NC), dtype=np.float32)]
    for place in place_heads(heads):
        own = values_NC[:, place.outputs]
        if place.head.task == "multiclass":
            of_heads.append(own.max(axis=1))
        elif place.head.task != "regression":
            of_heads.append(np.maximum(own, 1 - own).min(axis=1))
    return np.asarray(np.min(of_heads, axis=0), dtype=np.float32)


def _labels_of(values_NC: FloatArray, heads: tuple[Head, ...], kind: PseudolabelKind) -> FloatArray:
    """Return (N, C) the values, those of classes and labels made 0 or 1 where they are to be hard."""
    labels = np.array(values_NC, dtype=np.float32)
    for place in place_heads(heads) if kind == "hard" else ():
        own = labels[:, place.outputs]
        if place.head.task == "multiclass":
            labels[:, place.outputs] = own.argmax(axis=1)[:, np.newaxis] == np.arange(own.shape[1])
        elif place.head.task != "regression":
            labels[:, place.outputs] = own > 0.5
    return labels


@dataclass(frozen=True, slots=True)
class MaskLabels:
    """Predicted masks as pixels to train on: shares of foreground, 255 being 1, or class numbers."""

    values: StoredValues
    """(T, K * h * w) predictions as they are kept: bytes, 255 being 1."""
    head: Head
    kept: tuple[int, int]
    """Height and width of a prediction."""
    sides: tuple[int, int]
    """Height and width of what is read."""
    kind: PseudolabelKind

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """T, height, width and 1."""
        return (len(self.values), *self.sides, 1)

    @property
    def num_decoded(self) -> int:
        """No image is decoded."""
        return 0

    def read(self, rows: IntArray) -> Pixels:
        """Return (n, height, width, 1) bytes."""
        own = np.asarray(self.values[rows])
        are_classes = len(self.head.classes) > 1
        if are_classes:
            masks = own.reshape(len(own), -1, *self.kept).argmax(axis=1).astype(np.uint8)
        else:
            masks = own.reshape(len(own), *self.kept)
            masks = np.where(masks > 127, 255, 0).astype(np.uint8) if self.kind == "hard" else masks
        return resize_masks(masks[..., np.newaxis], *self.sides, nearest=are_classes)


def _joined(train: Inputs, test: Inputs) -> Inputs:
    table = None if train.table is None or test.table is None else np.concatenate([train.table, test.table])
    counts = None if train.counts is None or test.counts is None else np.concatenate([train.counts, test.counts])
    images = JoinedImages(train.images, test.images)
    return Inputs(images=images, num_views=train.num_views, counts=counts, table=table)


def _with_zeros(target: Rows, num_rows: int) -> Rows:
    """Return the target with rows below it that have none: their labels are kept apart."""
    known = target[:]
    return np.concatenate([known, np.zeros((num_rows, *known.shape[1:]), dtype=known.dtype)])
