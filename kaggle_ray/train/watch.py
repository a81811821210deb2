"""Adds up the losses of an epoch, and names the samples at which one is not finite.

Shape suffix: N samples of a piece.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kaggle_ray.errors import NonFiniteLossError
from kaggle_ray.train.batches import Batch
from kaggle_ray.types import IntArray, StrArray

_ON_GPU_EVERY = 50
"""Pieces between two looks: each look waits until the GPU has done all that it was given."""
_NUM_NAMED = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class _Piece:
    """What is kept of a batch until its losses are looked at."""

    step: int
    rows: IntArray
    partners: IntArray | None
    """(N,) the rows that they are mixed with."""
    losses_N: Tensor


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
        self._unseen: list[_Piece] = []
        self._of_step: list[IntArray] = []
        self._starts_step = True
        self.total = 0.0
        """Of the losses that were looked at."""

    @property
    def rows_of_step(self) -> IntArray:
        """(N,) the rows of the pieces that this process has computed of its step."""
        return np.concatenate(self._of_step)

    def add(self, batch: Batch, losses_N: Tensor) -> None:
        """Take note of a piece's losses; see ``look``."""
        if self._starts_step:
            self._of_step.clear()
        self._starts_step = batch.ends_step
        self._of_step.append(batch.rows)
        partners = None if batch.mix is None else batch.read_rows[batch.mix.partners]
        self._unseen.append(_Piece(step=batch.step, rows=batch.rows, partners=partners, losses_N=losses_N.detach()))
        if len(self._unseen) >= self._every:
            self.look()

    def look(self) -> None:
        """Add up what has not been looked at.

        Raises:
            NonFiniteLossError: a loss is NaN or infinite; step and samples are named.
        """
        at_once = len(self._unseen) > 1
        sums = [piece.losses_N.sum(dtype=torch.float64) for piece in self._unseen]
        totals = torch.stack(sums).tolist() if at_once else [total.item() for total in sums]
        for piece, total in zip(self._unseen, totals, strict=True):
            if not math.isfinite(total):
                raise NonFiniteLossError(self._describe(piece))
            self.total += total
        self._unseen.clear()

    def _describe(self, piece: _Piece) -> str:
        is_bad = ~piece.losses_N.isfinite()
        value, bad = float(piece.losses_N[is_bad][0]), is_bad.cpu().numpy()
        mixed = ""
        if piece.partners is not None:
            mixed = f", which were mixed with {named(piece.partners[bad], self._sample_ids)}"
        return (
            f"the loss of epoch {self._epoch} is {value} at lr {self._lr}. Try a smaller lr, or look at the samples: "
            f"in step {piece.step + 1} it is not finite at {bad.sum()} of {len(bad)}, such as "
            f"{named(piece.rows[bad], self._sample_ids)}{mixed}."
        )


def named(rows: IntArray, sample_ids: StrArray | None) -> str:
    """Return the ids of the first few ``rows`` (n,), or where there are none their positions."""
    names = [str(row if sample_ids is None else sample_ids[row]) for row in rows[:_NUM_NAMED]]
    return ", ".join(names) + (", ..." if len(rows) > _NUM_NAMED else "")
