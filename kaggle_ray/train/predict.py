"""Predicts rows of decoded images, in a fixed order and in fixed batches."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from kaggle_ray.config import TestTimeAugmentation
from kaggle_ray.images.augment import resize_batch, to_float
from kaggle_ray.images.decode import Pixels
from kaggle_ray.settings import Settings
from kaggle_ray.train.losses import probabilities
from kaggle_ray.types import FloatArray, IntArray, Task


def autocast(settings: Settings) -> torch.autocast:
    """Return the context in which forward passes run at the settings' dtype."""
    enabled = settings.dtype != "float32"
    dtype = getattr(torch, settings.dtype) if enabled else None
    return torch.autocast(settings.device, dtype=dtype, enabled=enabled)


@torch.inference_mode()
def predict_logits(
    model: nn.Module,
    pixels: Pixels,
    rows: IntArray,
    *,
    size: int,
    batch_size: int,
    settings: Settings,
    mirrored: bool = False,
) -> Tensor:
    """Return (N, C) float32 logits of ``rows``, on the CPU; the model is left in evaluation mode.

    Args:
        model: takes (N, 3, size, size) values 0..1.
        pixels: (M, H, W, 3) uint8.
        rows: (N,) positions in ``pixels``, predicted in their order.
        size: side in pixels to predict at.
        batch_size: images at a time.
        settings: the device and dtype of the forward pass.
        mirrored: whether to predict the mirror images.
    """
    model.eval()
    device = torch.device(settings.device)
    batches: list[Tensor] = []
    for start in range(0, len(rows), batch_size):
        resized = resize_batch(pixels, rows[start : start + batch_size], size)
        images_NCHW = to_float(torch.from_numpy(resized).to(device, non_blocking=True))
        with autocast(settings):
            logits_NC = model(images_NCHW.flip(3) if mirrored else images_NCHW)
        batches.append(logits_NC.float().cpu())
    return torch.cat(batches)


def predict_probabilities(
    model: nn.Module,
    pixels: Pixels,
    rows: IntArray,
    *,
    task: Task,
    tta: TestTimeAugmentation,
    size: int,
    batch_size: int,
    settings: Settings,
) -> FloatArray:
    """Return (N, C) float32 probabilities of ``rows``: the mean over the views that ``tta`` names.

    Predicting at a larger size than was trained at, too, makes up for random crops having enlarged the training images.
    Source: Touvron et al., "Fixing the train-test resolution discrepancy", NeurIPS 2019.
    """
    larger = min(size * 5 // 4, pixels.shape[1])
    sizes = sorted({size, larger}) if tta == "hflip_sizes" else [size]
    mirrorings = [False] if tta == "none" else [False, True]
    views = [
        predict_logits(model, pixels, rows, size=side, batch_size=batch_size, settings=settings, mirrored=mirrored)
        for side in sizes
        for mirrored in mirrorings
    ]
    views_NC = np.stack([probabilities(logits_NC, task).numpy() for logits_NC in views])
    return np.asarray(np.mean(views_NC, axis=0, dtype=np.float64), dtype=np.float32)
