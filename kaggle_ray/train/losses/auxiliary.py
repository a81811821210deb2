"""How auxiliary heads are trained and read, whose truth some samples lack.

Shape suffixes: N samples of a batch, A columns of the auxiliary heads' targets, C of their outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from kaggle_ray.config import LossHyperparameters
from kaggle_ray.data.auxiliary import known_rows
from kaggle_ray.data.head import Head, place_heads
from kaggle_ray.errors import DataError
from kaggle_ray.images.decode import Pixels
from kaggle_ray.images.joined import ImageRows
from kaggle_ray.rows import LazyRows
from kaggle_ray.train.losses.class_weights import is_softmax
from kaggle_ray.train.losses.outputs import Outputs, PixelOutputs, make_outputs
from kaggle_ray.train.losses.registry import BY_HEAD
from kaggle_ray.types import ByteArray, Float64Array, FloatArray, IntArray

_HALF = 128
"""Value of 255 from which a pixel of a binary mask is foreground."""


class AuxiliaryOutputs:
    """Soft targets, loss and values of auxiliary heads of whole images.

    A soft target is NaN where the truth is not known, or was mixed with one that is not. Such a sample has no loss of
    that head; the others' is scaled up, so that a head has the same weight whatever the share of rows that it is known
    of.
    """

    def __init__(
        self, heads: Sequence[Head], target_NA: Float64Array, train_rows: IntArray, given: LossHyperparameters
    ) -> None:
        """Take scales, class weights and the share of known rows from the training rows.

        Raises:
            DataError: a head is known of none of them.
            ConfigError: the loss or an argument of it is unknown, out of range, or of another task.
        """
        self._placed = place_heads(heads)
        self._outputs: list[Outputs] = []
        self._scales: list[float] = []
        for place in self._placed:
            columns = target_NA[train_rows][:, place.targets]
            known = known_rows(columns)
            if not known.any():
                raise DataError(f"the auxiliary head {place.head.name!r} is known of none of the rows to train on.")
            as_it_is = place.head.soft or place.head.task in ("multilabel", "regression")
            of_head = columns[known] if as_it_is else columns[known].astype(int)
            outputs = make_outputs([place.head], of_head, np.arange(len(of_head)), given)
            assert isinstance(outputs, Outputs), "masks are none of these heads"
            self._outputs.append(outputs)
            self._scales.append(place.head.loss_weight * len(known) / int(known.sum()))

    def soft_targets(self, target_NA: Tensor) -> Tensor:
        """Return (N, C) float32 what the outputs are to be, NaN where it is not known."""
        of_heads = []
        for place, outputs in zip(self._placed, self._outputs, strict=True):
            columns = target_NA[:, place.targets]
            soft = outputs.soft_targets(columns.nan_to_num(0.0))
            of_heads.append(soft.masked_fill(columns.isnan().any(dim=1, keepdim=True), torch.nan))
        return torch.cat(of_heads, dim=1)

    def sample_losses(self, logits_NC: Tensor, targets_NC: Tensor) -> Tensor:
        """Return (N,) float32 the sum of the heads' losses by their weights; 0 of a head that is not known."""
        total_N = torch.zeros(len(logits_NC), device=logits_NC.device)
        for place, outputs, scale in zip(self._placed, self._outputs, self._scales, strict=True):
            of_head = targets_NC[:, place.outputs]
            losses_N = outputs.sample_losses(logits_NC[:, place.outputs], of_head.nan_to_num(0.0))
            total_N = total_N + scale * losses_N.masked_fill(of_head.isnan().any(dim=1), 0.0)
        return total_N

    def values(self, logits_NC: Tensor) -> FloatArray:
        """Return (N, C) float32 probabilities, or values in the target's units."""
        parts = [
            outputs.values(logits_NC[:, place.outputs])
            for place, outputs in zip(self._placed, self._outputs, strict=True)
        ]
        return np.asarray(torch.cat(parts, dim=1).cpu().numpy(), dtype=np.float32)


class AuxiliaryMasks:
    """Soft targets, loss and values of the auxiliary head of masks, which are known of every row."""

    def __init__(self, head: Head, masks: ImageRows, train_rows: IntArray, given: LossHyperparameters) -> None:
        """Take class weights from the ``masks`` (N,) of the training rows.

        Raises:
            ConfigError: the loss or an argument of it is unknown, out of range, or of another task.
        """
        target = LazyRows(
            (masks.shape[0], masks.shape[1] * masks.shape[2]), lambda rows: pixel_classes(masks.read(rows), head)
        )
        outputs = make_outputs([head], target, train_rows, given)
        assert isinstance(outputs, PixelOutputs), "the head is of masks"
        self._outputs, self._weight = outputs, head.loss_weight

    def soft_targets(self, masks_NHW1: Tensor) -> Tensor:
        """Return (N, K, H, W) float32 what the outputs of each pixel are to be."""
        return self._outputs.soft_targets(masks_NHW1)

    def sample_losses(self, logits_NKHW: Tensor, targets_NKHW: Tensor) -> Tensor:
        """Return (N,) float32 each image's loss, by the head's weight."""
        return self._weight * self._outputs.sample_losses(logits_NKHW, targets_NKHW)

    def values(self, logits_NKHW: Tensor) -> FloatArray:
        """Return (N, K * H * W) float32 probabilities, flattened."""
        return np.asarray(self._outputs.values(logits_NKHW).flatten(1).cpu().numpy(), dtype=np.float32)


def pixel_classes(masks_NHW1: Pixels, head: Head) -> ByteArray:
    """Return (N, H * W) the class numbers of the pixels of masks."""
    flat = masks_NHW1.reshape(len(masks_NHW1), -1)
    return np.asarray(flat if is_softmax(head) else flat >= _HALF, dtype=np.uint8)


def split_by_head(
    given: LossHyperparameters, auxiliary: Sequence[Head]
) -> tuple[LossHyperparameters, LossHyperparameters]:
    """Return what the heads are trained by, and what auxiliary heads are.

    A loss by name is the heads' alone, and auxiliary heads have their default; ``by_head`` may name one for each.
    """
    if given.name != BY_HEAD:
        return given, replace(given, name="default", args={})
    names = {head.name for head in auxiliary}
    own = {name: loss for name, loss in given.args.items() if name in names}
    others = {name: loss for name, loss in given.args.items() if name not in names}
    return replace(given, args=others), replace(given, args=own)
