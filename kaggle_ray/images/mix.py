"""Mixes the samples of a batch with each other, on the device.

What is mixed with what is drawn for the whole batch; a process that computes a part of the batch applies its part.

Shape suffixes: N samples, C channels, K outputs per pixel, H height, W width, M samples that were read, D columns.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from kaggle_ray.errors import ConfigError
from kaggle_ray.types import IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """How a batch is mixed."""

    kind: Literal["mixup", "cutmix"]
    kept: float
    """Share that each sample keeps of itself, 0 to 1; of a cut, the area before what lies outside is cut off."""
    row: float
    column: float
    """Centre of a cut, as fractions of the sides."""
    partners: IntArray
    """(N,) positions of the samples that these are mixed with."""

    def part(self, positions: slice, partners: IntArray) -> Mix:
        """Return the mix of the samples at ``positions``, whose partners are found at ``partners`` of what is read."""
        assert len(partners) == len(self.partners[positions])
        return dataclasses.replace(self, partners=partners)


def draw_mix(mixup_alpha: float, cutmix_alpha: float, num_samples: int, generator: np.random.Generator) -> Mix | None:
    """Return how a batch is mixed, None where neither kind is asked for; where both are, one of them by chance.

    Args:
        mixup_alpha: the share's distribution is Beta(alpha, alpha); 0 is off.
        cutmix_alpha: the same for cuts.
        num_samples: N of the whole batch.
        generator: draws all of it.
    """
    if not mixup_alpha and not cutmix_alpha:
        return None
    mixes = generator.random() < 0.5 if mixup_alpha and cutmix_alpha else mixup_alpha > 0
    alpha = mixup_alpha if mixes else cutmix_alpha
    kept = float(generator.beta(alpha, alpha))
    row, column = generator.random(2).tolist()
    return Mix(
        kind="mixup" if mixes else "cutmix", kept=kept, row=row, column=column,
        partners=generator.permutation(num_samples),
    )  # fmt: skip


def check_mix(mixup_alpha: float, cutmix_alpha: float, *, has_table: bool, varies: bool) -> None:
    """Raise ConfigError for samples that cannot be mixed.

    Those with a table are not cut: a cut has a share of an image, and none of a row. Those with different numbers of
    images have no partner for each.
    """
    for name, alpha in (("mixup", mixup_alpha), ("cutmix", cutmix_alpha)):
        if alpha and varies:
            raise ConfigError(
                f"hyperparameter {name!r}: expected 0 where samples have different numbers of images, got {alpha:g}: "
                f"there is not an image of the one for each of the other. Let read choose a fixed number, or leave it "
                f"at 0."
            )
    if cutmix_alpha and has_table:
        raise ConfigError(
            f"hyperparameter 'cutmix': expected 0 for images that come with a table, got {cutmix_alpha:g}: a part of a "
            f"table's row cannot be pasted as a part of an image can. Use mixup, which mixes both by one share."
        )


def mix_batch(images: Tensor, targets: Tensor, mix: Mix) -> tuple[Tensor, Tensor]:
    """Return the first N samples, mixed with their partners among all that were read, and their targets.

    A sample's several images are mixed by the same share, or cut in the same place.

    Args:
        images: (M, C, H, W), or (M, V, C, H, W) of V views: N samples, or more where partners were read beside them.
        targets: (M, ...) float, soft targets or masks.
        mix: of N samples.

    Sources: Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018. Yun et al., "CutMix: regularization
    strategy to train strong classifiers with localizable features", ICCV 2019.
    """
    own, others = _pairs(images, mix)
    mixed_targets = mix_targets(targets, mix, height=images.shape[-2], width=images.shape[-1])
    if mix.kind == "mixup":
        return torch.lerp(others, own, mix.kept), mixed_targets
    return _pasted(own, others, *_cut(mix, *images.shape[-2:])), mixed_targets


def mix_targets(targets: Tensor, mix: Mix, *, height: int, width: int) -> Tensor:
    """Return the targets (N, ...) of the first N samples, mixed as their images of ``height`` x ``width`` are."""
    own, others = _pairs(targets, mix)
    if mix.kind == "mixup":
        return torch.lerp(others, own, mix.kept)
    rows, columns = _cut(mix, height, width)
    if targets.ndim == 4:
        assert targets.shape[2:] == (height, width), f"masks {targets.shape} of images of {height} x {width} pixels"
        return _pasted(own, others, rows, columns)
    pasted = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
    return torch.lerp(others, own, 1 - pasted)


def mix_table(table_MD: Tensor, mix: Mix) -> Tensor:
    """Return (N, D) the table's rows of the first N samples, mixed with their partners' as the images are.

    A value that is missing (NaN) stays missing, and one whose partner's is missing stays as it is: so mixing changes
    nothing of how many are missing.
    """
    assert mix.kind == "mixup", "a table is never cut: see check_mix"
    own, others = table_MD[: len(mix.partners)], table_MD[torch.from_numpy(mix.partners).to(table_MD.device)]
    return torch.where(others.isnan(), own, torch.lerp(others, own, mix.kept))


def _pairs(values: Tensor, mix: Mix) -> tuple[Tensor, Tensor]:
    """Return what belongs to the first N samples, and to their partners."""
    partners = torch.from_numpy(mix.partners).to(values.device, non_blocking=True)
    return values[: len(mix.partners)], values[partners]


def _cut(mix: Mix, height: int, width: int) -> tuple[slice, slice]:
    """Return the rows and columns that are cut out of an image."""
    extent = math.sqrt(1 - mix.kept)
    return _interval(mix.row, extent, height), _interval(mix.column, extent, width)


def _interval(centre: float, extent: float, side: int) -> slice:
    """Return the pixels of a side between two of its fractions, those outside of it left out."""
    start, stop = (round(side * (centre + sign * extent / 2)) for sign in (-1, 1))
    return slice(max(start, 0), min(stop, side))


def _pasted(own: Tensor, others: Tensor, rows: slice, columns: slice) -> Tensor:
    """Return (..., H, W) ``own`` with a rectangle of ``others``."""
    pasted = own.clone()
    pasted[..., rows, columns] = others[..., rows, columns]
    return pasted
