"""Labels that are probably wrong, by confident learning: what is predicted out of fold, against what is given.

Source: Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021.

Shape legend: N rows, L classes or labels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kaggle_ray.evaluation.answers import LabelAnswers
from kaggle_ray.types import BoolArray, Float64Array, IntArray


def label_doubts(answers: LabelAnswers) -> Float64Array:
    """Return (N,) how much speaks against the label that each row has: above 0 where another one is more probable.

    Of classes it is the probability of the best other class less that of the given one, each measured by how sure the
    model is of a class on average. Of labels it is the greatest such difference between having one and lacking it.
    """
    values = answers.probabilities.astype(np.float64)
    if answers.is_exclusive:
        return _doubts(answers.is_there, values)
    of_labels = [
        _doubts(np.stack([there, ~there], axis=1), np.stack([said, 1 - said], axis=1))
        for there, said in zip(answers.is_there.T, values.T, strict=True)
    ]
    return np.asarray(np.max(of_labels, axis=0))


def suspects(answers: LabelAnswers) -> IntArray:
    """Return the positions of the rows whose label is suspected to be wrong, the most doubtful one first."""
    doubts = label_doubts(answers)
    order: IntArray = np.argsort(-doubts, kind="stable")
    return order[doubts[order] > 0]


def _doubts(there: BoolArray, values: Float64Array) -> Float64Array:
    """Return (N,) the doubts of the class that each row has, of (N, L)."""
    adjusted = values - _mean_confidence(there, values)
    given = adjusted[there]
    return np.asarray(np.where(there, -np.inf, adjusted).max(axis=1) - given)


def _mean_confidence(there: BoolArray, values: Float64Array) -> npt.NDArray[np.float64]:
    """Return (L,) the mean probability of each class on the rows that are said to be of it; of none, that on all."""
    num_there = there.sum(axis=0)
    sums = np.where(there, values, 0).sum(axis=0)
    return np.asarray(np.divide(sums, num_there, out=values.mean(axis=0), where=num_there > 0))
