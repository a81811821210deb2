"""Colour jitter and erasing on the device, on floats.

Shape suffixes: N images of a batch, C channels, H height, W width, P random numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

_MAX_ERASED_ASPECT = 2.0
_GREY = 0.47
"""What erased areas are filled with: the mean of photographs, 0..1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Color:
    """What colour jitter and erasing may do."""

    brightness: float = 0.0
    """Largest shift of all values, which range from 0 to 1."""
    contrast: float = 0.0
    """The distance from the image's mean is scaled by 1 - contrast to 1 + contrast."""
    saturation: float = 0.0
    """The distance from the pixel's grey is scaled by 1 - saturation to 1 + saturation."""
    erase: float = 0.0
    """Probability that a rectangle of 5 to 20% of the area is filled with grey (Zhong et al., AAAI 2020)."""


def to_float(pixels_NHWC: Tensor) -> Tensor:
    """Return (N, C, H, W) float32, channels last in memory: 8- or 16-bit pixels as 0..1, other numbers as they are."""
    if pixels_NHWC.is_floating_point():
        return pixels_NHWC.permute(0, 3, 1, 2)
    largest = 65535 if pixels_NHWC.dtype == torch.uint16 else 255
    return pixels_NHWC.permute(0, 3, 1, 2).float().div_(largest)


def normalize(images_NCHW: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return the images less the mean of each channel, over its standard deviation, both (1, C, 1, 1).

    Where channels are last in memory, a CPU would take three numbers at a time; it is given the mean of a whole row of
    pixels, which takes a fifth of the time and gives the same bits.
    """
    if images_NCHW.device.type == "cpu" and images_NCHW.is_contiguous(memory_format=torch.channels_last):
        width = images_NCHW.shape[3]
        mean, std = (
            values.expand(-1, -1, -1, width).contiguous(memory_format=torch.channels_last) for values in (mean, std)
        )
    return (images_NCHW - mean).div_(std)


def jitter_and_erase(images_NCHW: Tensor, draws_NP: Tensor, color: Color) -> Tensor:
    """Return (N, C, H, W) values of 0..1 or a little outside; an image's depend on its own draws only."""
    if color.brightness or color.contrast or color.saturation:
        images_NCHW = _jitter(images_NCHW, draws_NP, color)
    return _erase(images_NCHW, draws_NP, color.erase) if color.erase else images_NCHW


def _jitter(images_NCHW: Tensor, draws_NP: Tensor, color: Color) -> Tensor:
    """Shift brightness, scale contrast about the image's mean, and saturation about the pixel's grey, in one pass.

    The mean is that of the rows' sums, taken in float64: torch sums a whole image in another order where it is alone.
    """
    strengths = torch.tensor([color.brightness, color.contrast, color.saturation]).to(draws_NP, non_blocking=True)
    brightness, contrast, saturation = (_symmetric(draws_NP[:, 5:8]) * strengths).T[:, :, None, None, None]
    sums_NH = images_NCHW.permute(0, 2, 3, 1).flatten(2).sum(dim=2)
    mean = (sums_NH.double().sum(dim=1) / images_NCHW[0].numel()).float()[:, None, None, None]
    grey_N1HW = reduce(torch.add, images_NCHW.unbind(dim=1))[:, None] / images_NCHW.shape[1]
    offset_N1HW = grey_N1HW * (-saturation * (1 + contrast)) + (brightness - contrast * mean)
    return torch.addcmul(offset_N1HW, images_NCHW, (1 + contrast) * (1 + saturation))


def _erase(images_NCHW: Tensor, draws_NP: Tensor, probability: float) -> Tensor:
    """Fill a rectangle of random area, aspect and place with grey."""
    area = 0.05 + 0.15 * draws_NP[:, 9]
    aspect = torch.exp(_symmetric(draws_NP[:, 10]) * math.log(_MAX_ERASED_ASPECT))
    width, height = torch.sqrt(area * aspect), torch.sqrt(area / aspect)
    left, top = draws_NP[:, 11] * (1 - width), draws_NP[:, 12] * (1 - height)
    in_columns = _within(left, width, images_NCHW.shape[3])
    in_rows = _within(top, height, images_NCHW.shape[2])
    chosen = draws_NP[:, 8] < probability
    erased = (in_rows & chosen[:, None])[:, None, :, None] & in_columns[:, None, None, :]
    return images_NCHW.masked_fill(erased, _GREY)


def _within(start_N: Tensor, extent_N: Tensor, side: int) -> Tensor:
    """Return (N, side) whether the centres of a side's pixels lie within an interval, given as fractions of it."""
    centres = (torch.arange(side, device=start_N.device) + 0.5) / side
    return (centres >= start_N[:, None]) & (centres < (start_N + extent_N)[:, None])


def _symmetric(draws: Tensor) -> Tensor:
    """Return uniform numbers of 0..1 as -1..1."""
    return 2 * draws - 1
