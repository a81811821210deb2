"""Predicts large images tile by tile, without seams.

Shape suffixes: N images, C channels, K outputs per pixel, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def predict_tiled(predict: Callable[[Tensor], Tensor], images_NCHW: Tensor, tile: int, overlap: int) -> Tensor:
    """Return (N, K, H, W) predictions of tiles, blended where they overlap with weights that sum to 1.

    A tile's weight falls off linearly towards its border, where a network sees the least of a pixel's surroundings.

    Args:
        predict: from (N, C, h, w) to (N, K, h, w), called once for each tile.
        images_NCHW: of any size.
        tile: side of a tile, in pixels.
        overlap: pixels that neighbours have at least in common, below ``tile``.

    Raises:
        ValueError: predictions are not of their tile's size.
    """
    height, width = images_NCHW.shape[2:]
    of_rows = _weights(height, tile, overlap, images_NCHW)
    of_columns = _weights(width, tile, overlap, images_NCHW)
    blended: Tensor | None = None
    for top, weights_H in of_rows:
        for left, weights_W in of_columns:
            place = (..., slice(top, top + len(weights_H)), slice(left, left + len(weights_W)))
            predicted = predict(images_NCHW[place])
            if predicted.shape[2:] != (len(weights_H), len(weights_W)):
                expected = (len(weights_H), len(weights_W))
                raise ValueError(
                    f"a tile's prediction has shape {tuple(predicted.shape)}, expected (N, K, *{expected})"
                )
            weighted = predicted * (weights_H[:, None] * weights_W).to(predicted.dtype)
            if blended is None:
                blended = weighted.new_zeros((*predicted.shape[:2], height, width))
            blended[place] += weighted
    assert blended is not None
    return blended


def _starts(side: int, tile: int, overlap: int) -> list[int]:
    """Return where tiles start along a side."""
    if not 0 <= overlap < tile:
        raise ValueError(f"an overlap of {overlap} pixels of tiles of {tile}: expected 0 to {tile - 1}")
    last = max(side - tile, 0)
    num_steps = -(-last // (tile - overlap))
    return [round(last * step / num_steps) for step in range(num_steps + 1)] if num_steps else [0]


def _weights(side: int, tile: int, overlap: int, like: Tensor) -> list[tuple[int, Tensor]]:
    """Return each tile's start along a side with the weights of its pixels, those of all tiles summing to 1."""
    starts, extent = _starts(side, tile, overlap), min(tile, side)
    distance = torch.arange(extent, dtype=torch.float64) + 0.5
    window = torch.minimum(distance, extent - distance)
    total = torch.zeros(side, dtype=torch.float64)
    for start in starts:
        total[start : start + extent] += window
    return [(start, (window / total[start : start + extent]).to(like.device, torch.float32)) for start in starts]
