"""What a learning-rate range test found: a rate per step, the losses, and the rate that they suggest. Without torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kaggle_ray.types import FloatArray

_WIDTH = 0.25
"""Width of the smoothing, in decades of the learning rate: the deviation of a Gaussian."""
_LEAST_FALL = 0.02
"""Share of the first loss by which it has to fall to suggest anything."""

_DONE = 2 / 3
"""Share of the whole fall that is done at the suggested rate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LrSweep:
    """A range test, from the lowest rate up to where the loss diverged or the range ended."""

    lrs: tuple[float, ...]
    """Learning rate of each step, ascending, each the same multiple of the one before."""
    losses: tuple[float, ...]
    """Loss of each step's batch, before the step."""
    smoothed: tuple[float, ...]
    """The losses, smoothed over neighbouring rates on both sides, so that the curve does not lag."""
    suggestion: float | None
    """The rate at which two thirds of the smoothed loss's fall are done; None where it does not fall."""


def lr_sweep(lrs: Sequence[float], losses: Sequence[float]) -> LrSweep:
    """Return the sweep with its smoothed curve and its suggestion.

    The suggestion lies in the valley between where the loss begins to fall and its minimum: the rate from which on at
    least two thirds of the smoothed loss's whole fall are done. It is a good peak for a schedule that rises and falls;
    at the minimum training is close to diverging. The rate of the steepest descent, the other usual choice, is found
    nearby, but moves more from seed to seed, and falls for the quick gain of the first few steps.
    Source: Smith, "Cyclical learning rates for training neural networks", WACV 2017 (the test).

    Args:
        lrs: ascending, evenly spaced in their logarithm.
        losses: finite, as many.
    """
    decades = np.log10(np.asarray(lrs, dtype=np.float64))
    smoothed = _smooth(decades, np.asarray(losses, dtype=np.float64))
    return LrSweep(
        lrs=tuple(map(float, lrs)),
        losses=tuple(map(float, losses)),
        smoothed=tuple(smoothed.tolist()),
        suggestion=_in_the_valley(decades, smoothed),
    )


def _smooth(decades: FloatArray, losses: FloatArray) -> FloatArray:
    """Return the mean of the losses around each rate, weighted by a Gaussian of their distance in decades."""
    distances = (decades[:, np.newaxis] - decades[np.newaxis, :]) / _WIDTH
    weights = np.exp(-0.5 * distances**2)
    return np.asarray((weights * losses).sum(axis=1) / weights.sum(axis=1))


def _in_the_valley(decades: FloatArray, smoothed: FloatArray) -> float | None:
    lowest = int(smoothed.argmin())
    fall = smoothed[0] - smoothed[lowest]
    if fall < _LEAST_FALL * abs(smoothed[0]):
        return None
    is_above = smoothed[:lowest] > smoothed[0] - _DONE * fall
    return math.pow(10.0, float(decades[is_above.nonzero()[0][-1]]))
