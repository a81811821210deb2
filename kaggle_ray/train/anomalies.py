"""What goes wrong in a fit, and where: losses, gradients and predictions are watched while it trains.

A loss that is not finite is an error, raised by LossWatch. A gradient that explodes and a model that predicts the same
for all samples are warnings: the fit goes on, and ``warn`` is called.

Shape suffixes: N samples, C columns of the prediction.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from kaggle_ray.counted import counted
from kaggle_ray.data.head import place_heads
from kaggle_ray.errors import NonFiniteLossError
from kaggle_ray.train.batches import Batch
from kaggle_ray.train.inputs import FitData
from kaggle_ray.types import FloatArray, IntArray, StrArray, TrialWarning

logger = logging.getLogger(__name__)

Warn = Callable[[TrialWarning], None]
"""Takes a warning to where a person sees it."""

_LOOK_AT_LOSSES_EVERY = 50
"""Pieces between two looks on a GPU: each look waits until the GPU has done all that it was given."""
_NUM_NAMED = 8
"""Samples that a message names."""
_LOOK_AT_GRADIENTS_EVERY = 50
"""Steps between two looks at the gradient where it is not clipped: a norm takes 1 to 6 % of the step of a small network
on a CPU (0.06 of 0.97 ms for small_resnet of width 4, 0.21 of 8.9 ms for resnet9 of width 16), 0.8 % of resnet18's."""
_FAR_ABOVE = 1000.0
"""Times the median of the norms before."""
_NUM_KEPT = 100
_NUM_NEEDED = 5
"""Norms that have to be there before another one is judged by them."""


def log_warning(warning: TrialWarning) -> None:
    """Log a warning of a fit that nobody else listens to."""
    logger.warning("%s", warning.text)


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
        self._every = _LOOK_AT_LOSSES_EVERY if device.type == "cuda" else 1
        self._unseen: list[_Piece] = []
        self._of_step: list[IntArray] = []
        self._starts_step = True
        self.total = 0.0
        """Sum of the losses that were looked at."""

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


class GradientWatch:
    """Clips the gradient of each step where that is asked for, and warns of one that is not finite or far too large.

    A norm is computed for clipping anyway, else for an epoch's first step and the first of every 50. On a GPU, where
    looking at a number waits until all is done, several are looked at together. There is one warning for an epoch at
    most. What is kept is in no checkpoint: after a resume the median is that of the norms since.
    """

    def __init__(
        self,
        model: nn.Module,
        sample_ids: StrArray | None,
        clip_norm: float,
        *,
        scaler: torch.amp.GradScaler,
        device: torch.device,
        warn: Warn,
    ) -> None:
        """Watch the gradients of ``model``.

        Args:
            model: whose parameters are trained.
            sample_ids: (N,) of all rows, to name them by; None names their positions.
            clip_norm: the norm to clip at; 0 clips nothing.
            scaler: of float16, whose scale it finds out by gradients that are not finite: nothing is said of those.
            device: where the gradients are.
            warn: called with each warning.
        """
        self._parameters = list(model.parameters())
        self._sample_ids = sample_ids
        self._clip_norm = clip_norm
        self._expects_infinite = scaler.is_enabled()
        self._look_every = _LOOK_AT_GRADIENTS_EVERY if device.type == "cuda" else 1
        self._unseen: list[tuple[int, int, IntArray, Tensor]] = []
        self._norms: deque[float] = deque(maxlen=_NUM_KEPT)
        self._norms_of_epoch: tuple[int, list[float]] = 0, []
        self._num_steps = 0
        self._warned_in = 0
        self._warn = warn

    def clip(self, epoch: int, step: int, rows: IntArray) -> None:
        """Clip the gradient, unscaled, of a step.

        Args:
            epoch: 1 for the first.
            step: of the epoch, 0 for the first.
            rows: (N,) that this process made it of.
        """
        clip_norm, self._num_steps = self._clip_norm, self._num_steps + 1
        if clip_norm:  # its norm is that of before
            norm = nn.utils.clip_grad_norm_(self._parameters, clip_norm)
        elif step == 0 or self._num_steps % _LOOK_AT_GRADIENTS_EVERY == 1:
            norm = nn.utils.get_total_norm([p.grad for p in self._parameters if p.grad is not None])
        else:
            return
        self._unseen.append((epoch, step, rows, norm))
        if len(self._unseen) >= self._look_every or not clip_norm:
            self.look()

    def look(self) -> None:
        """Judge the norms that have not been looked at."""
        if not self._unseen:
            return
        norms = torch.stack([norm for _, _, _, norm in self._unseen]).tolist()
        for (epoch, step, rows, _), norm in zip(self._unseen, norms, strict=True):
            self._judge(epoch, step, rows, norm)
        self._unseen.clear()

    def usual_norm(self, epoch: int) -> float | None:
        """Return the median of the norms of an epoch that were looked at, None where none was finite."""
        of, norms = self._norms_of_epoch
        return median(norms) if of == epoch and norms else None

    def _judge(self, epoch: int, step: int, rows: IntArray, norm: float) -> None:
        usual = median(self._norms) if len(self._norms) >= _NUM_NEEDED else float("inf")
        if self._norms_of_epoch[0] != epoch:
            self._norms_of_epoch = epoch, []
        if np.isfinite(norm):
            self._norms.append(norm)
            self._norms_of_epoch[1].append(norm)
        is_bad = norm > _FAR_ABOVE * usual if np.isfinite(norm) else not self._expects_infinite
        if not is_bad or self._warned_in == epoch:
            return
        self._warned_in = epoch
        compared = f", {_FAR_ABOVE:g} times the usual {usual:.3g} and more" if np.isfinite(norm) else ""
        if not self._clip_norm:
            advice = "Try clip_norm, such as 1.0, or a smaller lr"
        elif np.isfinite(norm):
            advice = f"It is scaled down to clip_norm {self._clip_norm:g}"
        else:
            advice = "clip_norm does not help against it: try a smaller lr"
        samples = named(rows, self._sample_ids)
        text = f"the gradient of epoch {epoch}, step {step + 1} has the norm {norm:.3g}{compared}. {advice}, "
        self._warn(
            TrialWarning(
                topic="exploding_gradient",
                text=f"{text}or look at the samples: {samples}",
                epoch=epoch,
                step=step + 1,
            )
        )


