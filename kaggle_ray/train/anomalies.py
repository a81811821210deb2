"""Says when gradients explode and when a model predicts the same for all samples: warnings, never errors.

A loss that is not finite is an error: see ``watch``.

Shape suffixes: N samples, C columns of the prediction.
"""

from __future__ import annotations

import logging
from collections import deque
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from kaggle_ray.config import Hyperparameters
from kaggle_ray.data.head import place_heads
from kaggle_ray.train.inputs import FitData
from kaggle_ray.train.watch import named
from kaggle_ray.types import FloatArray, IntArray, StrArray

logger = logging.getLogger(__name__)

_LOOK_EVERY = 50
"""Steps between two looks at the gradient where it is not clipped: a norm takes 1 to 6 % of the step of a small network
on a CPU (0.06 of 0.97 ms for small_resnet of width 4, 0.21 of 8.9 ms for resnet9 of width 16), 0.8 % of resnet18's."""
_FAR_ABOVE = 1000.0
"""Times the median of the norms before."""
_NUM_KEPT = 100
_NUM_NEEDED = 5
"""Norms that have to be there before another one is judged by them."""


class GradientWatch:
    """Clips the gradient of each step where that is asked for, and warns of one that is not finite or far too large.

    A norm is computed for clipping anyway, else for the first of every 50 steps. On a GPU, where looking at a number
    waits until all is done, several are looked at together. There is one warning for an epoch at most. What is kept is
    in no checkpoint: after a resume the median is that of the norms since.
    """

    def __init__(
        self,
        model: nn.Module,
        sample_ids: StrArray | None,
        hyperparameters: Hyperparameters,
        *,
        scaler: torch.amp.GradScaler,
        device: torch.device,
        warns: bool = True,
    ) -> None:
        """Watch the gradients of ``model``.

        Args:
            model: whose parameters are trained.
            sample_ids: (N,) of all rows, to name them by; None names their positions.
            hyperparameters: with the norm to clip at.
            scaler: of float16, whose scale it finds out by gradients that are not finite: nothing is said of those.
            device: where the gradients are.
            warns: whether it is this process, among those that train together, that says something.
        """
        self._parameters = list(model.parameters())
        self._sample_ids = sample_ids
        self._hyperparameters = hyperparameters
        self._expects_infinite = scaler.is_enabled()
        self._look_every = _LOOK_EVERY if device.type == "cuda" else 1
        self._unseen: list[tuple[int, int, IntArray, Tensor]] = []
        self._norms: deque[float] = deque(maxlen=_NUM_KEPT)
        self._num_steps = 0
        self._warned_in = 0
        self._warns = warns

    def clip(self, epoch: int, step: int, rows: IntArray) -> None:
        """Clip the gradient, unscaled, of a step.

        Args:
            epoch: 1 for the first.
            step: of the epoch, 0 for the first.
            rows: (N,) that this process made it of.
        """
        clip_norm, self._num_steps = self._hyperparameters.clip_norm, self._num_steps + 1
        if clip_norm:  # its norm is that of before
            norm = nn.utils.clip_grad_norm_(self._parameters, clip_norm)
        elif self._num_steps % _LOOK_EVERY == 1:
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

    def _judge(self, epoch: int, step: int, rows: IntArray, norm: float) -> None:
        usual = median(self._norms) if len(self._norms) >= _NUM_NEEDED else float("inf")
        if np.isfinite(norm):
            self._norms.append(norm)
        is_bad = norm > _FAR_ABOVE * usual if np.isfinite(norm) else not self._expects_infinite
        if not is_bad or not self._warns or self._warned_in == epoch:
            return
        self._warned_in = epoch
        compared = f", {_FAR_ABOVE:g} times the usual {usual:.3g} and more" if np.isfinite(norm) else ""
        if not self._hyperparameters.clip_norm:
            advice = "Try clip_norm, such as 1.0, or a smaller lr"
        elif np.isfinite(norm):
            advice = f"It is scaled down to clip_norm {self._hyperparameters.clip_norm:g}"
        else:
            advice = "clip_norm does not help against it: try a smaller lr"
        logger.warning(
            "the gradient of epoch %d, step %d has the norm %.3g%s. %s, or look at the samples: %s",
            epoch, step + 1, norm, compared, advice, named(rows, self._sample_ids),
        )  # fmt: skip


class ConstantWatch:
    """Warns once of a head that predicts the same for all samples, or of masks that are all empty or all full.

    Masks that are small are often all empty at first, so theirs are judged from the middle of the epochs on.
    """

    def __init__(self, data: FitData, hyperparameters: Hyperparameters) -> None:
        """Know the heads of a fold."""
        self._data = data
        self._hyperparameters = hyperparameters
        self._has_warned = False

    def see(self, epoch: int, values_NC: FloatArray) -> None:
        """Judge what was predicted of some rows after ``epoch``."""
        if self._has_warned or len(values_NC) < 2 or (found := self._describe(epoch, values_NC)) is None:
            return
        self._has_warned = True
        logger.warning(
            "fold %d, epoch %d: %s. Likely causes: too large an lr, labels that do not belong to their images, a loss "
            "that a constant satisfies (see class_weights and pos_weight), or inputs that are all alike (see "
            "kaggle-ray show)",
            self._data.fold, epoch, found,
        )  # fmt: skip

    def _describe(self, epoch: int, values_NC: FloatArray) -> str | None:
        """Return what is wrong, None where nothing is."""
        if self._data.mask_size is not None:
            return self._describe_masks(values_NC) if 2 * epoch >= self._hyperparameters.epochs else None
        constant = [
            place.head.name for place in place_heads(self._data.heads) if _is_constant(values_NC[:, place.outputs])
        ]
        of_head = f" of the head {constant[0]!r}" if constant and len(self._data.heads) > 1 else ""
        return f"the predictions{of_head} are the same for all {len(values_NC)} samples" if constant else None

    def _describe_masks(self, values_NC: FloatArray) -> str | None:
        height, width = self._data.mask_size or (0, 0)
        planes_NKP = values_NC.reshape(len(values_NC), -1, height * width)
        classes = self._data.heads[0].classes
        answers = planes_NKP.argmax(axis=1) if len(classes) > 1 else planes_NKP[:, 0] >= 0.5
        first = int(answers.flat[0])
        if (answers != first).any():
            return None
        what = f"of class {classes[first]!r}" if len(classes) > 1 else ("full" if first else "empty")
        return f"the masks of all {len(values_NC)} samples are {what} in every pixel"


def _is_constant(values_NC: FloatArray) -> bool:
    """Return whether all rows are alike, but for rounding."""
    return bool(np.ptp(values_NC, axis=0).max() <= 1e-6 * np.abs(values_NC).max())
