"""What experiments are worth that were run on different folds: effects in a layout of experiments and folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kaggle_ray.types import Float64Array


def fold_adjusted(scores: Sequence[Mapping[int, float]]) -> Float64Array:
    """Return (E,) the score that each experiment would have on all folds; NaN for one without any.

    A fold is harder or easier than another for all experiments alike: score = experiment + fold, by least squares, the
    folds' effects being 0 on average. So an experiment is compared by its differences to others on the folds that they
    share, whether it has one fold or five. Where it has all folds, as have the others, it is their mean. Groups of
    experiments that share no fold, not even through others, are compared by their scores as they are.

    Args:
        scores: (E,) fold -> score, of each experiment; those that are not finite do not count.
    """
    cells = [(row, fold, y) for row, of in enumerate(scores) for fold, y in of.items() if np.isfinite(y)]
    adjusted = np.full(len(scores), np.nan)
    if not cells:
        return adjusted
    rows, folds = sorted({row for row, _, _ in cells}), sorted({fold for _, fold, _ in cells})
    values = np.array([y for _, _, y in cells])
    design = np.zeros((len(cells) + 1, len(rows) + len(folds)))
    for cell, (row, fold, _) in enumerate(cells):
        design[cell, [rows.index(row), len(rows) + folds.index(fold)]] = 1.0
    design[-1, len(rows) :] = 1.0  # the folds' effects sum to 0
    # Around the mean, as the solution of least norm is taken where several are as good.
    effects = np.linalg.lstsq(design, np.append(values - values.mean(), 0.0), rcond=None)[0]
    adjusted[rows] = effects[: len(rows)] + values.mean()
    return adjusted
