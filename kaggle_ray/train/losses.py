"""How the columns of a model's output are trained on and read, head by head.

Losses take soft targets, so that label smoothing and mixing need no cases of their own.

Shape suffixes: N samples of a batch, C columns of the prediction, T of the target, K outputs per pixel, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kaggle_ray.data.head import Head, place_heads
from kaggle_ray.types import Target


class Outputs:
    """Soft targets, loss and values of one fold's heads."""

    def __init__(self, heads: Sequence[Head], target: Target, *, label_smoothing: float = 0.0) -> None:
        """Take the scale of regression targets from ``target`` (N,) or (N, T): the rows to train on.

        Args:
            heads: what the columns stand for.
            target: the training rows' targets.
            label_smoothing: the fraction of a target that is moved evenly to all classes (Szegedy et al., CVPR 2016).
        """
        self._placed = place_heads(heads)
        self._smoothing = label_smoothing
        num_outputs = self._placed[-1].outputs.stop
        self.mean = torch.zeros(num_outputs)
        """(C,) of regression targets; 0 for other columns."""
        self.std = torch.ones(num_outputs)
        """(C,) of regression targets; 1 for other columns."""
        columns = target.reshape(len(target), -1)
        for place in self._placed:
            if place.head.task == "regression":
                of_head = torch.from_numpy(columns[:, place.targets].astype(np.float32))
                self.mean[place.outputs] = of_head.mean(dim=0)
                self.std[place.outputs] = of_head.std(dim=0, correction=0).clamp_min(1e-6)

    def soft_targets(self, target_NT: Tensor) -> Tensor:
        """Return (N, C) float32 what the outputs are to be, on the target's device."""
        target_NT = target_NT.reshape(len(target_NT), -1)
        return torch.cat([self._soft(target_NT, number) for number in range(len(self._placed))], dim=1)

    def _soft(self, target_NT: Tensor, number: int) -> Tensor:
        place = self._placed[number]
        of_head = target_NT[:, place.targets]
        if place.head.task == "multiclass":
            one_hot = functional.one_hot(of_head[:, 0].long(), place.head.num_outputs).float()
            return one_hot * (1 - self._smoothing) + self._smoothing / place.head.num_outputs
        if place.head.task == "regression":
            mean, std = self.mean[place.outputs].to(of_head.device), self.std[place.outputs].to(of_head.device)
            return (of_head.float() - mean) / std
        return of_head.float() * (1 - self._smoothing) + self._smoothing / 2

    def sample_losses(self, logits_NC: Tensor, targets_NC: Tensor) -> Tensor:
        total = sum(place.head.loss_weight for place in self._placed)
        parts = []
        for place in self._placed:
            l, t = logits_NC[:, place.outputs], targets_NC[:, place.outputs]
            if place.head.task == "multiclass":
                x = functional.cross_entropy(l, t, reduction="none")
            elif place.head.task == "regression":
                x = functional.mse_loss(l, t, reduction="none").mean(1)
            else:
                x = functional.binary_cross_entropy_with_logits(l, t, reduction="none").mean(1)
            parts.append(place.head.loss_weight / total * x)
        return torch.stack(parts).sum(0)

    def mean_loss(self, logits_NC: Tensor, targets_NC: Tensor) -> Tensor:
        """Return the mean loss over the batch, a scalar: cross entropy, or the squared error of scaled values."""
        total = sum(place.head.loss_weight for place in self._placed)
        parts = [
            place.head.loss_weight / total * _head_loss(place.head, logits_NC[:, place.outputs], soft_NC)
            for place in self._placed
            for soft_NC in [targets_NC[:, place.outputs]]
        ]
        return torch.stack(parts).sum()

    def values(self, logits_NC: Tensor) -> Tensor:
        """Return (N, C) float32 probabilities, or values in the target's units."""
        return torch.cat([self._read(logits_NC.float(), number) for number in range(len(self._placed))], dim=1)

    def _read(self, logits_NC: Tensor, number: int) -> Tensor:
        place = self._placed[number]
        of_head = logits_NC[:, place.outputs]
        if place.head.task == "multiclass":
            return torch.softmax(of_head, dim=1)
        if place.head.task == "regression":
            return of_head * self.std[place.outputs].to(of_head.device) + self.mean[place.outputs].to(of_head.device)
        return torch.sigmoid(of_head)


def _head_loss(head: Head, logits_NC: Tensor, targets_NC: Tensor) -> Tensor:
    if head.task == "multiclass":
        return functional.cross_entropy(logits_NC, targets_NC)
    if head.task == "regression":
        return functional.mse_loss(logits_NC, targets_NC)
    return functional.binary_cross_entropy_with_logits(logits_NC, targets_NC)


class PixelOutputs:
    """The same for masks: each pixel is a question of its own."""

    def __init__(self, head: Head) -> None:
        """Know whether pixels are foreground or not, or of one of several classes."""
        self._num_classes = len(head.classes)

    def soft_targets(self, masks_NHW1: Tensor) -> Tensor:
        """Return (N, K, H, W) float32: the share of foreground, or a class's 1 among 0, of each pixel."""
        if self._num_classes == 1:
            return masks_NHW1.permute(0, 3, 1, 2).float() / 255
        return functional.one_hot(masks_NHW1[..., 0].long(), self._num_classes).permute(0, 3, 1, 2).float()

    def mean_loss(self, logits_NKHW: Tensor, targets_NKHW: Tensor) -> Tensor:
        """Return the cross entropy of the pixels plus 1 - the mean soft Dice of the images, a scalar.

        Source: Milletari et al., "V-Net", 3DV 2016 (soft Dice); one is added above and below, for empty masks.
        """
        if self._num_classes == 1:
            entropy = functional.binary_cross_entropy_with_logits(logits_NKHW, targets_NKHW)
        else:
            entropy = functional.cross_entropy(logits_NKHW, targets_NKHW)
        values_NKHW = self.values(logits_NKHW)
        overlap = (values_NKHW * targets_NKHW).sum(dim=(2, 3))
        both = values_NKHW.sum(dim=(2, 3)) + targets_NKHW.sum(dim=(2, 3))
        return entropy + 1 - ((2 * overlap + 1) / (both + 1)).mean()

    def sample_losses(self, logits_NKHW: Tensor, targets_NKHW: Tensor) -> Tensor:
        if self._num_classes == 1:
            entropy = functional.binary_cross_entropy_with_logits(logits_NKHW, targets_NKHW, reduction="none").mean(
                (1, 2, 3)
            )
        else:
            entropy = functional.cross_entropy(logits_NKHW, targets_NKHW, reduction="none").mean((1, 2))
        values_NKHW = self.values(logits_NKHW)
        overlap = (values_NKHW * targets_NKHW).sum(dim=(2, 3))
        both = values_NKHW.sum(dim=(2, 3)) + targets_NKHW.sum(dim=(2, 3))
        return entropy + 1 - ((2 * overlap + 1) / (both + 1)).mean(1)

    def values(self, logits_NKHW: Tensor) -> Tensor:
        """Return (N, K, H, W) float32 probabilities."""
        logits_NKHW = logits_NKHW.float()
        return torch.sigmoid(logits_NKHW) if self._num_classes == 1 else torch.softmax(logits_NKHW, dim=1)
