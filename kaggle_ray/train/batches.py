"""The batches of one epoch: read and augmented in this process or in workers, to be finished on the device.

A step's batch is the same whatever the number of processes: each takes a part of it, and computes that in as many
pieces as ``accumulate`` says.

Shape suffixes: N samples of a piece, M samples that are read for it, V views of a sample, H and W pixels, C channels or
columns, T of the target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from kaggle_ray.config import Hyperparameters
from kaggle_ray.counted import counted
from kaggle_ray.errors import ConfigError
from kaggle_ray.images.augment import augment_batch
from kaggle_ray.images.decode import Pixels
from kaggle_ray.images.geometry import MaskKind
from kaggle_ray.images.mix import Mix, check_mix, draw_mix
from kaggle_ray.images.randomness import Keys, keys_of_copy, repeated_keys, sample_keys
from kaggle_ray.train.features import FrozenFeatures
from kaggle_ray.train.inputs import FitData
from kaggle_ray.train.process import derive_seed
from kaggle_ray.train.sampling import UNIFORM, WEIGHTED, repeats_of, rows_of_steps
from kaggle_ray.types import FloatArray, IntArray

_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What a loader hands over, one piece of a step's batch: still on the CPU, and still bytes."""

    step: int
    """Number of the step in the epoch, 0 for the first."""
    ends_step: bool
    """Whether it is this process's last piece of the step."""
    num_in_step: int
    """Samples of the whole step, those of all processes and pieces."""
    rows: IntArray
    """(N,) positions of the rows that are trained on."""
    read_rows: IntArray
    """(M,) positions of the rows that were read: ``rows``, then partners that they are mixed with and that are not
    among them."""
    pixels: Pixels | FloatArray
    """(M * V, H, W, C) pixels of the rows that were read, uint8 or uint16; or (M * V, F) features of them. Where rows
    have different numbers of images, those of all rows, one row's after the other's."""
    target: npt.NDArray[np.generic]
    """(M,) or (M, T) targets of the rows that were read; for segmentation (M, H, W, 1) masks."""
    auxiliary: npt.NDArray[np.generic] | None
    """(M, A) targets of the auxiliary heads, or (M, H, W, 1) masks; None where there are no such heads."""
    weights: FloatArray | None
    """(M,) how much the rows that were read count; None is 1 for all."""
    teacher: FloatArray | None
    """(M, C) answers of a teacher for the rows that were read, None where there is no teacher."""
    pseudolabels: tuple[IntArray, FloatArray] | None
    """(m,) positions among the rows that were read of those whose ``target`` is none, and (m, C) their pseudolabels;
    None where there are none."""
    keys: npt.NDArray[np.uint64]
    """(M * V,) keys that the colours' randomness is a function of."""
    seed: int
    """Seed of what a model draws, such as dropout. No other piece of the epoch has it."""
    mix: Mix | None = None
    """How ``rows`` are mixed with what was read."""


