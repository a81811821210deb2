"""Sides that a network can halve: images are padded to them, and masks cropped back."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def padded(images_NCHW: Tensor, multiple: int) -> Tensor:
    """Return the images with rows and columns added below and to the right, up to multiples of ``multiple``."""
    bottom, right = (-side % multiple for side in images_NCHW.shape[2:])
    if not bottom and not right:
        return images_NCHW
    return functional.pad(images_NCHW, (0, right, 0, bottom), mode="replicate")
