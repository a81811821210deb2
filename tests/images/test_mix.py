from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kaggle_ray.images.mix import draw_mix, mix_batch

NUM = 6


def numbered(height: int = 20, width: int = 14) -> tuple[Tensor, Tensor]:
    """Return images whose pixels all say the number of the image, and one-hot targets of it."""
    images = torch.arange(NUM).float()[:, None, None, None].expand(NUM, 3, height, width).contiguous()
    return images, torch.eye(NUM)


def mixup(images: Tensor, targets: Tensor, alpha: float, seed: int) -> tuple[Tensor, Tensor]:
    return mixed(images, targets, seed, mixup_alpha=alpha)


def cutmix(images: Tensor, targets: Tensor, alpha: float, seed: int) -> tuple[Tensor, Tensor]:
    return mixed(images, targets, seed, cutmix_alpha=alpha)


def mixed(
    images: Tensor, targets: Tensor, seed: int, *, mixup_alpha: float = 0.0, cutmix_alpha: float = 0.0
) -> tuple[Tensor, Tensor]:
    mix = draw_mix(mixup_alpha, cutmix_alpha, len(images), np.random.default_rng(seed))
    assert mix is not None
    return mix_batch(images, targets, mix)


@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_the_same_seed_mixes_the_same(mix: object) -> None:
    assert callable(mix)
    (first, targets), (again, _), (other, _) = (mix(*numbered(), 1.0, seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.allclose(targets.sum(dim=1), torch.ones(NUM))


@given(seed=st.integers(0, 10_000), alpha=st.sampled_from([0.1, 0.4, 1.0, 5.0]))
@settings(max_examples=50, deadline=None)
def test_a_mixup_is_the_mean_that_its_target_says(seed: int, alpha: float) -> None:
    images, targets = mixup(*numbered(), alpha, seed)
    expected = targets @ torch.arange(NUM).float()
    assert torch.allclose(images, expected[:, None, None, None].expand_as(images), atol=1e-5)


@given(seed=st.integers(0, 10_000), alpha=st.sampled_from([0.1, 0.4, 1.0, 5.0]), height=st.integers(1, 30))
@settings(max_examples=100, deadline=None)
def test_a_cut_is_a_rectangle_of_the_area_that_its_target_says(seed: int, alpha: float, height: int) -> None:
    images, targets = numbered(height)
    cut, mixed = cutmix(images, targets, alpha, seed)
    pasted = (cut != images).all(dim=1)
    for number in range(NUM):
        share = torch.stack([(cut[number, 0] == other).float().mean() for other in range(NUM)])
        assert torch.allclose(mixed[number], share, atol=1e-6)
        rows, columns = pasted[number].any(dim=1), pasted[number].any(dim=0)
        assert torch.equal(pasted[number], rows[:, None] & columns)
        assert (torch.diff(rows.int()) > 0).sum() + rows[0] <= 1


def test_masks_are_cut_with_their_images() -> None:
    images, _ = numbered()
    masks = images[:, :1] * 10
    cut, cut_masks = cutmix(images, masks, 1.0, 1)
    assert not torch.equal(cut, images)
    assert torch.equal(cut_masks, cut[:, :1] * 10)


def test_half_of_the_area_is_pasted_on_average_where_nothing_is_cut_off() -> None:
    """Beta(1, 1) keeps half on average; what lies outside of the image is cut off, so more is kept."""
    kept = [float(cutmix(*numbered(64, 64), 1.0, seed)[1].max(dim=1).values.mean()) for seed in range(300)]
    assert 0.6 < np.mean(kept) < 0.85


def test_nothing_is_mixed_where_no_kind_is_asked_for() -> None:
    assert draw_mix(0.0, 0.0, NUM, np.random.default_rng(0)) is None


def test_of_two_kinds_one_is_drawn() -> None:
    drawn = [draw_mix(1.0, 1.0, NUM, np.random.default_rng(seed)) for seed in range(40)]
    assert {mix.kind for mix in drawn if mix is not None} == {"mixup", "cutmix"}


@pytest.mark.parametrize("alphas", [(1.0, 0.0), (0.0, 1.0)])
def test_a_part_of_a_batch_is_mixed_as_it_is_in_the_whole(alphas: tuple[float, float]) -> None:
    images, targets = torch.rand(NUM, 3, 20, 14), torch.eye(NUM)
    mix = draw_mix(*alphas, NUM, np.random.default_rng(2))
    assert mix is not None
    whole = mix_batch(images, targets, mix)
    own = slice(1, 4)
    read = torch.cat([torch.arange(NUM)[own], torch.from_numpy(mix.partners[own])])
    part = mix_batch(images[read], targets[read], mix.part(own, np.arange(3, 6)))
    assert torch.equal(part[0], whole[0][own])
    assert torch.equal(part[1], whole[1][own])
