"""The batches of one epoch: read and augmented in this process or in workers, then finished on the device.

Shape suffixes: N samples of a batch, V views of a sample, H and W pixels, C channels or columns, T of the target.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from kaggle_ray.config import Hyperparameters
from kaggle_ray.images.augment import augment_batch, draws_of, recolor, sample_keys, to_float
from kaggle_ray.images.decode import Pixels
from kaggle_ray.images.geometry import MaskKind
from kaggle_ray.images.mix import cutmix, mixup
from kaggle_ray.settings import Settings
from kaggle_ray.train.inputs import FitData
from kaggle_ray.train.losses import Outputs, PixelOutputs
from kaggle_ray.train.process import derive_seed
from kaggle_ray.types import IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What a loader hands over: still on the CPU, and still bytes."""

    rows: IntArray
    """(N,) positions of the rows."""
    pixels: Pixels
    """(N * V, H, W, C) uint8 or uint16."""
    target: npt.NDArray[np.generic]
    """(N,) or (N, T); for segmentation (N, H, W, 1) masks."""
    keys: npt.NDArray[np.uint64]
    """(N * V,) what the colours' randomness is a function of."""


class EpochBatches(Dataset[Batch]):
    """Each training row once, in an order of the epoch's own, in nearly equal batches."""

    def __init__(self, data: FitData, hyperparameters: Hyperparameters, epoch: int, *, uses_images: bool) -> None:
        """Draw the epoch's order; with no use for images none is read."""
        self._data = data
        self._recipe = hyperparameters.augment
        self._sides = hyperparameters.sides(hyperparameters.size_at(epoch))
        self._uses_images = uses_images
        self._mask_kind: MaskKind = "mask" if len(data.heads[0].classes) == 1 else "labels"
        seeds = (hyperparameters.seed, data.fold, epoch)
        order = np.random.default_rng(derive_seed("order", *seeds)).permutation(data.train_rows)
        self._rows: list[IntArray] = np.array_split(order, num_steps_of(data, hyperparameters))
        self._keys = sample_keys(*seeds, data.id_hashes)

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self._rows)

    def __getitem__(self, number: int) -> Batch:
        """Return a batch; the same in every process."""
        rows = self._rows[number]
        views = self._data.inputs.views(rows)
        keys = self._keys[views]
        if not self._uses_images:
            nothing = np.zeros((len(views), 1, 1, self._data.inputs.images.shape[3]), dtype=np.uint8)
            return Batch(rows=rows, pixels=nothing, target=self._data.target[rows], keys=keys)
        masks = None if self._data.masks is None else self._data.masks.read(rows)
        pixels, masks = augment_batch(
            self._data.inputs.read(rows), masks, keys, self._recipe, *self._sides, mask_kind=self._mask_kind
        )
        return Batch(rows=rows, pixels=pixels, target=self._data.target[rows] if masks is None else masks, keys=keys)


def num_steps_of(data: FitData, hyperparameters: Hyperparameters) -> int:
    """Return the optimizer steps of an epoch."""
    return -(-len(data.train_rows) // hyperparameters.batch_size)


def load(batches: EpochBatches, settings: Settings) -> Iterator[Batch]:
    """Yield the batches in their order; they are the same for any number of workers."""
    if not settings.loader_workers:
        yield from (batches[number] for number in range(len(batches)))
        return
    yield from DataLoader(batches, batch_size=None, num_workers=settings.loader_workers, shuffle=False)


class Finisher:
    """Takes an epoch's batches to the device: floats, colours, soft targets, mixtures."""

    def __init__(
        self,
        data: FitData,
        outputs: Outputs | PixelOutputs,
        hyperparameters: Hyperparameters,
        epoch: int,
        device: torch.device,
    ) -> None:
        """Draw mixtures from the epoch's own generator."""
        self._inputs = data.inputs
        self._outputs = outputs
        self._hyperparameters = hyperparameters
        self._device = device
        self._mixing = np.random.default_rng(derive_seed("mixup", hyperparameters.seed, data.fold, epoch))

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return images (N, C, H, W) 0..1, or (N, V, C, H, W), the table (N, D) or None, and the soft targets."""
        images_NCHW = to_float(to_device(batch.pixels, self._device))
        images_NCHW = recolor(images_NCHW, to_device(draws_of(batch.keys), self._device), self._hyperparameters.augment)
        targets = self._outputs.soft_targets(to_device(batch.target, self._device))
        table_ND = table_of(self._inputs.table, batch.rows, self._device)
        if table_ND is None and self._inputs.num_views == 1:
            images_NCHW, targets = self._mix(images_NCHW, targets)
        return split_views(images_NCHW, self._inputs.num_views), table_ND, targets

    def _mix(self, images_NCHW: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mix the batch with itself in another order; where both kinds are asked for, one of them by chance."""
        alphas = self._hyperparameters.mixup, self._hyperparameters.cutmix
        if not any(alphas):
            return images_NCHW, targets
        mixes = self._mixing.random() < 0.5 if all(alphas) else alphas[0] > 0
        if mixes:
            return mixup(images_NCHW, targets, alphas[0], self._mixing)
        return cutmix(images_NCHW, targets, alphas[1], self._mixing)


def to_device(array: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    """Return ``array`` as a tensor on the device."""
    return torch.from_numpy(array).to(device, non_blocking=True)


def table_of(table: npt.NDArray[np.float32] | None, rows: IntArray, device: torch.device) -> Tensor | None:
    """Return (N, D) the rows of a table on the device, None where there is no table."""
    return None if table is None else to_device(table[rows], device)


def split_views(images_NCHW: Tensor, num_views: int) -> Tensor:
    """Return (N, V, C, H, W) where samples have several images; else the images as they are."""
    return images_NCHW if num_views == 1 else images_NCHW.reshape(-1, num_views, *images_NCHW.shape[1:])
