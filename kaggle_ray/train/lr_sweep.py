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
_STILL_LOW = 0.2
"""Share of the whole fall by which the loss may lie above its lowest, and still be in the valley."""
_BELOW_THE_EDGE = 3.0
"""The valley's upper edge over the suggested rate: a run stays there for many steps, the test for a few."""
_BELOW_THE_END = 10.0
"""The last rate over the suggested one, where the loss has not begun to rise: it may be about to."""


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
    """A third of the highest rate at which the smoothed loss is still near its lowest, or a tenth of the last one where
    it does not rise again; None where it does not fall."""


def lr_sweep(lrs: Sequence[float], losses: Sequence[float]) -> LrSweep:
    """Return the sweep with its smoothed curve and its suggestion.

    The suggestion is a third of the rate at which the loss begins to rise out of its valley, where it lies a fifth of
    its whole fall above its lowest; a tenth of the last rate where it does not rise. It is a good peak for a schedule
    that rises and falls: of the rates at which the test makes progress the highest that is safe. Where the loss fell is
    not asked. A fresh last layer that starts far off falls at once to what a guess costs, at rates that train nothing
    else: the steepest descent, the share of the fall that is done, or a tenth of the rate at the minimum (the usual
    rules, those of fastai among them) then suggest rates that are ten to fifty times too small. Photographs of dogs and
    cats, from scratch: two thirds of the fall done at 8e-5, lowest at 3e-4, flat until 8e-3, so 2.7e-3 is suggested;
    their search space trains at 3e-3. Digits: 1.5e-2, where rates from 1e-2 to 1e-1 trained alike, and best.
    Source: Smith, "Cyclical learning rates for training neural networks", WACV 2017 (the test, and to look for where
    the loss stops falling).

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
        suggestion=_below_the_edge(decades, smoothed),
    )


def _smooth(decades: FloatArray, losses: FloatArray) -> FloatArray:
    """Return the mean of the losses around each rate, weighted by a Gaussian of their distance in decades."""
    distances = (decades[:, np.newaxis] - decades[np.newaxis, :]) / _WIDTH
    weights = np.exp(-0.5 * distances**2)
    return np.asarray((weights * losses).sum(axis=1) / weights.sum(axis=1))


def _below_the_edge(decades: FloatArray, smoothed: FloatArray) -> float | None:
    lowest = int(smoothed.argmin())
    fall = smoothed[0] - smoothed[lowest]
    if fall < _LEAST_FALL * abs(smoothed[0]):
        return None
    rises = np.flatnonzero(smoothed[lowest:] > smoothed[lowest] + _STILL_LOW * fall)
    if not rises.size:
        return math.pow(10.0, float(decades[-1])) / _BELOW_THE_END
    return math.pow(10.0, float(decades[lowest + rises[0] - 1])) / _BELOW_THE_EDGE
