from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kaggle_ray.api import run
from kaggle_ray.config import Hyperparameters
from kaggle_ray.errors import ConfigError
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.train import constraints
from kaggle_ray.train.constraints import constrain, make_constraint, register_constraint
from kaggle_ray.train.optim import make_optimizer
from kaggle_ray.types import JsonValue

INPUTS = torch.randn(32, 3, 6, 6, generator=torch.Generator().manual_seed(1))
CLASSES = torch.arange(32) % 2
MAX_NORM = {"constraint": "max_norm", "constraint_args": {"max_norm": 0.3}}
EVERY = [MAX_NORM, {"constraint": "unit_norm"}, {"constraint": "non_negative"}]


class Network(nn.Module):
    """A model as the registry makes them: the user's network is its part ``network``."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential()
        self.network.add_module("body", nn.Conv2d(3, 4, 3))
        self.network.add_module("norm", nn.BatchNorm2d(4))
        self.network.add_module("flat", nn.Flatten())
        self.network.add_module("fc", nn.Linear(64, 2))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        return ((name, weight) for name, weight in self.named_parameters() if weight.ndim > 1)


def params(**values: Any) -> Hyperparameters:
    return Hyperparameters(**{"optimizer": "sgd", "lr": 0.1, "weight_decay": 0.0, "momentum": 0.0, **values})


def trained(hyperparameters: Hyperparameters, *, num_steps: int = 3) -> Network:
    model = Network()
    optimizer = make_optimizer(model, hyperparameters.optimizer)  # type: ignore[arg-type]
    constrain(optimizer, model, hyperparameters.optimizer)
    for _ in range(num_steps):
        optimizer.zero_grad()
        functional.cross_entropy(model(INPUTS), CLASSES).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model


def norms(weight: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(weight.detach().flatten(1), dim=1)
    return lengths


# What holds after a step --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_max_norm_bounds_the_incoming_weights_of_each_output_and_leaves_shorter_ones(optimizer: str) -> None:
    free = trained(params(optimizer=optimizer), num_steps=1)
    longest = torch.cat([norms(weight) for _, weight in free.weights()]).median().item()
    values = {"constraint": "max_norm", "constraint_args": {"max_norm": longest}}
    bound = trained(params(optimizer=optimizer, **values), num_steps=1)
    for (_, before), (_, after) in zip(free.weights(), bound.weights(), strict=True):
        expected = before * (longest / norms(before)).clamp_max(1).view(-1, *[1] * (before.ndim - 1))
        torch.testing.assert_close(after, expected)


def test_unit_norm_makes_the_incoming_weights_of_each_output_of_length_one() -> None:
    for _, weight in trained(params(constraint="unit_norm")).weights():
        torch.testing.assert_close(norms(weight), torch.ones(len(weight)))


def test_unit_norm_leaves_zeros_as_they_are() -> None:
    unit_norm = make_constraint("unit_norm", {})
    assert unit_norm is not None
    assert unit_norm(torch.zeros(2, 3)).tolist() == [[0.0] * 3] * 2


def test_non_negative_puts_zero_where_the_step_went_below() -> None:
    free = dict(trained(params(), num_steps=1).weights())
    for name, weight in trained(params(constraint="non_negative"), num_steps=1).weights():
        assert torch.equal(weight, free[name].clamp_min(0))
        assert (weight == 0).any()


@pytest.mark.parametrize("values", EVERY, ids=lambda values: str(values["constraint"]))
def test_a_constraint_that_is_applied_twice_changes_nothing_more(values: dict[str, object]) -> None:
    constraint = make_constraint(values["constraint"], values.get("constraint_args", {}))  # type: ignore[arg-type]
    assert constraint is not None
    once = constraint(torch.randn(4, 3, 3, 3))
    torch.testing.assert_close(constraint(once), once)


@pytest.mark.parametrize("values", [*EVERY, {"l1": 0.1}], ids=str)
def test_biases_and_normalisation_are_left_alone(values: dict[str, object]) -> None:
    constrained, free = trained(params(**values), num_steps=1), trained(params(), num_steps=1)
    of_free = dict(free.named_parameters())
    spared = {name: tensor for name, tensor in constrained.named_parameters() if tensor.ndim == 1}
    assert len(spared) == 4
    assert all(torch.equal(tensor, of_free[name]) for name, tensor in spared.items())
    assert not any(torch.equal(weight, of_free[name]) for name, weight in constrained.weights())


def test_by_default_no_hook_is_there() -> None:
    model = Network()
    optimizer = make_optimizer(model, params().optimizer)  # type: ignore[arg-type]
    constrain(optimizer, model, params().optimizer)
    assert not optimizer._optimizer_step_post_hooks


# Which weights ------------------------------------------------------------------------------------------------------


def test_a_pattern_names_the_weights() -> None:
    free = dict(trained(params(), num_steps=1).weights())
    bound = dict(trained(params(constraint="non_negative", constraint_args={"on": "fc.*"}), num_steps=1).weights())
    assert torch.equal(bound["network.body.weight"], free["network.body.weight"])
    assert torch.equal(bound["network.fc.weight"], free["network.fc.weight"].clamp_min(0))


def test_a_pattern_that_no_weight_is_named_like_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"no weight is named like 'fc1\.\*'.*fc\.weight"):
        trained(params(constraint="non_negative", constraint_args={"on": "fc1.*"}))


def test_frozen_weights_stay_as_they_are() -> None:
    model, hyperparameters = Network(), params(l1=1.0, **MAX_NORM)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    constrain(optimizer, model, hyperparameters.optimizer)
    model.network.body.requires_grad_(False)
    before = model.get_parameter("network.body.weight").clone()
    functional.cross_entropy(model(INPUTS), CLASSES).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    assert torch.equal(model.get_parameter("network.body.weight"), before)
    assert norms(model.get_parameter("network.fc.weight")).max() <= 0.3 + 1e-6


# L1 -----------------------------------------------------------------------------------------------------------------


def test_l1_moves_each_weight_by_lr_times_l1_towards_zero_and_not_beyond() -> None:
    free = dict(trained(params(), num_steps=1).weights())
    for name, weight in trained(params(l1=0.5), num_steps=1).weights():
        torch.testing.assert_close(weight, free[name].sign() * (free[name].abs() - 0.1 * 0.5).clamp_min(0))
        assert (weight == 0).any()


def test_l1_is_the_penalty_of_the_loss_while_no_weight_crosses_zero() -> None:
    """The reference adds l1 * sum(|w|) to the loss, as a regularizer does."""
    penalised = Network()
    start = [weight.detach().clone() for _, weight in penalised.weights()]
    optimizer = torch.optim.SGD(penalised.parameters(), lr=1e-3)
    penalty = torch.stack([weight.abs().sum() for _, weight in penalised.weights()]).sum()
    (functional.cross_entropy(penalised(INPUTS), CLASSES) + 1e-2 * penalty).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    decoupled = trained(params(lr=1e-3, l1=1e-2), num_steps=1)
    for (_, one), (_, other), before in zip(penalised.weights(), decoupled.weights(), start, strict=True):
        stayed = (one.sign() == before.sign()) & (other != 0)
        assert stayed.float().mean() > 0.95
        torch.testing.assert_close(other[stayed], one[stayed], rtol=0, atol=1e-7)


def test_l1_goes_by_the_learning_rate_of_each_group() -> None:
    model = Network()
    body, fc = (weight for _, weight in model.weights())
    optimizer = torch.optim.SGD([{"params": [body], "lr": 0.0}, {"params": [fc], "lr": 0.1}])
    constrain(optimizer, model, params(l1=10.0).optimizer)
    before = body.clone()
    functional.cross_entropy(model(INPUTS), CLASSES).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    assert torch.equal(body, before)
    assert not fc.any()


@pytest.mark.parametrize("gradient", [1.0, float("inf")])
def test_a_step_that_the_gradient_scaler_skips_moves_nothing(gradient: float) -> None:
    model, hyperparameters = Network(), params(l1=1.0)
    optimizer = make_optimizer(model, hyperparameters.optimizer)  # type: ignore[arg-type]
    assert getattr(optimizer, "_step_supports_amp_scaling", False)
    constrain(optimizer, model, hyperparameters.optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    before = model.get_parameter("network.fc.weight").clone()
    scaler.scale(functional.cross_entropy(model(INPUTS), CLASSES) * gradient).backward()  # type: ignore[no-untyped-call]
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(model.get_parameter("network.fc.weight"), before) == (gradient == float("inf"))


# By name ------------------------------------------------------------------------------------------------------------


def test_a_registered_constraint_gets_its_arguments() -> None:
    @register_constraint("box")
    def box(low: float, high: float) -> constraints.Constraint:
        return lambda weight: weight.clamp(low, high)

    values = {"constraint": "box", "constraint_args": {"low": -0.01, "high": 0.02, "on": "body.*"}}
    weight = trained(params(**values)).get_parameter("network.body.weight")
    assert (weight.min().item(), weight.max().item()) == pytest.approx((-0.01, 0.02))


def test_what_is_not_of_the_weights_shape_is_refused() -> None:
    register_constraint("norms")(lambda: lambda weight: weight.flatten(1).norm(dim=1))
    with pytest.raises(
        ConfigError, match=r"'norms': expected a tensor of the weight's shape \(4, 3, 3, 3\), got \(4,\)"
    ):
        trained(params(constraint="norms"))


@pytest.mark.parametrize("name", ["none", "max_norm"])
def test_a_name_of_ours_is_not_taken(name: str) -> None:
    with pytest.raises(ConfigError, match="is built in"):
        register_constraint(name)(lambda: lambda weight: weight)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("maxnorm", {}, "unknown constraint 'maxnorm'. Did you mean 'max_norm'?"),
        ("max_norm", {}, "missing 1 required positional argument: 'max_norm'"),
        ("max_norm", {"max_norm": 0.0}, "expected a max_norm above 0, got 0.0"),
        ("max_norm", {"max_norm": "3"}, "constraint 'max_norm' with constraint_args {'max_norm': '3'}"),
        ("unit_norm", {"axis": 1}, "unexpected keyword argument 'axis'"),
        ("unit_norm", {"on": 1}, "expected a pattern of names as 'on', got 1"),
        ("none", {"max_norm": 3.0}, "there is no constraint that takes them"),
    ],
)
def test_a_wrong_name_or_argument_is_named(name: str, arguments: dict[str, JsonValue], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_constraint(name, arguments)
    assert message in str(caught.value)


# In a run -----------------------------------------------------------------------------------------------------------


def test_a_wrong_constraint_ends_a_run_before_anything_is_trained(tmp_path: Path, toy_data: Path) -> None:
    options = RunOptions(
        launcher="local",
        competition=TOY_FILE, data=toy_data, runs=tmp_path, device="cpu", threads=1,
        experiments=[{**TINY, "epochs": 1, "constraint": "maxnorm"}],
    )  # fmt: skip
    with pytest.raises(ConfigError, match="unknown constraint 'maxnorm'"):
        execute(options)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_competitions_file_registers_a_constraint_that_its_committed_weights_keep(
    tmp_path: Path, toy_data: Path
) -> None:
    from safetensors.torch import load_file

    file = tmp_path / "boxed.py"
    file.write_text(
        "import kaggle_ray\n"
        "from kaggle_ray.testing.toy import COMPETITION as COMPETITION\n"
        "@kaggle_ray.register_constraint('box')\n"
        "def box(side):\n"
        "    return lambda weight: weight.clamp(-side, side)\n"
    )
    experiment = {**TINY, "epochs": 1, "constraint": "box", "constraint_args": {"side": 0.05}}
    run(file, experiments=[experiment], data=toy_data, runs=tmp_path, launcher="local", device="cpu", reporters=[])
    committed = sorted(tmp_path.rglob("weights.safetensors"))
    assert len(committed) == 2
    for path in committed:
        of_network = [tensor for name, tensor in load_file(path).items() if name.startswith("network.")]
        largest = [tensor.abs().max().item() for tensor in of_network if tensor.ndim > 1]
        assert largest
        assert max(largest) == pytest.approx(0.05)
