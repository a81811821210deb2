"""How the columns of a model's output are trained on and read, head by head.

Shape suffixes: N samples of a batch, C columns of the prediction, T of the target, K outputs per pixel, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kaggle_ray.config import LossHyperparameters
from kaggle_ray.data.head import Head, PlacedHead, place_heads
from kaggle_ray.rows import Rows
from kaggle_ray.train.losses.class_weights import count_classes, is_softmax
from kaggle_ray.train.losses.registry import SampleLoss, make_losses
from kaggle_ray.train.losses.scales import scaled, unscaled
from kaggle_ray.types import Float64Array, IntArray, Target


def make_outputs(
    heads: Sequence[Head], target: Rows, train_rows: IntArray, given: LossHyperparameters
) -> Outputs | PixelOutputs:
    """Return how a fold's heads are trained on; scales and class weights are those of the training rows.

    Args:
        heads: of the competition.
        target: (N,) or (N, T) of all rows; of masks (N, pixels) class numbers.
        train_rows: (n,) positions of the rows to train on.
        given: names the loss.

    Raises:
        ConfigError: the loss or an argument of it is unknown, out of range, or of another task.
    """
    smoothing = given.label_smoothing
    losses = make_losses(heads, given.name, given.args, lambda place: count_classes(place, target, train_rows))
    if heads[0].task == "segmentation":
        return PixelOutputs(heads[0], label_smoothing=smoothing, loss=losses[0])
    return Outputs(heads, target[train_rows], label_smoothing=smoothing, losses=losses)


def outputs_of(heads: Sequence[Head], weights: Mapping[str, Tensor]) -> Outputs | PixelOutputs:
    """Return how a fit's outputs are read, from its weights; they are not trained on any more.

    Args:
        heads: of the competition.
        weights: ``Fit.weights``, with the scale of regression targets.

    Raises:
        KeyError: the scale is not among them.
    """
    if heads[0].task == "segmentation":
        return PixelOutputs(heads[0])
    outputs = Outputs(heads, np.zeros((1, sum(head.num_target_columns for head in heads))))
    outputs.mean, outputs.std = weights["outputs.mean"], weights["outputs.std"]
    return outputs


class Outputs:
    """Soft targets, loss and values of one fold's heads."""

    def __init__(
        self,
        heads: Sequence[Head],
        target: Target,
        *,
        label_smoothing: float = 0.0,
        losses: Sequence[SampleLoss] | None = None,
    ) -> None:
        """Take the scale of regression targets from ``target`` (N,) or (N, T): the rows to train on.

        Args:
            heads: what the columns stand for.
            target: the training rows' targets.
            label_smoothing: the fraction of a target that is moved evenly to all classes (Szegedy et al., CVPR 2016).
            losses: of each head; None has their defaults.
        """
        self._placed = place_heads(heads)
        self._losses = make_losses(heads, "default", {}) if losses is None else tuple(losses)
        total = sum(head.loss_weight for head in heads)
        self._shares = [head.loss_weight / total for head in heads]
        self._smoothing = label_smoothing
        num_outputs = self._placed[-1].outputs.stop
        self.mean = torch.zeros(num_outputs)
        """(C,) means of regression targets on their head's scale; 0 for other columns."""
        self.std = torch.ones(num_outputs)
        """(C,) standard deviations of the same; 1 for other columns, and where all targets are the same."""
        columns = target.reshape(len(target), -1)
        for place in self._placed:
            if place.head.task == "regression":
                of_head = scaled(
                    torch.from_numpy(columns[:, place.targets].astype(np.float64)), place.head.scale
                ).numpy()
                self.mean[place.outputs] = float(of_head.mean())
                self.std[place.outputs] = _scale_or_one(of_head)

    def soft_targets(self, target_NT: Tensor) -> Tensor:
        """Return (N, C) float32 what the outputs are to be, on the target's device."""
        target_NT = target_NT.reshape(len(target_NT), -1)
        of_heads = [self._soft(target_NT, number) for number in range(len(self._placed))]
        return of_heads[0] if len(of_heads) == 1 else torch.cat(of_heads, dim=1)

    def targets(self, target_NT: Tensor) -> Tensor:
        """Return the same for the loss of samples that are not mixed: where one head has classes, their (N,) numbers.

        A loss takes less time with these, and is the same.
        """
        (first, *others) = self._placed
        if others or first.head.task != "multiclass" or first.head.soft or self._smoothing:
            return self.soft_targets(target_NT)
        return target_NT.reshape(len(target_NT)).long()

    def _soft(self, target_NT: Tensor, number: int) -> Tensor:
        place = self._placed[number]
        of_head = target_NT[:, place.targets]
        if place.head.task == "multiclass" and place.head.soft:
            return _smoothed(of_head.float(), self._smoothing, place.head.num_outputs)
        if place.head.task == "multiclass":
            one_hot = torch.zeros(len(of_head), place.head.num_outputs, device=of_head.device)
            one_hot.scatter_(1, of_head.long(), 1.0)  # in a quarter of the time that functional.one_hot takes
            return _smoothed(one_hot, self._smoothing, place.head.num_outputs)
        if place.head.task == "regression":
            mean, std = self._scale_of(place, of_head.device)
            return (scaled(of_head.float(), place.head.scale) - mean) / std
        return _smoothed(of_head.float(), self._smoothing, 2)

    def targets_of_values(self, values_NC: Tensor) -> Tensor:
        """Return (N, C) float32 what the outputs are to be where ``values_NC`` are right: what ``values`` reads back.

        Label smoothing is for classes that are known, and leaves probabilities as they are.
        """
        targets_NC = values_NC.float().clone()
        for place in self._placed:
            if place.head.task == "regression":
                mean, std = self._scale_of(place, targets_NC.device)
                of_head = scaled(targets_NC[:, place.outputs], place.head.scale)
                targets_NC[:, place.outputs] = (of_head - mean) / std
        return targets_NC

    def sample_losses(self, logits_NC: Tensor, targets_NC: Tensor) -> Tensor:
        """Return (N,) float32 each sample's loss: the mean of its heads' by their weights."""
        logits_NC = logits_NC.float()
        if len(self._losses) == 1:
            return self._losses[0](logits_NC, targets_NC)
        total_N = torch.zeros(len(logits_NC), device=logits_NC.device)
        for place, share, loss in zip(self._placed, self._shares, self._losses, strict=True):
            losses_N = loss(logits_NC[:, place.outputs], targets_NC[:, place.outputs])
            total_N = torch.add(total_N, losses_N, alpha=share)
        return total_N

    def values(self, logits_NC: Tensor) -> Tensor:
        """Return (N, C) float32 probabilities, or values in the target's units."""
        return torch.cat([self._read(logits_NC.float(), number) for number in range(len(self._placed))], dim=1)

    def _read(self, logits_NC: Tensor, number: int) -> Tensor:
        place = self._placed[number]
        of_head = logits_NC[:, place.outputs]
        if place.head.task == "multiclass":
            return torch.softmax(of_head, dim=1)
        if place.head.task == "regression":
            mean, std = self._scale_of(place, of_head.device)
            return unscaled(of_head * std + mean, place.head.scale)
        return torch.sigmoid(of_head)

    def _scale_of(self, place: PlacedHead, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return mean and deviation of a head's values, brought to the device without waiting for it."""
        mean, std = (values[place.outputs].to(device, non_blocking=True) for values in (self.mean, self.std))
        return mean, std


def _scale_or_one(numbers: Float64Array) -> float:
    """Return the standard deviation, or 1 where float32 cannot tell the numbers apart."""
    std = float(numbers.std())
    return std if std > np.finfo(np.float32).eps * float(np.abs(numbers).max()) else 1.0


def _smoothed(one_hot: Tensor, smoothing: float, num_classes: int) -> Tensor:
    return one_hot * (1 - smoothing) + smoothing / num_classes if smoothing else one_hot


class PixelOutputs:
    """Losses and activations of masks: each pixel is a question of its own."""

    def __init__(self, head: Head, *, label_smoothing: float = 0.0, loss: SampleLoss | None = None) -> None:
        """Know whether pixels are foreground or not, or of one of several classes.

        Args:
            head: of the masks.
            label_smoothing: the fraction of a pixel's target that is moved evenly to all classes.
            loss: of images (N, K, H, W); None has the default.
        """
        self._is_softmax = is_softmax(head)
        self._num_classes = max(2, len(head.classes))
        self._smoothing = label_smoothing
        self._loss = loss or make_losses([head], "default", {})[0]

    def soft_targets(self, masks_NHW1: Tensor) -> Tensor:
        """Return (N, K, H, W) float32: the share of foreground, or a class's 1 among 0, of each pixel."""
        if self._is_softmax:
            shares_NHWK = functional.one_hot(masks_NHW1[..., 0].long(), self._num_classes).float()
        else:
            shares_NHWK = masks_NHW1.float() / 255
        return _smoothed(shares_NHWK.permute(0, 3, 1, 2), self._smoothing, self._num_classes)

    targets = soft_targets

    def sample_losses(self, logits_NKHW: Tensor, targets_NKHW: Tensor) -> Tensor:
        """Return (N,) float32 each image's loss."""
        return self._loss(logits_NKHW.float(), targets_NKHW)

    def values(self, logits_NKHW: Tensor) -> Tensor:
        """Return (N, K, H, W) float32 probabilities."""
        logits_NKHW = logits_NKHW.float()
        return torch.softmax(logits_NKHW, dim=1) if self._is_softmax else torch.sigmoid(logits_NKHW)
