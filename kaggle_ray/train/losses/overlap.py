"""How far a predicted set, of pixels or of labels, overlaps with the true one: Dice, Jaccard, F scores.

Shape suffixes: N samples, C labels, K outputs per pixel, further dimensions (...) are pixels.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def tversky(values: Tensor, targets: Tensor, *, alpha: float, beta: float, smooth: float) -> Tensor:
    """Return (N,) 1 - the mean over the outputs of (TP + smooth) / (TP + alpha FP + beta FN + smooth).

    With 1/2 and 1/2 it is Dice, with 1 and 1 Jaccard. The overlap TP is the sum of the smaller of prediction and
    target: for targets of 0 and 1 their product, but for soft ones, too, the best prediction is the target itself.
    Ours because segmentation-models-pytorch's, of the same formula, sums over all samples of a batch, and takes the
    loss of an empty mask for 0 whatever is predicted.

    Args:
        values: (N, K, ...) probabilities.
        targets: (N, K, ...) 0..1.
        alpha: weight of what is wrongly there (FP).
        beta: weight of what is missed (FN).
        smooth: above 0, for empty sets.

    Source: Salehi et al., "Tversky loss function for image segmentation", MLMI 2017; Wang et al., "Dice semimetric
    losses", MICCAI 2023 (soft targets).
    """
    pixels = tuple(range(2, values.ndim))
    missed = functional.relu(targets - values).sum(dim=pixels)
    true = targets.sum(dim=pixels) - missed
    false = alpha * (values.sum(dim=pixels) - true) + beta * missed
    return 1 - ((true + smooth) / (true + false + smooth)).mean(dim=1)


def smooth_f_beta(logits_NC: Tensor, targets_NC: Tensor, beta: float, smooth: float) -> Tensor:
    """Return (N,) 1 - the soft F score of a sample's labels, in which recall counts ``beta`` times as much.

    F is TP / (TP + (FP + beta² FN) / (1 + beta²)): a Tversky index.
    """
    recall = beta**2 / (1 + beta**2)
    values, targets = torch.sigmoid(logits_NC)[:, None], targets_NC[:, None]
    return tversky(values, targets, alpha=1 - recall, beta=recall, smooth=smooth)


def lovasz(logits_NKHW: Tensor, targets_NKHW: Tensor) -> Tensor:
    """Return (N,) the Lovász hinge (K = 1) or Lovász-Softmax loss of each image, by segmentation-models-pytorch.

    It is defined for classes, not for shares of them: soft targets are rounded to the likelier class.

    Source: Berman et al., "The Lovász-Softmax loss", CVPR 2018.
    """
    if logits_NKHW.shape[1] == 1:
        loss, labels = _lovasz_loss("binary"), (targets_NKHW >= 0.5).to(logits_NKHW)
    else:
        loss, labels = _lovasz_loss("multiclass"), targets_NKHW.argmax(dim=1)
    of_each = zip(logits_NKHW.unsqueeze(1), labels.unsqueeze(1), strict=True)
    return torch.stack([loss(logits, label) for logits, label in of_each])


@cache
def _lovasz_loss(mode: str) -> Any:
    """Import segmentation-models-pytorch, which takes seconds, where it is needed."""
    from segmentation_models_pytorch.losses import LovaszLoss

    return LovaszLoss(mode, per_image=True)
