"""How often the processes of a trial died, and whether others are worth a try."""

from __future__ import annotations

import textwrap
from collections.abc import Set

from kaggle_ray.counted import counted
from kaggle_ray.errors import ProcessDiedError, TrialError
from kaggle_ray.train.failures import NUM_DEATHS_IN_A_ROW, NUM_LOST_NODES_IN_A_ROW
from kaggle_ray.types import TrialWarning

_MOST_LETTERS = 300
"""Longest words of a death: Ray's own go on with what may have happened to any process."""


class Deaths:
    """Deaths of one trial's processes since it last got on by an epoch."""

    def __init__(self) -> None:
        """Begin with none."""
        self._num_epochs = 0
        self._nodes: list[Set[str]] = []
        """The nodes of those that died together, as far as known."""

    def got_on(self, epoch: int) -> None:
        """Take note that an epoch has ended; one that is trained once more after a death is no progress."""
        if epoch > self._num_epochs:
            self._num_epochs = epoch
            self._nodes.clear()

    def add(self, nodes: Set[str]) -> None:
        """Take note that the trial's processes on ``nodes`` died."""
        self._nodes.append(nodes)

    def error(self, living_nodes: Set[str], reason: str) -> TrialError | None:
        """Return what the trial has failed of, None where it is worth another try.

        Args:
            living_nodes: those of the cluster; a process that went with its node says nothing of the trial.
            reason: what the last one died of.
        """
        where = f"before epoch {self._num_epochs + 1} ended"
        num_own = sum(nodes <= living_nodes for nodes in self._nodes)
        if num_own >= NUM_DEATHS_IN_A_ROW:
            return ProcessDiedError(
                f"its process died {counted(num_own, 'time')} in a row, {where}. The last one: {reason}"
            )
        if len(self._nodes) >= NUM_LOST_NODES_IN_A_ROW:
            return TrialError(
                f"it lost its nodes {counted(len(self._nodes) - num_own, 'time')} in a row, {where}. {reason}"
            )
        return None

    def warning(self, reason: str) -> TrialWarning:
        """Return what to tell of a death where the trial is begun again; ``reason`` is what its process died of."""
        words = textwrap.shorten(reason, _MOST_LETTERS, placeholder=" ...")
        text = f"its process died, and it begins again from its last checkpoint: {words}"
        return TrialWarning(topic="process_died", text=text, epoch=self._num_epochs + 1)
