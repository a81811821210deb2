from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from kaggle_ray.config import Hyperparameters
from kaggle_ray.errors import ConfigError
from kaggle_ray.models import Model, Shapes, build_model
from kaggle_ray.train.freezing import Freezing
from kaggle_ray.train.optim import make_optimizer
from kaggle_ray.types import JsonValue

FROZEN = Hyperparameters(pretrained=True, freeze_epochs=2, lr=1e-2, weight_decay=0.5)
PLAIN = Shapes(num_outputs=2)
MASKS = Shapes(num_outputs=1, segments=True)
TABLE = Shapes(num_outputs=2, num_table_columns=3)


def small(shapes: Shapes = PLAIN) -> Model:
    torch.manual_seed(0)
    name = "unet" if shapes.segments else "small_resnet"
    args: dict[str, JsonValue] = {"width": 4, "depth": 2} if shapes.segments else {"width": 4, "blocks": [1, 1]}
    return build_model(name, shapes, model_args=args)


def train_epoch(model: Model, optimizer: torch.optim.Optimizer, num_steps: int = 3) -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(num_steps):
        images = torch.rand(4, 3, 16, 16, generator=generator)
        table = torch.rand(4, 3, generator=generator) if model.shapes.num_table_columns else None
        model(images, table).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def changed(model: Model, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "adagrad", "rmsprop", "nadam"])
@pytest.mark.parametrize("shapes", [PLAIN, MASKS, TABLE], ids=["classifier", "unet", "table"])
def test_only_what_is_fresh_moves_while_the_rest_is_frozen(optimizer: str, shapes: Shapes) -> None:
    model = small(shapes)
    freezing = Freezing(model, FROZEN.model)
    made = make_optimizer(model, Hyperparameters(optimizer=optimizer, lr=1e-2, weight_decay=0.5).optimizer)
    before = copy.deepcopy(model.state_dict())
    for epoch in (1, 2):
        freezing.start_epoch(epoch)
        train_epoch(model, made)
    fresh_modules = {name.rpartition(".")[0] for name in model.fresh_names()}
    moved = changed(model, before)
    assert {name.rpartition(".")[0] for name in moved} <= fresh_modules  # running means of the fresh among them
    assert "network.head.weight" in moved

    freezing.start_epoch(3)
    train_epoch(model, made)
    matrices = {name for name, parameter in model.named_parameters() if parameter.ndim > 1}
    assert matrices <= changed(model, before)


