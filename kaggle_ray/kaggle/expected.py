"""The public score to expect of a submission, from its out-of-fold predictions.

Both scores are of a sample of rows: the out-of-fold one of the training rows, the public one of a part of the test
rows. So the interval is that of their difference, and has the noise of both. It takes the test rows for draws from
where the training rows are from: what lies outside of it is a finding (see ``verdict``).

Shape legend: N scored training rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kaggle_ray.errors import ConfigError
from kaggle_ray.types import Float64Array, IntArray, StrArray

ScoreOfRows = Callable[[IntArray], float]
"""Numbers of rows, one of them perhaps several times -> their score."""

_MIN_UNITS = 20
"""Rows, or groups of rows, below which resampling says little of the noise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpectedScore:
    """The score to expect on other rows, and how far it may be off."""

    score: float
    """The honest out-of-fold score, which the public one is expected at."""
    low: float
    high: float
    """The interval."""
    level: float
    """Chance that the interval holds the public score."""
    oof_std: float
    """Standard deviation of the out-of-fold score, of the rows that it happens to be of."""
    public_std: float
    """Standard deviation of the public score, of the rows that it happens to be of."""

    @property
    def std(self) -> float:
        """Standard deviation of the difference of both scores."""
        return float(np.hypot(self.oof_std, self.public_std))

    def holds(self, public: float) -> bool:
        """Return whether a public score lies within the interval."""
        return self.low <= public <= self.high


def expected_score(
    score_of: ScoreOfRows,
    *,
    score: float,
    num_rows: int,
    num_public: int,
    groups: StrArray | None = None,
    level: float = 0.9,
    num_draws: int = 1000,
    seed: int = 0,
) -> ExpectedScore:
    """Return the public score to expect; rows are resampled, or whole groups of rows that belong together.

    Source: B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993: chapters 6 and 13.

    Args:
        score_of: scores training rows by their out-of-fold predictions.
        score: the honest score of all of them.
        num_rows: N.
        num_public: rows that the public score is of.
        groups: (N,) which rows belong together, such as photographs of one car; None where none do.
        level: of the interval.
        num_draws: of the rows, for each of both scores.
        seed: of the draws.

    Raises:
        ConfigError: there are too few rows or groups to tell.
    """
    units = np.arange(num_rows) if groups is None else np.unique(groups, return_inverse=True)[1]
    num_units = int(units.max()) + 1 if num_rows else 0
    if num_units < _MIN_UNITS or num_public < 1:
        raise ConfigError(
            f"an expected public score: expected at least {_MIN_UNITS} rows, or groups of rows, and a public one, got "
            f"{num_units} and {num_public}."
        )
    rng = np.random.default_rng(seed)
    rows_of = np.split(np.argsort(units, kind="stable"), np.cumsum(np.bincount(units))[:-1])

    def draws(share: float) -> Float64Array:
        wanted = max(1, round(num_units * share))
        scores = [
            score_of(np.concatenate([rows_of[unit] for unit in rng.integers(num_units, size=wanted).tolist()]))
            if groups is not None
            else score_of(rng.integers(num_units, size=wanted))
            for _ in range(num_draws)
        ]
        return np.array(scores)

    # Draws from N units spread as if there were N - 1.
    widened = np.sqrt(num_units / (num_units - 1))
    of_oof, of_public = draws(1.0), draws(num_public / num_rows)
    differences = ((of_public - of_public.mean()) - (of_oof - of_oof.mean())) * widened
    # The public score's own difference is as one draw more: these quantiles hold that one with a chance of level.
    low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2], method="weibull")
    return ExpectedScore(
        score=score,
        low=float(score + low),
        high=float(score + high),
        level=level,
        oof_std=float(of_oof.std() * widened),
        public_std=float(of_public.std() * widened),
    )
