from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kaggle_ray.images.tiles import predict_tiled, tile_positions

SIDES = st.integers(1, 60)


@st.composite
def tilings(draw: st.DrawFn) -> tuple[int, int, int, int]:
    tile = draw(st.integers(1, 40))
    return draw(SIDES), draw(SIDES), tile, draw(st.integers(0, tile - 1))


@given(tilings())
@settings(max_examples=200, deadline=None)
def test_tiles_cover_every_pixel_and_lie_within(tiling: tuple[int, int, int, int]) -> None:
    height, width, tile, overlap = tiling
    covered = torch.zeros(height, width, dtype=torch.bool)
    positions = tile_positions(*tiling)
    for top, left in positions:
        assert top == 0 or top + tile <= height
        assert left == 0 or left + tile <= width
        covered[top : top + tile, left : left + tile] = True
    assert covered.all()
    assert len(set(positions)) == len(positions)
    for side, starts in ((height, [top for top, _ in positions]), (width, [left for _, left in positions])):
        unique = sorted(set(starts))
        assert unique[-1] == max(side - tile, 0)
        assert all(after - before <= tile - overlap for before, after in pairwise(unique))


@given(tilings())
@settings(max_examples=60, deadline=None)
def test_what_looks_at_single_pixels_predicts_the_same_with_and_without_tiles(
    tiling: tuple[int, int, int, int],
) -> None:
    height, width, tile, overlap = tiling
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))

    def predict(images_NCHW: Tensor) -> Tensor:
        return torch.stack([images_NCHW.sum(dim=1) - 1, images_NCHW[:, 0] * 5], dim=1)

    assert torch.allclose(predict_tiled(predict, images, tile, overlap), predict(images), atol=1e-5)


def test_predictions_of_one_image_do_not_jump_where_tiles_meet() -> None:
    calls = iter(range(4))
    blended = predict_tiled(lambda tiles: torch.full_like(tiles, next(calls)), torch.zeros(1, 1, 48, 48), 32, 16)
    assert next(calls, None) is None
    assert blended[0, 0, 0, 0] == 0
    assert blended[0, 0, -1, -1] == 3
    assert torch.diff(blended, dim=2).abs().max() < 0.2
    assert torch.diff(blended, dim=3).abs().max() < 0.1


def test_an_image_smaller_than_a_tile_is_predicted_whole() -> None:
    assert tile_positions(20, 30, 64, 16) == [(0, 0)]
    assert tile_positions(20, 100, 64, 16) == [(0, 0), (0, 36)]


def test_predictions_of_another_size_are_named() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 1, 16, 16\), expected \(N, K, \*\(32, 32\)\)"):
        predict_tiled(lambda tiles: tiles[..., ::2, ::2], torch.zeros(1, 1, 48, 48), 32, 16)


def test_an_overlap_of_a_whole_tile_is_refused() -> None:
    with pytest.raises(ValueError, match="overlap of 32 pixels of tiles of 32"):
        tile_positions(48, 48, 32, 32)
