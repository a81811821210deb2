"""Mixes a batch with itself in another order, on the device.

Shape suffixes: N samples, C channels, H height, W width.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


def mixup(images_NCHW: Tensor, targets: Tensor, alpha: float, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return weighted means of pairs of images, and of their targets.

    Args:
        images_NCHW: a batch.
        targets: (N, ...) float, soft targets or masks.
        alpha: the weight's distribution is Beta(alpha, alpha); above 0.
        generator: draws the weight and the pairs, one each for the batch.

    Source: Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018.
    """
    share = float(generator.beta(alpha, alpha))
    partners = _partners(images_NCHW, generator)
    return _blend(images_NCHW, images_NCHW[partners], share), _blend(targets, targets[partners], share)


def cutmix(images_NCHW: Tensor, targets: Tensor, alpha: float, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return images with a rectangle of another, and targets mixed by the area that it has in the end.

    Masks, targets of (N, K, H, W), are cut as the images are.

    Args:
        images_NCHW: a batch.
        targets: (N, ...) float, soft targets or masks.
        alpha: the distribution of the share that an image keeps is Beta(alpha, alpha); above 0.
        generator: draws the rectangle and the pairs, one each for the batch.

    Source: Yun et al., "CutMix: regularization strategy to train strong classifiers with localizable features",
    ICCV 2019.
    """
    height, width = images_NCHW.shape[2:]
    rows, columns = _rectangle(float(generator.beta(alpha, alpha)), height, width, generator)
    partners = _partners(images_NCHW, generator)
    images = _paste(images_NCHW, partners, rows, columns)
    if targets.ndim == 4:
        assert targets.shape[2:] == images_NCHW.shape[2:], f"masks {targets.shape} of images {images_NCHW.shape}"
        return images, _paste(targets, partners, rows, columns)
    pasted = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
    return images, _blend(targets, targets[partners], 1 - pasted)


def _partners(images_NCHW: Tensor, generator: np.random.Generator) -> Tensor:
    return torch.from_numpy(generator.permutation(len(images_NCHW))).to(images_NCHW.device)


def _blend(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Return ``share`` of the first and the rest of the second."""
    return torch.lerp(second, first, share)


def _rectangle(kept: float, height: int, width: int, generator: np.random.Generator) -> tuple[slice, slice]:
    """Return rows and columns about a point anywhere in the image, of 1 - ``kept`` of its area where not cut off."""
    extent = math.sqrt(1 - kept)
    row, column = generator.random(2)
    return _interval(row, extent, height), _interval(column, extent, width)


def _interval(centre: float, extent: float, side: int) -> slice:
    """Return the pixels of a side between two of its fractions, those outside of it left out."""
    start, stop = (round(side * (centre + sign * extent / 2)) for sign in (-1, 1))
    return slice(max(start, 0), min(stop, side))


def _paste(images_NCHW: Tensor, partners: Tensor, rows: slice, columns: slice) -> Tensor:
    pasted = images_NCHW.clone()
    pasted[:, :, rows, columns] = images_NCHW[partners][:, :, rows, columns]
    return pasted
