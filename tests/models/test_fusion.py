"""Several images of an id: one network sees each, and what it sees of them becomes one answer."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from kaggle_ray.config.model import Fuse
from kaggle_ray.errors import ConfigError
from kaggle_ray.models import Shapes, build_model, check_model
from kaggle_ray.models.fusion import make_fusion
from kaggle_ray.types import JsonValue

LEARNT = [name for name in get_args(Fuse) if name != "mean"]
ARGS: dict[str, JsonValue] = {"width": 4, "blocks": [1]}
SHAPES = Shapes(num_outputs=2, num_views=5)
OF_SEQUENCES = ("lstm", "transformer")


@pytest.mark.parametrize("name", LEARNT)
def test_features_are_fused_by_their_order_only_where_that_is_meant(name: Fuse) -> None:
    torch.manual_seed(0)
    fusion = make_fusion(name, 7)
    assert fusion is not None
    fusion.eval()
    features_NVE = torch.randn(3, 5, 7)
    fused_NE = fusion(features_NVE)
    assert fused_NE.shape == (3, 7)
    assert torch.allclose(fusion(features_NVE.flip(1)), fused_NE, atol=1e-5) == (name not in OF_SEQUENCES)
    assert torch.allclose(fusion(features_NVE[1:2]), fused_NE[1:2], atol=1e-5)


@pytest.mark.parametrize("table", [0, 3])
@pytest.mark.parametrize("name", LEARNT)
def test_all_of_a_model_learns_from_images_that_are_fused(name: Fuse, table: int) -> None:
    shapes = Shapes(num_outputs=2, num_views=5, num_table_columns=table)
    check_model("small_resnet", shapes, model_args=ARGS, fuse=name, sides=[(16, 16)])
    model = build_model("small_resnet", shapes, model_args=ARGS, fuse=name)
    assert model.fusion in model.fresh_modules()
    logits = model(torch.rand(4, 5, 3, 16, 16), torch.rand(4, 3) if table else None)
    assert logits.shape == (4, 2)
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_features_take_the_place_of_images() -> None:
    model = build_model("small_resnet", SHAPES, model_args=ARGS, fuse="attention").eval()
    images = torch.rand(4, 5, 3, 16, 16)
    features = model.features(images.flatten(0, 1)).unflatten(0, (4, 5))  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(model(features).detach(), model(images).detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "shapes", "told"),
    [
        ("small_resnet", Shapes(num_outputs=1), "expected several images of an id, there is one"),
        ("unet", Shapes(num_outputs=1, num_views=2, segments=True), "is for classifiers of images"),
        ("table_mlp", Shapes(num_outputs=1, num_views=2, num_table_columns=2), "is for classifiers of images"),
    ],
)
def test_what_cannot_be_fused_is_refused(model: str, shapes: Shapes, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        check_model(model, shapes, fuse="max")