class EpochBatches(Dataset[Batch]):
    """Each training row once, or as a sampler draws them, in an order of the epoch's own, in nearly equal batches."""

    def __init__(
        self,
        data: FitData,
        hyperparameters: Hyperparameters,
        epoch: int,
        *,
        uses_images: bool,
        features: FrozenFeatures | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Draw the epoch's order; with no use for images none is read.

        Batches are made of the images' ``features``, if there are any, and the epoch's augmentation leaves them known.

        Raises:
            ConfigError: a batch has fewer rows than there are processes and pieces, a table would be cut, or the
                sampler draws what are no rows.
        """
        self._data = data
        self._hyperparameters = hyperparameters
        self._sides = hyperparameters.images.sides(hyperparameters.size_at(epoch))
        self._uses_images = uses_images
        of_masks = data.auxiliary_heads[0] if data.auxiliary_segments else data.heads[0]
        self._mask_kind: MaskKind = "mask" if len(of_masks.classes) == 1 else "labels"
        self._seeds = (hyperparameters.training.seed, data.fold, epoch)
        sampler, num_steps = hyperparameters.training.sampler, num_steps_of(data, hyperparameters.training.batch_size)
        self._rows = rows_of_steps(data, sampler, self._seeds, num_steps)
        self._repeats = None if sampler == UNIFORM else repeats_of(self._rows)
        self._weights = None if sampler == WEIGHTED else data.weights  # which say how often a row is drawn
        self._keys = _keys_of_augmentation(hyperparameters, data, epoch)
        self._seed = derive_seed("steps", *self._seeds) >> 1
        self._first_piece = rank * hyperparameters.training.accumulate
        self._num_pieces = world_size * hyperparameters.training.accumulate
        if self._num_pieces > len(self._rows[-1]):
            raise ConfigError(
                f"batches of {counted(len(self._rows[-1]), 'row')} cannot be split among {world_size} processes in "
                f"{hyperparameters.training.accumulate} pieces each. Use a larger batch_size, or fewer of them."
            )
        mixup, cutmix = hyperparameters.images.mixup, hyperparameters.images.cutmix
        has_table, varies = data.inputs.table is not None, data.inputs.counts is not None
        check_mix(mixup, cutmix, has_table=has_table, varies=varies)
        self._mixes = mixup > 0 or cutmix > 0
        self._features = (
            features.of_epoch(data.inputs.images, self._sides, hyperparameters.images, self._keys) if features else None
        )

    def __len__(self) -> int:
        """Return the number of this process's pieces."""
        return len(self._rows) * self._hyperparameters.training.accumulate

    def __getitem__(self, number: int) -> Batch:
        """Return a piece; the same in every process."""
        step, piece = divmod(number, self._hyperparameters.training.accumulate)
        in_step = self._rows[step]
        own = self._own(self._first_piece + piece, len(in_step))
        positions, mix = self._mixed(step, own, len(in_step)) if self._mixes else (np.arange(own.start, own.stop), None)
        read_rows = in_step[positions]
        views = self._data.inputs.views(read_rows)
        keys = self._keys[views]
        if self._data.masks is not None:  # one mask is moved along with all images of its sample, which so move alike
            keys = keys[:: self._data.inputs.num_views].repeat(self._data.inputs.num_views)
        if self._repeats is not None and not self._hyperparameters.images.augment_copies:  # a copy stays as it is
            keys = repeated_keys(keys, self._repeats[step][positions].repeat(self._data.inputs.counts_of(read_rows)))
        pixels: Pixels | FloatArray
        masks: Pixels | None = None
        if self._features is not None:
            pixels = self._features.read(views, keys)
        elif self._uses_images:
            pixels, masks = self._augmented(read_rows, keys)
        else:
            pixels = np.zeros((len(views), 1, 1, self._data.inputs.images.shape[3]), dtype=np.uint8)
        target = masks if self._data.segments else self._data.target[read_rows]
        assert target is not None, "masks are moved along with images"
        return Batch(
            step=step,
            ends_step=piece == self._hyperparameters.training.accumulate - 1,
            num_in_step=len(in_step),
            rows=in_step[own],
            read_rows=read_rows,
            pixels=pixels,
            target=target,
            auxiliary=masks if self._data.auxiliary_segments else _rows_of(self._data.auxiliary_target, read_rows),
            weights=_rows_of(self._weights, read_rows),
            teacher=_rows_of(self._data.teacher, read_rows),
            pseudolabels=_pseudolabels_of(self._data, read_rows),
            keys=keys,
            seed=self._seed + self._number_of(step, own.start),
            mix=mix,
        )

    def _augmented(self, rows: IntArray, keys: Keys) -> tuple[Pixels, Pixels | None]:
        """Return (M * V, H, W, C) images of rows, and (M, H, W, 1) their masks, moved along with them."""
        num_views, masks = self._data.inputs.num_views, None
        if self._data.masks is not None:
            masks = self._data.masks.read(rows).repeat(num_views, axis=0)
        pixels, masks = augment_batch(
            self._data.inputs.read(rows), masks, keys, self._hyperparameters.images.augment, *self._sides,
            mask_kind=self._mask_kind,
        )  # fmt: skip
        return pixels, None if masks is None else masks[::num_views]

    def _own(self, piece: int, num_in_step: int) -> slice:
        """Return the positions of a piece among those of all ranks, which are nearly equal and never empty."""
        return slice(*(num_in_step * end // self._num_pieces for end in (piece, piece + 1)))

    def _number_of(self, step: int, position: int) -> int:
        """Return a number that no other position of the epoch has: that of its row, where each row comes once."""
        if self._repeats is None:
            return int(self._rows[step][position])
        return sum(len(rows) for rows in self._rows[:step]) + position

    def _mixed(self, step: int, own: slice, num_in_step: int) -> tuple[IntArray, Mix]:
        """Return positions of the step's rows to read, the piece's own first, and how they are mixed."""
        positions = np.arange(own.start, own.stop)
        generator = np.random.default_rng(derive_seed("mix", *self._seeds, step))
        mix = draw_mix(self._hyperparameters.images.mixup, self._hyperparameters.images.cutmix, num_in_step, generator)
        assert mix is not None, "one of both is asked for"
        partners = mix.partners[own]
        positions = np.concatenate([positions, np.setdiff1d(partners, positions)])
        place = np.empty(num_in_step, dtype=np.int64)
        place[positions] = np.arange(len(positions))
        return positions, mix.part(own, place[partners])


def _keys_of_augmentation(hyperparameters: Hyperparameters, data: FitData, epoch: int) -> Keys:
    """Return (N * V,) what the augmentation of an epoch's images is a function of."""
    seed, num_copies = hyperparameters.training.seed, hyperparameters.images.augment_copies
    if num_copies:
        return keys_of_copy(seed, (epoch - 1) % num_copies, data.id_hashes)
    return sample_keys(seed, data.fold, epoch, data.id_hashes)


def num_steps_of(data: FitData, batch_size: int) -> int:
    """Return the optimizer steps of an epoch."""
    return -(-data.num_per_epoch // batch_size)


def _pseudolabels_of(data: FitData, rows: IntArray) -> tuple[IntArray, FloatArray] | None:
    """Return which of ``rows`` have a pseudolabel for a target, and these; None where none has."""
    pseudolabelled = data.pseudolabelled
    if pseudolabelled is None or pseudolabelled.labels is None:
        return None
    positions = np.flatnonzero(rows >= pseudolabelled.first)
    return positions, pseudolabelled.labels[rows[positions] - pseudolabelled.first]


def _rows_of(values: npt.NDArray[_Number] | None, rows: IntArray) -> npt.NDArray[_Number] | None:
    return None if values is None else values[rows]
