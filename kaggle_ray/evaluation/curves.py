"""Curves of probabilities against the truth: ROC, precision and recall, reliability; thinned, to be drawn.

Shape legend: N rows, L classes or labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kaggle_ray.evaluation.answers import LabelAnswers
from kaggle_ray.types import BoolArray, Float64Array, FloatArray

_MOST_POINTS = 48
_NUM_BINS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """Points of a curve, and the area under it."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    area: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelCurves:
    """How well the probability of one class or label tells the rows that have it from the others."""

    label: str
    roc: Curve
    """Share of the rows that have the label by the share of those that lack it, above each threshold."""
    precision_recall: Curve
    """Precision by recall; the area is the average precision."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reliability:
    """Probabilities in bins, each beside the share of them that came true."""

    said: tuple[float, ...]
    """Mean probability of each bin that is not empty."""
    true: tuple[float, ...]
    """Share of its probabilities that came true."""
    counts: tuple[int, ...]
    error: float
    """Expected calibration error: the mean over all of the difference between both.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """


def label_curves(answers: LabelAnswers, *, most: int) -> list[LabelCurves]:
    """Return the curves of the classes or labels, of many those with the least average precision.

    Of two classes they are the second one's. A label that all rows have, or none, has no curves.
    """
    is_binary = answers.is_exclusive and len(answers.names) == 2
    columns = zip(answers.names, answers.is_there.T, answers.probabilities.T, strict=True)
    found = [
        _curves_of(name, there, values)
        for name, there, values in list(columns)[1 if is_binary else 0 :]
        if there.any() and not there.all()
    ]
    return sorted(found, key=lambda curves: curves.precision_recall.area)[:most]


def reliability_of(answers: LabelAnswers) -> Reliability:
    """Return the reliability of the most probable class of each row; of two classes, or labels, of all probabilities.

    What is said of two classes is said of the second one.
    """
    if not answers.is_exclusive:
        said, came_true = answers.probabilities.ravel(), answers.is_there.ravel()
    elif len(answers.names) == 2:
        said, came_true = answers.probabilities[:, 1], answers.is_there[:, 1]
    else:
        rows, best = np.arange(len(answers.is_there)), answers.probabilities.argmax(axis=1)
        said, came_true = answers.probabilities[rows, best], answers.is_there[rows, best]
    said = said.astype(np.float64).clip(0, 1)
    bin_of = np.minimum((said * _NUM_BINS).astype(np.int64), _NUM_BINS - 1)
    counts = np.bincount(bin_of, minlength=_NUM_BINS)
    is_used = counts > 0
    means = [
        np.bincount(bin_of, weights=of, minlength=_NUM_BINS)[is_used] / counts[is_used] for of in (said, came_true)
    ]
    return Reliability(
        said=tuple(means[0].tolist()),
        true=tuple(means[1].tolist()),
        counts=tuple(counts[is_used].tolist()),
        error=float(np.average(np.abs(means[0] - means[1]), weights=counts[is_used])),
    )


def _curves_of(name: str, there: BoolArray, values: FloatArray) -> LabelCurves:
    from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

    false_share, true_share, _ = roc_curve(there, values)
    precision, recall, _ = precision_recall_curve(there, values)
    return LabelCurves(
        label=name,
        roc=_thinned(false_share, true_share, float(auc(false_share, true_share))),
        precision_recall=_thinned(recall[::-1], precision[::-1], float(average_precision_score(there, values))),
    )


def _thinned(x: Float64Array, y: Float64Array, area: float) -> Curve:
    """Return a curve of few points, evenly spaced along it, the first and the last among them."""
    along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], _MOST_POINTS)).clip(0, len(x) - 1))
    return Curve(x=tuple(x[kept].round(4).tolist()), y=tuple(y[kept].round(4).tolist()), area=area)
