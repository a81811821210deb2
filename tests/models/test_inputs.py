"""Tables, several images, more channels, masks: what a model takes and gives beside one photograph and its class."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from kaggle_ray.errors import ConfigError
from kaggle_ray.models import Model, Shapes, build_model
from kaggle_ray.models.table import TableNorm
from kaggle_ray.models.torchvision_models import replace_first_convolution
from kaggle_ray.types import JsonValue

NAN = float("nan")
TABLE = torch.tensor([[1.0, 10.0], [3.0, NAN], [5.0, 30.0], [NAN, 20.0]])
TINY = {"width": 4}


def images(num_channels: int = 3, size: int = 16) -> Tensor:
    return torch.rand(4, num_channels, size, size, generator=torch.Generator().manual_seed(0))


def built(name: str, shapes: Shapes, **model_args: JsonValue) -> Model:
    torch.manual_seed(0)
    model = build_model(name, shapes, model_args=model_args)
    model.fit_table(TABLE)
    return model


# A table ------------------------------------------------------------------------------------------------------------


def test_columns_are_standardised_and_what_is_missing_says_so() -> None:
    norm = TableNorm(2)
    norm.fit(TABLE)
    features = norm(TABLE)
    assert features.shape == (4, 4) == (4, norm.num_features)
    assert not features.isnan().any()
    assert features[3, 0] == 0 == features[1, 1]
    assert features[:, 2:].tolist() == [[0, 0], [0, 1], [0, 0], [1, 0]]
    known = features[:3, 0]
    assert known.mean().item() == pytest.approx(0, abs=1e-6)
    assert known.std(correction=0).item() == pytest.approx(1, rel=1e-5)


def test_a_constant_column_does_not_divide_by_zero() -> None:
    norm = TableNorm(1)
    norm.fit(torch.full((5, 1), 7.0))
    assert norm(torch.tensor([[7.0], [8.0]]))[:, 0].tolist() == [0.0, 1.0]


@pytest.mark.parametrize("name", ["table_linear", "table_mlp", "resnet9", "resnet18", "timm/resnet10t"])
def test_the_table_reaches_the_logits(name: str) -> None:
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    model = built(name, Shapes(num_outputs=3, num_table_columns=2)).eval()
    logits = model(images(size=32), TABLE)
    assert logits.shape == (4, 3)
    assert not logits.isnan().any()
    other = TABLE.clone()
    other[0, 0] += 1
    assert not torch.equal(model(images(size=32), other)[0], logits[0])
    assert model.uses_images == (not name.startswith("table_"))


def test_the_scale_of_the_table_travels_with_the_weights() -> None:
    model = built("resnet9", Shapes(num_outputs=3, num_table_columns=2), **TINY).eval()
    fresh = build_model("resnet9", Shapes(num_outputs=3, num_table_columns=2), model_args=TINY).eval()
    fresh.load_state_dict(load(save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})))
    assert torch.equal(fresh(images(), TABLE), model(images(), TABLE))


def test_image_and_table_both_get_gradients() -> None:
    model = built("resnet9", Shapes(num_outputs=3, num_table_columns=2), **TINY)
    model(images(), TABLE).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_model_of_the_table_needs_one() -> None:
    with pytest.raises(ConfigError, match="'table_linear' needs a table: the competition has none"):
        build_model("table_linear", Shapes(num_outputs=1))


# Several images, more channels --------------------------------------------------------------------------------------


def test_several_images_are_averaged_in_any_order() -> None:
    model = built("resnet9", Shapes(num_outputs=2, num_views=3), **TINY).eval()
    views = torch.rand(4, 3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    logits = model(views)
    assert logits.shape == (4, 2)
    assert torch.allclose(model(views[:, [2, 0, 1]]), logits, atol=1e-6)
    alone = torch.stack([model(views[:, view]) for view in range(3)]).mean(dim=0)
    assert torch.allclose(alone, logits, atol=1e-6)


def test_several_images_share_the_table_of_their_sample() -> None:
    model = built("resnet9", Shapes(num_outputs=2, num_views=2, num_table_columns=2), **TINY).eval()
    one = images()
    assert torch.allclose(model(torch.stack([one, one], dim=1), TABLE), model(one, TABLE), atol=1e-6)


@pytest.mark.parametrize("name", ["resnet9", "small_resnet", "resnet18", "timm/resnet10t"])
@pytest.mark.parametrize("num_channels", [1, 4])
def test_any_number_of_channels_is_taken(name: str, num_channels: int) -> None:
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    model = built(name, Shapes(num_outputs=2, num_channels=num_channels)).eval()
    assert model(images(num_channels, size=32)).shape == (4, 2)


def test_the_filters_of_a_first_convolution_are_repeated_at_the_same_sum() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3, bias=False))
    (before,) = [parameter.detach().clone() for parameter in network.parameters()]
    replace_first_convolution(network, 6)
    (after,) = [parameter.detach() for parameter in network.parameters()]
    assert after.shape == (5, 6, 3, 3)
    assert torch.allclose(after[:, :3], before / 2)
    assert torch.allclose(after.sum(dim=1), before.sum(dim=1), atol=1e-6)


# Masks --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [16, 37, 101])
@pytest.mark.parametrize("stem_stride", [1, 2])
def test_a_mask_is_as_large_as_its_image(size: int, stem_stride: int) -> None:
    model = built("unet", Shapes(num_outputs=2, segments=True), width=4, depth=2, stem_stride=stem_stride).eval()
    assert model(images(size=size)).shape == (4, 2, size, size)
    assert model(images(size=size)[:, :, :-5]).shape == (4, 2, size - 5, size)


def test_a_table_reaches_a_mask() -> None:
    model = built("unet", Shapes(num_outputs=1, segments=True, num_table_columns=2), width=4, depth=2).eval()
    logits = model(images(), TABLE)
    other = TABLE.clone()
    other[0, 0] += 1
    changed = model(images(), other)
    assert not torch.equal(changed[0], logits[0])
    assert torch.equal(changed[1:], logits[1:])


def test_classifiers_do_not_segment_nor_the_other_way_round() -> None:
    with pytest.raises(ConfigError, match=r"model 'resnet18' does not segment\. Use one of unet, smp/unet"):
        build_model("resnet18", Shapes(num_outputs=1, segments=True))
    with pytest.raises(ConfigError, match=r"model 'unet' is for segmentation\. Use a classifier"):
        build_model("unet", Shapes(num_outputs=1))
