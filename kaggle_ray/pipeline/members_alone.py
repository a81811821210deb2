"""What each member of a pool is worth by itself, as far as there is time to know."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from kaggle_ray.combine import Ensemble, TimeLeft
from kaggle_ray.counted import counted


class MembersAlone:
    """Each member as an ensemble of its own, with its honest score and the rule that decides its answers."""

    def __init__(self, names: Sequence[str], select: Callable[[str], Ensemble], time_left: TimeLeft) -> None:
        """Start with none.

        Args:
            names: member and experiment ids, in the order in which they are learnt.
            select: returns the ensemble of one of them.
            time_left: for all.
        """
        self._names, self._select, self._time_left = names, select, time_left
        self._made: dict[str, Ensemble] = {}
        self._last_s = 0.0

    def learn(self, *, share: float) -> None:
        """Learn those that are not known yet, until such a share of the time that is left is gone."""
        kept_s = (1 - share) * self._time_left.left_s() if self._time_left.is_limited else 0.0
        for name in [name for name in self._names if name not in self._made]:
            if self._time_left.left_s() - self._last_s <= kept_s:
                return
            began_at = time.monotonic()
            self._made[name] = self._select(name)
            self._last_s = time.monotonic() - began_at

    def known(self) -> dict[str, Ensemble]:
        """Return member or experiment id -> its ensemble, of those that are known; the clock is told of the others."""
        if num_unknown := len(self._names) - len(self._made):
            self._time_left.left_out[f"the scores of {counted(num_unknown, 'member')} by themselves"] = "time was up"
        return {name: self._made[name] for name in self._names if name in self._made}