def test_frozen_batch_norms_predict_and_all_others_train() -> None:
    model = small(MASKS)
    freezing = Freezing(model, FROZEN.model)
    freezing.start_epoch(1)
    norms = {name: module for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert {module.training for name, module in norms.items() if "encoders" in name} == {False}
    assert {module.training for name, module in norms.items() if "decoders" in name} == {True}
    assert model.training
    freezing.start_epoch(3)
    assert {module.training for module in norms.values()} == {True}


def test_batch_norms_that_are_frozen_for_good_stay_while_all_else_is_trained() -> None:
    model = small(MASKS)
    freezing = Freezing(model, Hyperparameters(pretrained=True, freeze="norms").model)
    freezing.start_epoch(1)
    made = make_optimizer(model, Hyperparameters(lr=1e-2, weight_decay=0.5).optimizer)
    before = copy.deepcopy(model.state_dict())
    train_epoch(model, made)
    norms = {name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    frozen = {name for name in norms if "encoders" in name}
    moved = {name.rpartition(".")[0] for name in changed(model, before)}
    assert not moved & frozen
    assert norms - frozen <= moved
    assert {name.rpartition(".")[0] for name, parameter in model.named_parameters() if parameter.ndim > 1} <= moved


def test_without_pretrained_weights_nothing_is_frozen_for_good() -> None:
    model = small()
    Freezing(model, Hyperparameters(freeze="backbone").model).start_epoch(1)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_what_is_trained_is_a_function_of_the_epoch_alone() -> None:
    model = small()
    freezing = Freezing(model, FROZEN.model)

    def state(epoch: int) -> list[bool]:
        freezing.start_epoch(epoch)
        return [parameter.requires_grad for parameter in model.parameters()]

    first, third = state(1), state(3)
    assert first != third
    assert [state(epoch) for epoch in (2, 4, 1, 3)] == [first, third, first, third]


def test_it_says_when_other_parameters_than_before_are_trained() -> None:
    freezing = Freezing(small(), FROZEN.model)
    assert [freezing.start_epoch(epoch) for epoch in (1, 2, 3, 4)] == [True, False, True, False]
    resumed = Freezing(small(), FROZEN.model)
    assert resumed.start_epoch(3) is False


def test_what_the_library_has_fixed_stays_fixed() -> None:
    model = small()
    fixed = next(model.parameters())
    fixed.requires_grad_(False)
    freezing = Freezing(model, FROZEN.model)
    for epoch in (1, 3):
        freezing.start_epoch(epoch)
        assert not fixed.requires_grad


def test_a_gradient_from_before_does_not_move_what_is_frozen() -> None:
    model = small()
    freezing = Freezing(model, FROZEN.model)
    optimizer = make_optimizer(model, FROZEN.optimizer)
    model(torch.rand(4, 3, 16, 16)).sum().backward()
    freezing.start_epoch(1)
    before = copy.deepcopy(model.state_dict())
    optimizer.step()
    assert {name for name, _ in model.named_parameters()} & changed(model, before) <= model.fresh_names()


@pytest.mark.parametrize(
    ("values", "is_frozen"),
    [({"pretrained": True}, True), ({"init_from": {"image_size": 32}}, True), ({}, False)],
)
def test_without_weights_to_start_from_nothing_is_frozen(values: dict[str, JsonValue], is_frozen: bool) -> None:
    model = small()
    freezing = Freezing(model, Hyperparameters(freeze_epochs=2, **values).model)
    freezing.start_epoch(1)
    assert freezing.is_frozen(1) is is_frozen
    assert all(parameter.requires_grad for parameter in model.parameters()) is not is_frozen


def test_first_stages_and_named_parameters_stand_still_for_good() -> None:
    model = small()
    given = Hyperparameters(pretrained=True, freeze_stages=1, freeze_names="stages.0.norm* stages.1.conv1.weight")
    freezing = Freezing(model, given.model)
    made = make_optimizer(model, Hyperparameters(lr=1e-2, weight_decay=0.5).optimizer)
    before = copy.deepcopy(model.state_dict())
    freezing.start_epoch(1)
    train_epoch(model, made)
    names = {name.removeprefix("network.").rpartition(".")[0] for name in changed(model, before)}
    assert names == {
        "stages.0.conv1", "stages.0.conv2", "stages.1.conv2", "stages.1.norm1", "stages.1.norm2",
        "stages.1.shortcut.1", "stages.1.shortcut.2", "head",
    }  # fmt: skip


def test_stages_and_names_that_a_network_lacks_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected at most 3, stages of the network, got 4"):
        small().standing_names(num_stages=4, patterns=())
    with pytest.raises(ConfigError, match="'layer1' is of no pretrained parameter; the first are stem"):
        small().standing_names(num_stages=0, patterns=["stem.*", "layer1"])


def test_gradients_from_checkpoints_are_the_same_and_refused_where_the_library_has_none() -> None:
    pytest.importorskip("timm")
    torch.manual_seed(0)
    model = build_model("timm/vit_tiny_patch16_224", PLAIN, model_args={"img_size": 32, "depth": 2})
    images = torch.rand(2, 3, 32, 32)
    gradients = []
    for _ in range(2):
        model.zero_grad()
        model(images).square().sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
        model.checkpoint_gradients()
    for plain, checkpointed in zip(*gradients, strict=True):
        assert plain is not None
        torch.testing.assert_close(checkpointed, plain)
    with pytest.raises(ConfigError, match="gradient_checkpointing: this network has none"):
        small().checkpoint_gradients()
