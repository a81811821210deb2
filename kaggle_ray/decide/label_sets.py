"""How probable each set of a row's labels is, learnt from rows.

Probabilities of labels say nothing of how many a row has: a scene has at least one, a chip of a satellite one weather
and something below it, and what makes a network miss one label makes it miss others. A set's probability is therefore
that of independent labels, times a weight of its size, with one scale for how sure the labels' log odds are. These are
the likeliest of the rows: under them there are as many rows of each size as were seen.

Shape legend: N rows, L labels.

Source: Darroch and Ratcliff, "Generalized iterative scaling for log-linear models", 1972.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kaggle_ray.decide.expected_f import best_sets, size_probabilities
from kaggle_ray.types import BoolArray, Float64Array, FloatArray, IntArray, Target

_MOST_ROWS = 5000
"""Rows that are learnt from, evenly of all: a scale and a weight for each size need no more."""
_LEAST = 1e-6
"""Least probability of a label, and of its absence."""
_SCALES = (0.2, 5.0)
_SCALE_TOLERANCE = 0.03
_SIZE_TOLERANCE = 1e-4
_MAX_SCALINGS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSets:
    """How probable the sets of labels are."""

    scale: float = 1.0
    """What the log odds of labels are multiplied by."""
    weights: tuple[float, ...] = ()
    """A weight for rows of 0, 1, ..., L labels, 0 where no row had as many; empty where labels are independent."""

    def best(self, values: FloatArray | Float64Array, beta: float) -> BoolArray:
        """Return (N, L) the set of labels with the highest expected F-beta of each row, of probabilities (N, L)."""
        return best_sets(values if self.scale == 1 else _scaled(log_odds(values), self.scale), beta, self.weights)


def fit_label_sets(target: Target, values: FloatArray) -> LabelSets:
    """Return the scale and weights under which the rows' sets of labels are likeliest.

    Args:
        target: (N, L) 0 or 1.
        values: (N, L) probabilities.
    """
    from scipy.optimize import minimize_scalar  # every trial imports this module, and few have labels

    rows = slice(None, None, -(-len(values) // _MOST_ROWS))
    is_there, odds = np.asarray(target[rows] > 0.5), log_odds(values[rows])
    sizes = is_there.sum(axis=1)

    def unlikeliness(log_scale: float) -> float:
        probabilities = _scaled(odds, np.exp(log_scale))
        of_sizes = size_probabilities(probabilities)
        weights = _weights(of_sizes, sizes)
        of_labels = np.log(np.where(is_there, probabilities, 1 - probabilities)).sum(axis=1)
        return -float(np.mean(of_labels + np.log(weights[sizes]) - np.log(of_sizes @ weights)))

    bounds = tuple(np.log(_SCALES))
    found = minimize_scalar(unlikeliness, bounds=bounds, method="bounded", options={"xatol": _SCALE_TOLERANCE})
    scale = float(np.exp(found.x))
    weights = _weights(size_probabilities(_scaled(odds, scale)), sizes)
    return LabelSets(scale=scale, weights=tuple(weights.tolist()))


def log_odds(values: FloatArray | Float64Array) -> Float64Array:
    """Return the log odds of probabilities, which are kept away from 0 and 1."""
    clipped = np.clip(np.asarray(values, dtype=np.float64), _LEAST, 1 - _LEAST)
    return np.log(clipped / (1 - clipped))


def _scaled(odds: Float64Array, scale: float) -> Float64Array:
    """Return the probabilities of scaled log odds."""
    return np.clip(1 / (1 + np.exp(-scale * odds)), _LEAST, 1 - _LEAST)


def _weights(of_sizes: Float64Array, sizes: IntArray) -> Float64Array:
    """Return (L + 1,) the weights under which there are as many rows of each size as were seen, the greatest 1.

    Args:
        of_sizes: (N, L + 1) how probable the sizes are where labels are independent.
        sizes: (N,) those of the rows.
    """
    seen = np.bincount(sizes, minlength=of_sizes.shape[1]) / len(sizes)
    weights = np.where(seen > 0, 1.0, 0.0)
    for _ in range(_MAX_SCALINGS):
        weighted = of_sizes * weights
        expected = (weighted / weighted.sum(axis=1, keepdims=True)).mean(axis=0)
        if np.abs(expected - seen).max() < _SIZE_TOLERANCE:
            break
        np.divide(weights * seen, expected, out=weights, where=seen > 0)
        weights /= weights.max()
    return weights
