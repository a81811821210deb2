"""The threshold of a mask's pixels, and the size below which a mask is taken for empty.

Shape legend: N images, P pixels.
"""

from __future__ import annotations

import numpy as np

from kaggle_ray.decide.decision import Decision, decided, without_small_masks
from kaggle_ray.metrics import Metric
from kaggle_ray.rows import Rows, blocks
from kaggle_ray.types import IntArray, JsonValue

_LEVELS = 256
_THRESHOLDS = np.arange(64, 193, 16) / _LEVELS
_MIN_SHARES = (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)
"""Shares of an image's pixels below which a mask may be taken for empty."""


def fit_mask(metric: Metric, target: Rows, values: Rows) -> dict[str, JsonValue]:
    """Return ``threshold`` and ``min_pixels``, smoothed over neighbouring thresholds so that no lucky one wins.

    Args:
        metric: of masks.
        target: (N, P) 0 or 1.
        values: (N, P) probabilities.
    """
    counts = _counts(target, values)
    scores = np.array([_scores(metric, target, values, counts, threshold) for threshold in _THRESHOLDS])
    padded = np.pad(scores, ((1, 1), (0, 0)), mode="edge")
    smooth = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    smooth = smooth if metric.greater_is_better else -smooth
    # Of rules that score alike, the one nearest to a half that lets the smallest masks stand.
    distance = np.abs(_THRESHOLDS - 0.5)[:, np.newaxis] + np.array(_MIN_SHARES)
    row, column = np.unravel_index(np.lexsort((distance.ravel(), -smooth.ravel().round(6)))[0], smooth.shape)
    return {
        "threshold": float(_THRESHOLDS[row]),
        "min_pixels": round(_MIN_SHARES[column] * values.shape[1]),
    }


def _counts(target: Rows, values: Rows) -> IntArray:
    """Return (2, N, levels) how many pixels have a probability of at least each level: all, and those of the mask."""
    counts = np.empty((2, len(values), _LEVELS + 1), dtype=np.int64)
    for block in blocks(values):
        for row, (true_P, values_P) in enumerate(zip(target[block], values[block], strict=True), start=block.start):
            # Level l holds what is above (l - 1) / 256, so that a cut at a level is "more than".
            levels = np.minimum(np.ceil(values_P * _LEVELS).astype(np.int64), _LEVELS)
            for of, chosen in enumerate((levels, levels[true_P > 0])):
                histogram = np.bincount(chosen, minlength=_LEVELS + 1)
                counts[of, row] = histogram[::-1].cumsum()[::-1]
    return counts


def _scores(metric: Metric, target: Rows, values: Rows, counts: IntArray, threshold: float) -> list[float]:
    """Return the score for each of the smallest sizes."""
    level = round(threshold * _LEVELS) + 1
    num_cut, num_both = counts[0][:, level], counts[1][:, level]
    num_true = counts[1][:, 0]
    found: list[float] = []
    for share in _MIN_SHARES:
        min_pixels = round(share * values.shape[1])
        if metric.score_of_counts is not None:
            of_counts = without_small_masks(metric.score_of_counts, min_pixels)
            found.append(float(of_counts(num_true, num_cut, num_both).mean()))
        else:
            rule = Decision(kind="mask", parameters={"threshold": threshold, "min_pixels": min_pixels})
            found.append(decided(metric, rule).score(target, values))
    return found
