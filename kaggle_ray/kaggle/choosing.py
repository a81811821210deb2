"""Which two submissions to choose, so that the chance that the best private score is among them is highest.

Each submission has a score on the training rows (out of fold) and one on the public rows; both are its score on all
rows there could be, and noise, which is much the same for submissions that err on the same rows. What is known of the
private scores follows by the rules of normal distributions: the mean of both scores by what each is worth, shrunk to
what submissions of this competition score, as the best of many looks better than it is.

Shape legend: M submissions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kaggle_ray.errors import ConfigError
from kaggle_ray.types import Float64Array

_NUM_DRAWS = 4000


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A submission that may be chosen."""

    name: str
    score: float
    """Honest out-of-fold score."""
    public_score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The two submissions to choose."""

    names: tuple[str, ...]
    chance: float
    """Chance that the best private score of all candidates is among them."""
    chances: dict[str, float]
    """Candidate -> its chance, by itself, to have the best private score."""


def choose_two(
    candidates: Sequence[Candidate],
    covariance_MM: Float64Array,
    *,
    num_oof: int,
    num_public: int,
    num_private: int,
    greater_is_better: bool,
    seed: int = 0,
) -> Choice:
    """Return the pair with the best chance to hold the best private score.

    Args:
        candidates: with both their scores.
        covariance_MM: of the candidates' scores of a single row: of a metric that is no mean over rows, the
            covariance of their scores of N resampled rows, times N.
        num_oof: rows that the out-of-fold scores are of.
        num_public: rows that the public scores are of.
        num_private: rows that the private scores are of.
        greater_is_better: of the metric.
        seed: of the draws that the chances are counted in.

    Raises:
        ConfigError: there are no two candidates, or the covariance is of others.
    """
    num_candidates = len(candidates)
    if num_candidates < 2 or covariance_MM.shape != (num_candidates, num_candidates):
        raise ConfigError(
            f"a choice of submissions: expected two candidates or more and their covariance, got {num_candidates} and "
            f"{covariance_MM.shape}."
        )
    oof = np.array([each.score for each in candidates])
    public = np.array([each.public_score for each in candidates])
    mean, covariance = _posterior(oof, public, covariance_MM, num_oof=num_oof, num_public=num_public)
    private = np.random.default_rng(seed).multivariate_normal(
        mean, covariance + covariance_MM / num_private, size=_NUM_DRAWS, method="eigh"
    )
    best = private.argmax(axis=1) if greater_is_better else private.argmin(axis=1)
    chances = np.bincount(best, minlength=num_candidates) / _NUM_DRAWS
    # Of equal chances the better expected score.
    ranked = np.lexsort((-mean if greater_is_better else mean, -chances))[:2]
    return Choice(
        names=tuple(candidates[number].name for number in ranked.tolist()),
        chance=float(chances[ranked].sum()),
        chances={each.name: float(chance) for each, chance in zip(candidates, chances, strict=True)},
    )


def _posterior(
    oof: Float64Array, public: Float64Array, covariance: Float64Array, *, num_oof: int, num_public: int
) -> tuple[Float64Array, Float64Array]:
    """Return (M,) mean and (M, M) covariance of what the submissions score on all rows there could be.

    What all submissions share, the difficulty of the rows, is of no interest: the scores are taken from their means.
    The noise of both scores is the same matrix, but for the number of rows: they are averaged by these numbers. The
    spread of the true scores is what the averages spread beyond their noise (empirical Bayes).
    Source: B. Efron, C. Morris, "Stein's Estimation Rule and Its Competitors", JASA 1973.
    """
    num = len(oof)
    centre = np.eye(num) - 1 / num
    averaged = centre @ (num_oof * oof + num_public * public) / (num_oof + num_public)
    noise = centre @ covariance @ centre / (num_oof + num_public)
    spread = max(
        (float(averaged @ averaged) - float(np.trace(noise))) / (num - 1), 1e-3 * float(np.trace(noise)), 1e-18
    )
    prior = spread * centre
    gain = prior @ np.linalg.pinv(prior + noise, hermitian=True)
    return gain @ averaged, prior - gain @ prior
