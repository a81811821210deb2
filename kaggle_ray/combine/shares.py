"""Predictions that have a share of a blend by fiat: those of test rows alone, with no row to learn a weight from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from kaggle_ray.combine import Ensemble
from kaggle_ray.combine.combiner import Fitted, blend
from kaggle_ray.rows import Rows
from kaggle_ray.types import JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class WithShares:
    """What a combiner learnt, and members beside it, each with its own share."""

    fitted: Fitted
    shares: Mapping[str, float]
    """Member id -> share, above 0; all sum to less than 1. What is left is that of ``fitted``."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Member id -> its share of the whole; all shares sum to 1."""
        learnt = {member_id: self._left * weight for member_id, weight in self.fitted.weights.items()}
        return learnt | dict(self.shares)

    def predict(self, members: Mapping[str, Rows]) -> Rows:
        """Return (N, C) the blend, computed where it is read."""
        beside = [members[member_id] for member_id in self.shares]
        return blend([self.fitted.predict(members), *beside], np.array([self._left, *self.shares.values()]))

    def to_json(self) -> dict[str, JsonValue]:
        """Return what was learnt, and the shares."""
        return {"fitted": self.fitted.to_json(), "shares": dict(self.shares)}

    @property
    def _left(self) -> float:
        return 1 - sum(self.shares.values())


def with_shares(ensemble: Ensemble, shares: Mapping[str, float]) -> Ensemble:
    """Return the ensemble with members beside it, which has no score: no row that is scored was predicted so."""
    if not shares:
        return ensemble
    return replace(
        ensemble,
        fitted=WithShares(fitted=ensemble.fitted, shares=shares),
        score_honest=None,
        standard_error=None,
        score_in_sample=None,
        optimism=None,
        why_no_score=f"predictions of test rows alone have a share of {sum(shares.values()):g} in it",
    )


_: type[Fitted] = WithShares
