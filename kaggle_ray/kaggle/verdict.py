"""Says what a gap between the honest and the public score is: noise, a shift of the data, a leak, or not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.kaggle.expected import ExpectedScore

Cause = Literal["noise", "shift", "leak", "cannot tell"]

_APART = 0.6
"""AUC above which a classifier tells training and test images apart well enough to matter."""
_ALIKE = 0.55
"""AUC below which it does not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AdversarialAuc:
    """How well a classifier tells test images from training images: 0.5 is by chance."""

    of_folds: tuple[float, ...]
    """AUC on each fold of the images, by a classifier that was fitted on the others."""

    @property
    def mean(self) -> float:
        """The mean over the folds."""
        return float(np.mean(self.of_folds))

    @property
    def std_of_mean(self) -> float:
        """How far the mean may be off, by the folds' spread."""
        return float(np.std(self.of_folds, ddof=1) / np.sqrt(len(self.of_folds)))

    def __str__(self) -> str:
        """Return mean and spread in words."""
        spread = f"{min(self.of_folds):.2f} to {max(self.of_folds):.2f} over {counted(len(self.of_folds), 'fold')}"
        return f"a classifier tells test images from training images with AUC {self.mean:.2f} ({spread})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the gap is, and why that is believed."""

    cause: Cause
    evidence: tuple[str, ...]

    def __str__(self) -> str:
        """Return the verdict and its evidence in one line."""
        return f"{self.cause}: {'; '.join(self.evidence)}."


def verdict_on(
    public: float,
    expected: ExpectedScore,
    *,
    greater_is_better: bool,
    fold_scores: Sequence[float] = (),
    adversarial: AdversarialAuc | None = None,
) -> Verdict:
    """Return what the gap between an honest score and a public one is.

    Inside the interval it is noise. Outside of it: ``shift`` where test images are told from training images;
    ``leak`` where they are not, and the public score is worse, so that training rows must know of one another
    what test rows do not: near-duplicates, groups, times, a feature made of the target. In all other cases it cannot
    be told from these figures.

    Args:
        public: score.
        expected: score and interval.
        greater_is_better: of the metric.
        fold_scores: honest score of each fold.
        adversarial: how well test images are told from training images; None where nobody looked.
    """
    interval = f"{expected.low:.5f} to {expected.high:.5f} ({expected.level:.0%})"
    gap = public - expected.score
    is_worse = (gap < 0) == greater_is_better
    evidence = [f"the public score {public:.5f} lies {'within' if expected.holds(public) else 'outside'} {interval}"]
    if expected.holds(public):
        return Verdict(cause="noise", evidence=tuple(evidence))
    evidence.append(
        f"it is {abs(gap) / expected.std:.1f} standard deviations {'worse' if is_worse else 'better'} than the honest "
        f"score {expected.score:.5f}"
    )
    if _is_within_folds(public, fold_scores):
        evidence.append(f"single folds score from {min(fold_scores):.5f} to {max(fold_scores):.5f}: as far apart")
    if adversarial is None:
        return Verdict(cause="cannot tell", evidence=(*evidence, "nobody has compared the images of test and train"))
    evidence.append(str(adversarial))
    if adversarial.mean - 2 * adversarial.std_of_mean > _APART:
        return Verdict(cause="shift", evidence=tuple(evidence))
    is_alike = adversarial.mean + 2 * adversarial.std_of_mean < _ALIKE
    if is_alike and is_worse and not _is_within_folds(public, fold_scores):
        return Verdict(cause="leak", evidence=(*evidence, "training rows may know of one another"))
    return Verdict(cause="cannot tell", evidence=tuple(evidence))


def _is_within_folds(public: float, fold_scores: Sequence[float]) -> bool:
    return bool(fold_scores) and min(fold_scores) <= public <= max(fold_scores)
