"""The contract of a searcher: call ``check_searcher`` in a test of each one of your own."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from itertools import islice

import numpy as np

from kaggle_ray.config import choice, int_uniform, log_uniform
from kaggle_ray.config.distributions import Choice
from kaggle_ray.config.search import Draw
from kaggle_ray.schedule.searchers import Draws, Round, Told, random_draws

_SIZE = 4
_FIRST = Round(
    dimensions={
        "lr": log_uniform(1e-4, 1e-2),
        "batch_size": int_uniform(16, 64, step=16),
        "augment": choice(["none", "light"]),
    },
    told=(),
    seed=3,
    number=0,
    num_before=0,
    size=_SIZE,
)


def check_searcher(searcher: Draws) -> None:
    """Check that draws are of the space, and that nothing but the round decides them.

    Args:
        searcher: is asked for a first round, and for a second one that is told how the first went.

    Raises:
        AssertionError: it does not keep to it; or whatever the searcher raised.
    """
    told = [Told(draw=draw, loss=float(loss)) for loss, draw in enumerate(islice(random_draws(_FIRST), _SIZE))]
    second = dataclasses.replace(_FIRST, number=1, told=told, num_before=_SIZE)
    for of in (_FIRST, second):
        drawn, again = _drawn(searcher, of, 0), _drawn(searcher, of, 1)
        assert drawn == again, "the same round has other draws: what else is random, or remembered?"
        assert len(drawn) == of.size, f"expected at least {of.size} draws, got {len(drawn)}"
        for draw in drawn:
            assert set(draw) == set(of.dimensions), f"expected values of {sorted(of.dimensions)}, got {sorted(draw)}"
            for name, value in draw.items():
                distribution = of.dimensions[name]
                if isinstance(distribution, Choice):
                    assert value in distribution.values, f"{name}: {value!r} is none of the choices"
                else:
                    assert isinstance(value, int | float), f"{name}: expected a number, got {value!r}"
                    assert distribution.low <= value <= distribution.high, f"{name}: {value!r} is out of range"


def _drawn(searcher: Draws, of: Round, disturbance: int) -> Sequence[Draw]:
    np.random.seed(disturbance)  # what a searcher must not draw from
    random.seed(disturbance)
    return [dict(draw) for draw in islice(searcher(of), of.size)]
