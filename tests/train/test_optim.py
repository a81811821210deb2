from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, RAdam, RMSprop

from kaggle_ray.config import Hyperparameters
from kaggle_ray.models import Model, Shapes, build_model
from kaggle_ray.models.network import Network
from kaggle_ray.train.optim import LR_FACTOR, make_optimizer, parameter_groups

CLASSES = {
    "adamw": AdamW, "sgd": SGD, "adam": Adam, "nadam": NAdam, "radam": RAdam, "rmsprop": RMSprop, "adagrad": Adagrad,
}  # fmt: skip
OPTIMIZERS = tuple(CLASSES)


def network() -> Model:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    return Model(Network(module=layers, fresh=(layers[-1],)), Shapes(num_outputs=2))


def trained(model: Model, hyperparameters: Hyperparameters, num_steps: int = 3) -> None:
    optimizer = make_optimizer(model, hyperparameters.optimizer)
    images = torch.rand(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    for _ in range(num_steps):
        model(images).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("model", ["small_resnet", "resnet18"])
def test_weight_decay_spares_biases_and_normalisation_and_every_parameter_is_in_one_group(
    optimizer: str, model: str
) -> None:
    built = build_model(model, Shapes(num_outputs=2))
    hyperparameters = Hyperparameters(optimizer=optimizer, weight_decay=0.1)
    decayed, spared = make_optimizer(built, hyperparameters.optimizer).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert all(parameter.ndim > 1 for parameter in decayed["params"])
    normalised = {
        id(parameter)
        for module in built.modules()
        if isinstance(module, nn.BatchNorm2d)
        for parameter in module.parameters()
    }
    biases = {id(parameter) for name, parameter in built.named_parameters() if name.endswith("bias")}
    assert {id(parameter) for parameter in spared["params"]} == normalised | biases
    everything = [id(parameter) for group in (decayed, spared) for parameter in group["params"]]
    assert sorted(everything) == sorted(id(parameter) for parameter in built.parameters())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_is_torchs_and_moves_every_parameter(optimizer: str) -> None:
    model = network()
    hyperparameters = Hyperparameters(optimizer=optimizer, lr=1e-2)
    assert type(make_optimizer(model, hyperparameters.optimizer)) is CLASSES[optimizer]
    before = copy.deepcopy(model.state_dict())
    trained(model, hyperparameters)
    for name, parameter in model.named_parameters():
        assert parameter.isfinite().all()
        if name != "network.0.bias":  # the batch norm behind it takes it out
            assert (parameter != before[name]).any(), name


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_optimizer_is_fused_where_torch_can(optimizer: str) -> None:
    made = make_optimizer(network(), Hyperparameters(optimizer=optimizer).optimizer)
    assert made.defaults.get("fused") is (True if optimizer in ("adamw", "sgd", "adam", "adagrad") else None)


def test_the_optimizers_take_the_hyperparameters() -> None:
    def group(optimizer: str) -> dict[str, object]:
        return make_optimizer(
            network(), Hyperparameters(optimizer=optimizer, lr=0.5, momentum=0.8, beta2=0.95).optimizer
        ).param_groups[0]

    assert all(group(optimizer)["lr"] == 0.5 for optimizer in OPTIMIZERS)
    assert (group("sgd")["momentum"], group("sgd")["nesterov"]) == (0.8, True)
    assert all(group(optimizer)["betas"] == (0.8, 0.95) for optimizer in ("adamw", "adam", "nadam", "radam"))
    assert (group("rmsprop")["momentum"], group("rmsprop")["alpha"]) == (0.8, 0.95)


@pytest.mark.parametrize(
    ("optimizer", "is_decoupled"),
    [("adamw", True), ("nadam", True), ("radam", True), ("adam", False), ("adagrad", False), ("rmsprop", False)],
)
def test_weight_decay_is_decoupled_where_it_says_so(optimizer: str, is_decoupled: bool) -> None:
    """Without a slope of the loss, a decoupled decay shrinks by lr * decay; a coupled one is scaled to about lr."""
    model = network()
    made = make_optimizer(model, Hyperparameters(optimizer=optimizer, lr=1e-3, weight_decay=0.1).optimizer)
    before = model.network[0].weight.detach().clone()  # type: ignore[index]
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    made.step()
    after = model.network[0].weight.detach()  # type: ignore[index]
    assert torch.allclose(after, before * (1 - 1e-4), rtol=1e-6, atol=1e-9) is is_decoupled


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_without_momentum_works_too(momentum: float) -> None:
    model = network()
    before = copy.deepcopy(model.state_dict())
    trained(model, Hyperparameters(optimizer="sgd", momentum=momentum), num_steps=1)
    assert any((before[name] != new).any() for name, new in model.state_dict().items())


def test_sgd_is_torchs_to_the_bit() -> None:
    model, reference = network(), network()
    trained(model, Hyperparameters(optimizer="sgd", lr=0.1, weight_decay=0.0), num_steps=5)
    plain = SGD(reference.parameters(), lr=0.1, momentum=0.9, nesterov=True, fused=True)
    images = torch.rand(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    for _ in range(5):
        plain.zero_grad(set_to_none=True)
        reference(images).square().sum().backward()
        plain.step()
    for parameter, expected in zip(model.parameters(), reference.parameters(), strict=True):
        assert torch.equal(parameter, expected)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_what_has_no_gradient_is_neither_moved_nor_decayed(optimizer: str) -> None:
    model = network()
    convolution = next(model.parameters())
    convolution.requires_grad_(False)
    before = convolution.detach().clone()
    hyperparameters = Hyperparameters(optimizer=optimizer, lr=1e-2, weight_decay=0.5)
    trained(model, hyperparameters, num_steps=5)
    assert torch.equal(convolution, before)
    groups = make_optimizer(model, hyperparameters.optimizer).param_groups
    assert any(parameter is convolution for group in groups for parameter in group["params"])  # for when it thaws


def factors(model: Model, layer_decay: float) -> dict[str, float]:
    """Return the name of each parameter -> its learning rate over the head's."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, Hyperparameters(layer_decay=layer_decay, lr=0.5).optimizer)
    assert all(group["lr"] == 0.5 * group[LR_FACTOR] for group in groups)
    return {names[id(parameter)]: group[LR_FACTOR] for group in groups for parameter in group["params"]}


def test_the_learning_rate_falls_from_the_head_to_the_stem_by_stage() -> None:
    found = factors(build_model("resnet18", Shapes(num_outputs=2)), 0.5)
    assert found["network.fc.weight"] == found["network.fc.bias"] == 1.0
    for number, power in ((4, 1), (3, 2), (2, 3), (1, 4)):
        of_layer = {factor for name, factor in found.items() if f"layer{number}." in name}
        assert of_layer == {0.5**power}
    assert found["network.conv1.weight"] == found["network.bn1.weight"] == 0.5**5


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "resnet18", "convnext_atto", "deit_tiny_distilled_patch16_224"]
)
def test_timms_models_get_timms_own_factors(name: str) -> None:
    from timm.optim import param_groups_layer_decay

    model = build_model(f"timm/{name}", Shapes(num_outputs=2))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = param_groups_layer_decay(model.network, weight_decay=0.05, layer_decay=0.75)
    timms = {names[id(parameter)]: group["lr_scale"] for group in groups for parameter in group["params"]}
    assert factors(model, 0.75) == pytest.approx(timms, rel=1e-12)


@pytest.mark.parametrize("layer_decay", [1.0, 0.7])
def test_every_parameter_is_in_one_group_whatever_the_model(layer_decay: float) -> None:
    table = Shapes(num_outputs=2, num_table_columns=3)
    masks = Shapes(num_outputs=1, segments=True)
    for name, shapes in (
        ("resnet9", Shapes(num_outputs=2)),
        ("resnet18", table),
        ("table_mlp", table),
        ("unet", masks),
    ):
        model = build_model(name, shapes)
        groups = parameter_groups(model, Hyperparameters(layer_decay=layer_decay).optimizer)
        placed = [id(parameter) for group in groups for parameter in group["params"]]
        assert sorted(placed) == sorted(id(parameter) for parameter in model.parameters())
