"""Cross entropy in its forms, of samples or of their pixels: each sample's loss is the mean of its own.

Shape suffixes: N samples, C outputs, further dimensions (...) are pixels.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Tensor, targets: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Return (N,) the cross entropy of a softmax; a class's part of a soft target counts by the class's weight.

    Args:
        logits: (N, C, ...).
        targets: (N, C, ...) probabilities, or (N, ...) class numbers.
        class_weights: (C,).
    """
    weights = None if class_weights is None else class_weights.to(logits, non_blocking=True)
    return _mean_of_each(functional.cross_entropy(logits, targets, weight=weights, reduction="none"))


def binary_cross_entropy(logits: Tensor, targets: Tensor, pos_weight: Tensor | None = None) -> Tensor:
    """Return (N,) the mean over the outputs of the cross entropy of their sigmoids.

    Args:
        logits: (N, C), or (N, 1, ...).
        targets: probabilities, of the same shape.
        pos_weight: (C,) of the part that is there; that of the part that is not is 1.
    """
    weights = None if pos_weight is None else pos_weight.to(logits, non_blocking=True)
    losses = functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights, reduction="none")
    return _mean_of_each(losses)


def weighted_binary_cross_entropy(logits_N1: Tensor, targets_N1: Tensor, class_weights: Tensor) -> Tensor:
    """Return (N,) the same as ``cross_entropy`` with the logits 0 and x, and two ``class_weights``."""
    negative, positive = class_weights.to(logits_N1, non_blocking=True)
    losses: Tensor = negative * binary_cross_entropy(logits_N1, targets_N1, (positive / negative)[None])
    return losses


def focal(logits: Tensor, targets: Tensor, gamma: float, class_weights: Tensor | None = None) -> Tensor:
    """Return (N,) the cross entropy of a softmax, each class's part times ``(1 - p) ** gamma`` of its probability p.

    Ours because torchvision's is of sigmoids only, and segmentation-models-pytorch's takes class numbers: with soft
    targets of 0 and 1 this one is the same.

    Args:
        logits: (N, C, ...).
        targets: (N, C, ...) probabilities, or (N,) class numbers.
        gamma: at least 1: below it the gradient of a certain answer is not finite.
        class_weights: (C,).

    Source: Lin et al., "Focal loss for dense object detection", ICCV 2017.
    """
    if targets.ndim < logits.ndim:
        targets = functional.one_hot(targets, logits.shape[1])
    log_values = functional.log_softmax(logits, dim=1)
    parts = targets * (1 - log_values.exp()) ** gamma * log_values
    if class_weights is not None:
        parts = parts * class_weights.to(logits, non_blocking=True).view(-1, *[1] * (logits.ndim - 2))
    return _mean_of_each(-parts.sum(dim=1))


def binary_focal(logits: Tensor, targets: Tensor, gamma: float, alpha: float | None = None) -> Tensor:
    """Return (N,) the mean over the outputs of torchvision's focal loss of sigmoids.

    Args:
        logits: (N, C, ...).
        targets: probabilities, of the same shape.
        gamma: at least 1.
        alpha: the weight of the part that is there, 1 - alpha of the part that is not; None weights neither.
    """
    losses: Tensor = _sigmoid_focal_loss()(
        logits, targets, alpha=-1 if alpha is None else alpha, gamma=gamma, reduction="none"
    )
    return _mean_of_each(losses)


@cache
def _sigmoid_focal_loss() -> Any:
    """Import torchvision, which takes seconds, where it is needed."""
    from torchvision.ops import sigmoid_focal_loss

    return sigmoid_focal_loss


def _mean_of_each(losses: Tensor) -> Tensor:
    """Return (N,) the means of (N, ...)."""
    return losses if losses.ndim == 1 else losses.mean(dim=tuple(range(1, losses.ndim)))
