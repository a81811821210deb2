"""When a fit's state is saved and what it goes on from: rank 0 does it, and its word is every rank's."""

from __future__ import annotations

from typing import Literal

from kaggle_ray.train.checkpoint import Cadence, Checkpoints, restoring
from kaggle_ray.train.preemption import Notice
from kaggle_ray.train.ranks import Ranks, together
from kaggle_ray.train.state import FitState

_ASK_EVERY = 8
"""Steps after which several ranks ask the first whether a checkpoint is due: asking takes a message to each."""

Due = Literal["", "save", "save and end"]


class Saving:
    """The checkpoints of a fit: one is due after a time, and where the process has been asked to end."""

    def __init__(
        self, state: FitState, checkpoints: Checkpoints, cadence: Cadence, notice: Notice, ranks: Ranks
    ) -> None:
        """Save ``state`` to ``checkpoints`` as ``cadence`` and ``notice`` say; ``restore`` takes it from there."""
        self._state, self._checkpoints, self._cadence = state, checkpoints, cadence
        self._notice, self._ranks = notice, ranks
        self._ask_every = 1 if ranks.world_size == 1 else _ASK_EVERY

    def restore(self) -> None:
        """Take the state of the last checkpoint that rank 0 finds, if there is one.

        Raises:
            UnusableCheckpointError: it cannot be taken; by then the state has a part of it, and is of no use.
        """
        checkpoint: bytes | None = None
        with together(self._ranks):
            if self._ranks.rank == 0:
                checkpoint = self._checkpoints.load()
        checkpoint = self._ranks.of_first(checkpoint)
        if checkpoint is None:
            return
        with together(self._ranks), restoring():
            self._state.restore(checkpoint)
        if self._ranks.rank:
            self._state.loss_of_epoch = 0.0  # rank 0 has that of all

    def save(self) -> None:
        """Save a checkpoint now, on rank 0."""
        self._cadence.save(lambda: self._checkpoints.save(self._state.pack()))

    def due(self) -> Due:
        """Return what is due by rank 0's word, on every rank."""
        if self._notice.is_given:
            return self._ranks.of_first("save and end")
        return self._ranks.of_first("save" if self._cadence.is_due() else "")

    def due_after_step(self) -> Due:
        """Return what is due after a step of the epoch under way; several ranks do not ask after each."""
        return self.due() if self._state.step_of_epoch % self._ask_every == 0 else ""

    def is_to_end(self) -> bool:
        """Return whether rank 0 has been asked to end, on every rank."""
        return self._ranks.of_first(self._notice.is_given)

    def do(self, due: Due) -> None:
        """Save the state where it is time, or where the process has to end, and then raise what ends it."""
        if due and self._ranks.rank == 0:
            self.save()
        if due == "save and end":
            raise self._notice.interruption()
