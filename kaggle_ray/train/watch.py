"""Adds up the losses of an epoch, and names the samples at which one is not finite.

Shape suffix: N samples of a piece.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from kaggle_ray.errors import NonFiniteLossError
from kaggle_ray.types import IntArray, StrArray

_ON_GPU_EVERY = 50
"""Pieces between two looks: each look waits until the GPU has done all that it was given."""
_NUM_NAMED = 8


class LossWatch:
    """The sum of an epoch's losses so far, in float64."""

    def __init__(self, sample_ids: StrArray | None, *, epoch: int, lr: float, device: torch.device) -> None:
        """Look at each piece at once on a CPU, and at several together on a GPU.

        Args:
            sample_ids: (N,) of all rows, to name them by; None names their positions.
            epoch: for messages.
            lr: for messages: the hyperparameter.
            device: where losses are computed.
        """
        self._sample_ids = sample_ids
        self._epoch = epoch
        self._lr = lr
        self._every = _ON_GPU_EVERY if device.type == "cuda" else 1
        self._unseen: list[tuple[int, IntArray, Tensor, Tensor]] = []
        self.total = 0.0
        """Of the losses that were looked at."""

    def add(self, step: int, rows: IntArray, losses_N: Tensor) -> None:
        """Take note of a piece's losses; see ``look``."""
        losses_N = losses_N.detach()
        self._unseen.append((step, rows, losses_N, losses_N.sum(dtype=torch.float64)))
        if len(self._unseen) >= self._every:
            self.look()

    def look(self) -> None:
        """Add up what has not been looked at.

        Raises:
            NonFiniteLossError: a loss is NaN or infinite; step and samples are named.
        """
        on_gpu = len(self._unseen) > 1
        sums = torch.stack([of_piece for *_, of_piece in self._unseen]).tolist() if on_gpu else None
        for number, (step, rows, losses_N, of_piece) in enumerate(self._unseen):
            total = of_piece.item() if sums is None else sums[number]
            if not math.isfinite(total):
                raise NonFiniteLossError(self._describe(step, rows, losses_N))
            self.total += total
        self._unseen.clear()

    def _describe(self, step: int, rows: IntArray, losses_N: Tensor) -> str:
        bad = (~losses_N.isfinite()).cpu().numpy()
        value = float(losses_N[~losses_N.isfinite()][0])
        return (
            f"the loss of epoch {self._epoch} is {value} at lr {self._lr}. Try a smaller lr, or look at the samples: "
            f"in step {step + 1} it is not finite at {bad.sum()} of {len(rows)}, such as {self._named(rows[bad])}."
        )

    def _named(self, rows: Sequence[int] | IntArray) -> str:
        names = [str(row if self._sample_ids is None else self._sample_ids[row]) for row in rows[:_NUM_NAMED]]
        return ", ".join(names) + (", ..." if len(rows) > _NUM_NAMED else "")
