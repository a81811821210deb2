"""Samples of different numbers of images: padding has no part in any of them, whatever fuses them."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from kaggle_ray.config.model import Fuse
from kaggle_ray.models import Shapes, build_model
from kaggle_ray.models.fusion import make_fusion
from kaggle_ray.models.varying import padded, places_of
from kaggle_ray.types import JsonValue

ARGS: dict[str, JsonValue] = {"width": 4, "blocks": [1]}
COUNTS = torch.tensor([3, 1, 5])


@pytest.mark.parametrize("name", [name for name in get_args(Fuse) if name != "mean"])
def test_what_fuses_a_padded_sample_is_what_fuses_it_alone(name: Fuse) -> None:
    torch.manual_seed(0)
    fusion = make_fusion(name, 8)
    assert fusion is not None
    fusion.eval()
    features = torch.randn(int(COUNTS.sum()), 8) - 3  # below 0: padding would be the largest
    is_there = places_of(COUNTS)
    together = fusion(padded(features, is_there), is_there)
    rows = torch.split(features, COUNTS.tolist())
    for row, of_row in enumerate(rows):
        assert torch.allclose(together[row], fusion(of_row[None])[0], atol=1e-5)
    noise = padded(features, is_there)
    noise[~is_there] = 100.0
    assert torch.allclose(fusion(noise, is_there), together, atol=1e-5)


@pytest.mark.parametrize("table", [0, 3])
@pytest.mark.parametrize("name", get_args(Fuse))
def test_a_model_says_of_a_sample_among_others_what_it_says_of_it_alone(name: Fuse, table: int) -> None:
    shapes = Shapes(num_outputs=2, num_views=5, num_table_columns=table, num_auxiliary_outputs=1)
    torch.manual_seed(0)
    model = build_model("small_resnet", shapes, model_args=ARGS, fuse=name).eval()
    images, numbers = torch.rand(9, 3, 16, 16), torch.rand(3, 3) if table else None
    of_all = model(images, numbers, COUNTS)
    rows = torch.split(images, COUNTS.tolist())
    for row, of_row in enumerate(rows):
        alone = model(of_row[None], None if numbers is None else numbers[row : row + 1])
        for together, single in zip(of_all, alone, strict=True):
            assert torch.allclose(together[row], single[0], atol=1e-5)
    of_all[0].square().sum().backward()
    assert all(torch.isfinite(each.grad).all() for each in model.parameters() if each.grad is not None)


def test_only_real_images_have_a_say_in_batch_norm() -> None:
    shapes = Shapes(num_outputs=2, num_views=5)
    images = torch.rand(9, 3, 16, 16)
    found = []
    for together in (True, False):
        torch.manual_seed(0)
        model = build_model("small_resnet", shapes, model_args=ARGS, fuse="max").train()
        model(images, None, COUNTS) if together else model.features(images)
        found.append([value for name, value in model.state_dict().items() if "running_mean" in name])
    assert all(torch.equal(first, second) for first, second in zip(*found, strict=True))
