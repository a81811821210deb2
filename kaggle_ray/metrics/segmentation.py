"""Metrics of masks: each row, an image, is scored by itself, and the mean over the rows is the score.

Shape legend: N rows, P pixels of a mask, flattened, K classes of a pixel.
"""

from __future__ import annotations

import numpy as np

from kaggle_ray.errors import DataError
from kaggle_ray.metrics.metric import Metric
from kaggle_ray.types import Float64Array, IntArray, Target

_IOU_TWENTIETHS = range(10, 20)
"""The thresholds 0.5, 0.55, ... 0.95, in twentieths: whole numbers compare exactly."""


def overlaps(target: Target, values: Float64Array) -> tuple[IntArray, IntArray, IntArray]:
    """Return three times (N,) the pixels of the true mask, of the mask that is cut at 0.5, and of both.

    Args:
        target: (N, P) 0 or 1.
        values: (N, P) probabilities or answers.

    Raises:
        DataError: the shapes differ.
    """
    if target.shape != values.shape:
        raise DataError(
            f"masks: expected target and values of one shape (N, pixels), got {target.shape} and {values.shape}."
        )
    counts = np.zeros((3, len(target)), dtype=np.int64)
    for row in range(len(target)):  # an image at a time: no copy of all masks
        true, cut = target[row] > 0, values[row] > 0.5
        counts[:, row] = np.count_nonzero(true), np.count_nonzero(cut), np.count_nonzero(true & cut)
    return counts[0], counts[1], counts[2]


def dice_of(num_true: IntArray, num_cut: IntArray, num_both: IntArray) -> Float64Array:
    """Return 2 |A and B| / (|A| + |B|) of each image; 1 where both masks are empty."""
    total = num_true + num_cut
    return np.asarray(np.divide(2.0 * num_both, total, out=np.ones(total.shape), where=total > 0))


def average_precision_of(num_true: IntArray, num_cut: IntArray, num_both: IntArray) -> Float64Array:
    """Return the share of the IoU thresholds that each image passes; 1 where both masks are empty, 0 where one is."""
    union = num_true + num_cut - num_both
    passed = np.stack([(20 * num_both > twentieths * union) | (union == 0) for twentieths in _IOU_TWENTIETHS])
    return np.asarray(passed.mean(axis=0), dtype=np.float64)


def _dice(target: Target, values: Float64Array) -> float:
    return float(dice_of(*overlaps(target, values)).mean())


def _mean_ap_iou(target: Target, values: Float64Array) -> float:
    return float(average_precision_of(*overlaps(target, values)).mean())


def _mean_iou(target: Target, values: Float64Array) -> float:
    num_classes = max(values.shape[1] // target.shape[1], 2)
    predicted = values > 0.5 if values.shape == target.shape else values.reshape(len(values), num_classes, -1).argmax(1)
    scores = np.empty((num_classes, len(target)))
    for label in range(num_classes):
        true, answer = target == label, predicted == label
        union = (true | answer).sum(axis=1)
        scores[label] = np.divide((true & answer).sum(axis=1), union, out=np.ones(len(target)), where=union > 0)
    return float(scores.mean(axis=0).mean())


DICE = Metric(
    name="dice",
    score_fn=_dice,
    greater_is_better=True,
    decision="mask",
    score_of_counts=dice_of,
    mean_over_rows=True,
)
"""Mean over the images of 2 |A and B| / (|A| + |B|); 1 where both masks are empty.

Source: the page "Evaluation" of Kaggle's carvana-image-masking-challenge.
"""

MEAN_AP_IOU = Metric(
    name="mean_ap_iou",
    score_fn=_mean_ap_iou,
    greater_is_better=True,
    decision="mask",
    score_of_counts=average_precision_of,
    mean_over_rows=True,
)
"""Mean over the images of the share of the thresholds 0.5, 0.55, ... 0.95 that the intersection over union exceeds. An
empty mask scores 1 where it is rightly empty, else 0.

Source: the page "Evaluation" of Kaggle's tgs-salt-identification-challenge.
"""

MEAN_IOU = Metric(name="mean_iou", score_fn=_mean_iou, greater_is_better=True, mean_over_rows=True)
"""Mean over images and classes, the background among them, of the intersection over union; 1 where a class is in
neither.

Values are (N, K * P) probabilities of the classes, of which the most probable is the answer.
"""
