"""Views of images for test-time augmentation, and the way back for what was predicted of them.

Shape suffixes: N images, C channels, K outputs per pixel, H and W pixels.
"""

from __future__ import annotations

from torch import Tensor

from kaggle_ray.config.predict import View

_CROP = (7, 8)
"""Sides of a crop over those of the image: of 256 pixels 224."""


def viewed(images_NCHW: Tensor, view: View) -> Tensor:
    """Return the images as ``view`` sees them: turned, then mirrored, then cropped."""
    images_NCHW = images_NCHW.rot90(view.num_turns, (-2, -1))
    images_NCHW = images_NCHW.flip(-1) if view.is_mirrored else images_NCHW
    return images_NCHW if view.corner is None else _cropped(images_NCHW, view.corner)


def viewed_back(masks_NKHW: Tensor, view: View) -> Tensor:
    """Return masks that were predicted of a view as the images lie."""
    assert view.corner is None, "a crop says nothing of the pixels outside of it"
    masks_NKHW = masks_NKHW.flip(-1) if view.is_mirrored else masks_NKHW
    return masks_NKHW.rot90(-view.num_turns, (-2, -1))


def _cropped(images_NCHW: Tensor, corner: str) -> Tensor:
    height, width = images_NCHW.shape[-2:]
    cut_height, cut_width = (max(1, side * _CROP[0] // _CROP[1]) for side in (height, width))
    free_height, free_width = height - cut_height, width - cut_width
    top = free_height // 2 if corner == "centre" else free_height * corner.startswith("bottom")
    left = free_width // 2 if corner == "centre" else free_width * corner.endswith("right")
    return images_NCHW[..., top : top + cut_height, left : left + cut_width]
