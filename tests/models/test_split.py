"""A network in two parts between its stages."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from kaggle_ray.errors import ConfigError
from kaggle_ray.models import Model, Shapes, build_model

HEAD = {"pooling": "avg"}


def split(name: str, num_stages: int, *, sides: tuple[int, int] = (64, 48)) -> Model:
    model = build_model(name, Shapes(num_outputs=3), head=HEAD)
    model.split(num_stages=num_stages, sides=[sides, (32, 32)])
    return model


@pytest.mark.parametrize(
    ("name", "num_stages"),
    [
        ("small_resnet", 1),
        ("resnet9", 2),
        ("resnet18", 1),
        ("resnet18", 3),
        ("timm/tf_efficientnet_lite0", 1),
        ("timm/tf_efficientnet_lite0", 9),
        ("timm/resnet18", 4),
        ("timm/convnext_atto", 5),
        ("timm/regnetx_002", 3),
    ],
)
def test_both_parts_are_the_whole(name: str, num_stages: int) -> None:
    model = split(name, num_stages).eval()
    for sides in ((64, 48), (32, 32)):
        images = torch.rand(5, 3, *sides)
        features = model.features(images)
        assert features.ndim == 2
        assert torch.allclose(model(features), model(images), atol=1e-5)


def test_what_is_behind_the_cut_is_trained_and_nothing_before_it() -> None:
    model = split("timm/tf_efficientnet_lite0", 9).train()
    with torch.no_grad():
        features = model.features(torch.rand(4, 3, 64, 48))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model(features).sum().backward()
    standing = model.standing_names(num_stages=9, patterns=())
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert trained == {name for name, _ in model.named_parameters()} - standing
    counted = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert counted
    assert all("running" in name or "tracked" in name for name in counted)
    assert not any(name.startswith("network.backbone.network.blocks.2.") for name in counted)


def test_an_average_of_the_weights_is_a_copy_of_its_own() -> None:
    model = split("resnet18", 2).eval()
    copied = copy.deepcopy(model)
    features = model.features(torch.rand(2, 3, 64, 48))
    assert torch.equal(copied(features), model(features))
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.zero_()
    assert not torch.equal(copied(features), model(features))


def test_splitting_leaves_names_and_modes_alone() -> None:
    plain = build_model("resnet18", Shapes(num_outputs=3), head=HEAD)
    model = split("resnet18", 2)
    assert list(model.state_dict()) == list(plain.state_dict())
    assert model.training
    for number, module in enumerate(model.modules()):
        assert module.training, number


def test_what_is_behind_the_cut_predicts_as_the_whole_does_after_training() -> None:
    model = build_model("timm/tf_efficientnet_lite0", Shapes(num_outputs=3), model_args={"drop_rate": 0.9}, head=HEAD)
    model.split(num_stages=9, sides=[(64, 64)])
    images = torch.rand(4, 3, 64, 64)
    for _ in range(2):
        features = model.train().features(images).detach()
        model(features)
        model.eval()
        features = model.features(images)
        assert torch.allclose(model(features), model(images), atol=1e-5)


def test_a_network_that_is_no_chain_is_refused() -> None:
    with pytest.raises(ConfigError, match="two parts"):
        split("timm/vit_tiny_patch16_224", 3, sides=(224, 224))


def test_a_network_without_our_head_is_refused() -> None:
    model = build_model("resnet18", Shapes(num_outputs=3))
    with pytest.raises(ConfigError, match="expected a head"):
        model.split(num_stages=1, sides=[(32, 32)])


def test_more_stages_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match="at most"):
        split("resnet18", 50)


def test_modules_of_the_cut_are_not_registered_twice() -> None:
    model = split("resnet18", 2)
    found: list[nn.Module] = list(model.modules())
    assert len(found) == len({id(module) for module in found})