class ConstantWatch:
    """Warns once of a head that predicts the same for all samples, or of masks that are all empty or all full.

    Masks that are small are often all empty at first, so theirs are judged from the middle of the epochs on.
    """

    def __init__(self, data: FitData, epochs: int, warn: Warn) -> None:
        """Know the heads of a fold; ``warn`` is called once at most."""
        self._data = data
        self._epochs = epochs
        self._warn = warn
        self._has_warned = False

    def see(self, epoch: int, values_NC: FloatArray) -> None:
        """Judge what was predicted of some rows after ``epoch``."""
        if self._has_warned or len(values_NC) < 2 or (found := self._describe(epoch, values_NC)) is None:
            return
        self._has_warned = True
        self._warn(
            TrialWarning(
                topic="constant_predictions",
                text=f"after epoch {epoch} {found}. Likely causes: too large an lr, labels that do not belong to their "
                f"images, a loss that a constant satisfies (see class_weights and pos_weight), or inputs that are all "
                f"alike (see kaggle-ray show)",
                epoch=epoch,
            )
        )

    def _describe(self, epoch: int, values_NC: FloatArray) -> str | None:
        """Return what is wrong, None where nothing is."""
        if self._data.mask_size is not None:
            return self._describe_masks(values_NC) if 2 * epoch >= self._epochs else None
        constant = [
            place.head.name for place in place_heads(self._data.heads) if _is_constant(values_NC[:, place.outputs])
        ]
        of_head = f" of the head {constant[0]!r}" if constant and len(self._data.heads) > 1 else ""
        return (
            f"the predictions{of_head} are the same for all {counted(len(values_NC), 'sample')}" if constant else None
        )

    def _describe_masks(self, values_NC: FloatArray) -> str | None:
        height, width = self._data.mask_size or (0, 0)
        planes_NKP = values_NC.reshape(len(values_NC), -1, height * width)
        classes = self._data.heads[0].classes
        answers = planes_NKP.argmax(axis=1) if len(classes) > 1 else planes_NKP[:, 0] >= 0.5
        first = int(answers.flat[0])
        if (answers != first).any():
            return None
        what = f"of class {classes[first]!r}" if len(classes) > 1 else ("full" if first else "empty")
        return f"the masks of all {counted(len(values_NC), 'sample')} are {what} in every pixel"


def _is_constant(values_NC: FloatArray) -> bool:
    """Return whether all rows are alike, but for rounding."""
    return bool(np.ptp(values_NC, axis=0).max() <= 1e-6 * np.abs(values_NC).max())


def named(rows: IntArray, sample_ids: StrArray | None) -> str:
    """Return the ids of the first few ``rows`` (n,), or where there are none their positions."""
    names = [str(row if sample_ids is None else sample_ids[row]) for row in rows[:_NUM_NAMED]]
    return ", ".join(names) + (", ..." if len(rows) > _NUM_NAMED else "")
