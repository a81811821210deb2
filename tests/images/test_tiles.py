from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kaggle_ray.images.tiles import predict_tiled

SIDES = st.integers(1, 60)


@st.composite
def tilings(draw: st.DrawFn) -> tuple[int, int, int, int]:
    tile = draw(st.integers(1, 40))
    return draw(SIDES), draw(SIDES), tile, draw(st.integers(0, tile - 1))


def tiles_of(height: int, width: int, tile: int, overlap: int) -> list[tuple[int, int, int, int]]:
    """Return top, left, height and width of each tile that is predicted, in their order."""
    places = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"))[None].float()
    found: list[tuple[int, int, int, int]] = []

    def predict(tiles_NCHW: Tensor) -> Tensor:
        top, left = (int(value) for value in tiles_NCHW[0, :, 0, 0])
        found.append((top, left, *tiles_NCHW.shape[2:]))
        return tiles_NCHW

    predict_tiled(predict, places, tile, overlap)
    return found


@given(tilings())
@settings(max_examples=200, deadline=None)
def test_tiles_cover_every_pixel_and_lie_within(tiling: tuple[int, int, int, int]) -> None:
    height, width, tile, overlap = tiling
    covered = torch.zeros(height, width, dtype=torch.bool)
    tiles = tiles_of(*tiling)
    for top, left, *sides in tiles:
        assert sides == [min(tile, height), min(tile, width)]
        assert top + sides[0] <= height
        assert left + sides[1] <= width
        covered[top : top + sides[0], left : left + sides[1]] = True
    assert covered.all()
    assert len(set(tiles)) == len(tiles)
    for side, starts in ((height, [top for top, *_ in tiles]), (width, [left for _, left, *_ in tiles])):
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
    assert tiles_of(20, 30, 64, 16) == [(0, 0, 20, 30)]
    assert tiles_of(20, 100, 64, 16) == [(0, 0, 20, 64), (0, 36, 20, 64)]


def test_predictions_of_another_size_are_named() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 1, 16, 16\), expected \(N, K, \*\(32, 32\)\)"):
        predict_tiled(lambda tiles: tiles[..., ::2, ::2], torch.zeros(1, 1, 48, 48), 32, 16)


def test_an_overlap_of_a_whole_tile_is_refused() -> None:
    with pytest.raises(ValueError, match="overlap of 32 pixels of tiles of 32"):
        tiles_of(48, 48, 32, 32)
