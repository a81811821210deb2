"""The threshold of a mask's pixels, and the size below which a mask is taken for empty.

Shape legend: N images, P pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kaggle_ray.decide.decision import Decision, decided, without_small_masks
from kaggle_ray.metrics import CountsScore, Metric
from kaggle_ray.rows import Rows, blocks
from kaggle_ray.types import BoolArray, Float64Array, IntArray

_LEVELS = 16
_CUTS = np.arange(4, 13)
_THRESHOLDS = _CUTS / _LEVELS
_MIN_SHARES = (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)
"""Shares of an image's pixels below which a mask may be taken for empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskCounts:
    """Pixels of some masks, cut at each of the thresholds: all that their rules are fitted and scored by."""

    num_pixels: int
    """P."""
    num_true: IntArray
    """Pixels (N,) of the true masks."""
    num_cut: IntArray
    """(N, thresholds) above each threshold."""
    num_both: IntArray
    """(N, thresholds) those of them that are of the true mask."""

    def of_rows(self, rows: BoolArray | IntArray) -> MaskCounts:
        """Return the counts of some of the images."""
        return MaskCounts(
            num_pixels=self.num_pixels,
            num_true=self.num_true[rows],
            num_cut=self.num_cut[rows],
            num_both=self.num_both[rows],
        )

    def scores(self, score_of_counts: CountsScore, rule: Decision) -> Float64Array | None:
        """Return (N,) the scores of the images under a rule, None where its threshold is not one of those counted."""
        (places,) = np.nonzero(np.equal(_THRESHOLDS, rule.threshold))
        if not len(places):
            return None
        place = int(places[0])
        of_counts = without_small_masks(score_of_counts, rule.min_pixels)
        return of_counts(self.num_true, self.num_cut[:, place], self.num_both[:, place])


def count_masks(target: Rows, values: Rows) -> MaskCounts:
    """Return the counts of ``values`` (N, P) against ``target`` (N, P), all of which is read once."""
    num_levels = _LEVELS + 1
    above = np.empty((len(values), 2, num_levels), dtype=np.int64)
    for block in blocks(values):
        # Level l holds what is above (l - 1) / 16, so that a cut at a level is "more than".
        levels = np.multiply(values[block], np.float32(_LEVELS))
        np.clip(np.ceil(levels, out=levels), 0, _LEVELS, out=levels)
        places = levels.astype(np.uint8)
        places += np.uint8(num_levels) * (target[block] > 0)
        for image, of_image in enumerate(places, start=block.start):
            histogram = np.bincount(of_image, minlength=2 * num_levels).reshape(2, num_levels)
            above[image] = histogram[:, ::-1].cumsum(axis=1)[:, ::-1]
    cuts = _CUTS + 1
    return MaskCounts(
        num_pixels=values.shape[1],
        num_true=above[:, 1, 0],
        num_cut=above[:, :, cuts].sum(axis=1),
        num_both=above[:, 1, cuts],
    )


def fit_mask(metric: Metric, target: Rows, values: Rows) -> Decision:
    """Return the rule for masks under which ``values`` (N, P) score best against ``target`` (N, P), 0 or 1."""
    if metric.score_of_counts is not None:
        return fit_counted(metric.score_of_counts, count_masks(target, values), metric.greater_is_better)
    rules = _rules(values.shape[1])
    scores = [[decided(metric, rule).score(target, values) for rule in of_threshold] for of_threshold in rules]
    return _best(rules, np.array(scores), metric.greater_is_better)


def fit_counted(score_of_counts: CountsScore, counts: MaskCounts, greater_is_better: bool) -> Decision:
    """Return the rule under which what was counted scores best."""
    rules = _rules(counts.num_pixels)
    of_rows = [[counts.scores(score_of_counts, rule) for rule in of_threshold] for of_threshold in rules]
    scores = [[np.nan if scores is None else scores.mean() for scores in of_threshold] for of_threshold in of_rows]
    return _best(rules, np.array(scores), greater_is_better)


def _rules(num_pixels: int) -> list[list[Decision]]:
    """Return the rules of each threshold, from the least size below which a mask is taken for empty."""
    return [
        [
            Decision(kind="mask", parameters={"threshold": threshold, "min_pixels": round(share * num_pixels)})
            for share in _MIN_SHARES
        ]
        for threshold in _THRESHOLDS.tolist()
    ]


def _best(rules: Sequence[Sequence[Decision]], scores: Float64Array, greater_is_better: bool) -> Decision:
    """Return the best rule, scores being smoothed over neighbouring thresholds so that no lucky one wins."""
    padded = np.pad(scores, ((1, 1), (0, 0)), mode="edge")
    smooth = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    smooth = smooth if greater_is_better else -smooth
    # Of rules that score alike, the one nearest to a half that lets the smallest masks stand.
    distance = np.abs(_THRESHOLDS - 0.5)[:, np.newaxis] + np.array(_MIN_SHARES)
    row, column = np.unravel_index(np.lexsort((distance.ravel(), -smooth.ravel().round(6)))[0], smooth.shape)
    return rules[row][column]
