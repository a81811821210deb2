"""Our head on every kind of backbone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kaggle_ray.errors import ConfigError
from kaggle_ray.models import Shapes, build_model, check_model, register_model
from kaggle_ray.models.head import GeneralisedMean, HeadOptions, Pooling, PoolingName, head_layers, parse_head
from kaggle_ray.models.table import JoinedTable

FULL: dict[str, Any] = {"pooling": "avgmax", "hidden": [16], "dropout": 0.5, "batch_norm": True}
BACKBONES = [
    "resnet9",
    "small_resnet",
    "resnet18",
    "mobilenet_v3_small",
    pytest.param("vit_b_32", marks=pytest.mark.slow),
    "timm/resnet10t",
    "timm/vit_tiny_patch16_224",
]
OF_FIXED_SIZE: dict[str, dict[str, Any]] = {
    "vit_b_32": {"image_size": 32},
    "timm/vit_tiny_patch16_224": {"img_size": 32, "depth": 1},
}


def images(num: int = 3, size: int = 32) -> Tensor:
    return torch.rand(num, 3, size, size, generator=torch.Generator().manual_seed(0))


# The pooling --------------------------------------------------------------------------------------------------------


def test_a_map_is_pooled_over_its_positions() -> None:
    features = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [0.0, 4.0]]]])
    assert Pooling("avg")(features).tolist() == [[3, 1]]
    assert Pooling("max")(features).tolist() == [[6, 4]]
    assert Pooling("avgmax")(features).tolist() == [[3, 1, 6, 4]]


@pytest.mark.parametrize("name", ["avg", "max", "avgmax", "gem"])
def test_tokens_are_pooled_as_the_positions_of_a_map_are(name: PoolingName) -> None:
    pooling, features = Pooling(name), torch.rand(2, 5, 3, 4)
    tokens = features.flatten(2).transpose(1, 2)
    assert torch.equal(pooling(tokens), pooling(features))
    assert pooling(features).shape == (2, pooling.num_features(5))


def test_a_generalised_mean_of_exponent_1_is_the_mean_and_a_large_one_is_near_the_maximum() -> None:
    features_NEL = torch.rand(2, 5, 12) + 0.1
    assert torch.allclose(GeneralisedMean(1.0)(features_NEL), features_NEL.mean(dim=2))
    assert torch.allclose(GeneralisedMean(200.0)(features_NEL), features_NEL.amax(dim=2), rtol=0.02)
    between = GeneralisedMean(3.0)(features_NEL)
    assert ((features_NEL.mean(dim=2) < between) & (between < features_NEL.amax(dim=2))).all()


def test_the_exponent_of_a_generalised_mean_is_learnt_where_features_are_negative_too() -> None:
    mean = GeneralisedMean()
    mean(torch.randn(2, 5, 12)).sum().backward()
    assert mean.exponent.grad is not None
    assert mean.exponent.grad.isfinite().all()
    assert mean.exponent.grad.abs() > 0


def test_a_generalised_mean_is_taken_in_float32_under_autocast() -> None:
    features_NEL = torch.rand(2, 5, 12).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = GeneralisedMean()(features_NEL)
    assert pooled.dtype == torch.float32
    assert torch.equal(pooled, GeneralisedMean()(features_NEL.float()))


@pytest.mark.parametrize("name", ["avg", "max", "avgmax", "gem"])
def test_every_pooling_passes_the_check_before_training(name: str) -> None:
    check_model("resnet18", Shapes(num_outputs=2), head={"pooling": name}, sides=[(32, 48)])
    check_model("resnet9", Shapes(num_outputs=2, num_table_columns=3), head={"pooling": name}, sides=[(32, 48)])


# The layers ---------------------------------------------------------------------------------------------------------


def kinds(layers: nn.Sequential) -> list[type[nn.Module]]:
    return [type(layer) for layer in layers]


def test_every_linear_layer_comes_after_batch_norm_and_dropout() -> None:
    before = [nn.BatchNorm1d, nn.Dropout, nn.Linear]
    layers = head_layers(8, 3, HeadOptions(hidden=(16, 4), dropout=0.5, batch_norm=True))
    assert kinds(layers) == [*before, nn.ReLU, *before, nn.ReLU, *before]
    assert kinds(head_layers(8, 3, HeadOptions())) == [nn.Linear]
    assert layers(torch.rand(2, 8)).shape == (2, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"poling": "avg"}, r"head: unknown option 'poling'\. Did you mean 'pooling'\?"),
        ({"pooling": "average"}, r"head: unknown pooling 'average'\. Did you mean 'avg"),
        ({"pooling": 3}, r"head: unknown pooling 3\. Known: avg, avgmax, gem, max\."),
        ({"hidden": 512}, r"head: 'hidden': expected a list of widths, got 512\."),
        ({"hidden": [512, 0]}, r"head: 'hidden': expected a list of widths of at least 1, got \[512, 0\]\."),
        ({"dropout": 1}, r"head: 'dropout': expected from 0 to below 1, got 1\."),
        ({"dropout": "half"}, r"head: 'dropout': expected from 0 to below 1, got 'half'\."),
        ({"batch_norm": "yes"}, r"head: 'batch_norm': expected true or false, got 'yes'\."),
    ],
)
def test_a_bad_option_is_named_before_anything_is_trained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_model("resnet18", Shapes(num_outputs=2), head=options)


def test_no_option_is_the_models_own_last_layer() -> None:
    assert parse_head({}) is None
    assert parse_head({"dropout": 0}) == HeadOptions(dropout=0)


# On backbones -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("head", [{"pooling": "gem"}, FULL], ids=["gem", "full"])
def test_the_head_stands_on_any_backbone_and_every_weight_of_both_is_used(name: str, head: dict[str, Any]) -> None:
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    torch.manual_seed(0)
    model = build_model(name, Shapes(num_outputs=5), head=head, model_args=OF_FIXED_SIZE.get(name))
    logits = model(images())
    assert logits.shape == (3, 5)
    assert logits.isfinite().all()
    logits.square().sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", BACKBONES)
def test_the_head_alone_is_fresh(name: str) -> None:
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    model = build_model(name, Shapes(num_outputs=5), head=FULL, model_args=OF_FIXED_SIZE.get(name))
    linears = [m.out_features for part in model.fresh_modules() for m in part.modules() if isinstance(m, nn.Linear)]
    assert linears == [16, 5]


def test_the_head_of_a_table_stands_above_image_and_table() -> None:
    shapes = Shapes(num_outputs=5, num_table_columns=2)
    model = build_model("resnet18", shapes, head=FULL, model_args={"table_width": 8})
    assert isinstance(model.network, JoinedTable)
    first = next(module for module in model.network.head.modules() if isinstance(module, nn.Linear))
    assert (first.in_features, first.out_features) == (2 * 512 + 8, 16)
    table = torch.rand(3, 2)
    logits = model.eval()(images(), table)
    assert logits.shape == (3, 5)
    assert not torch.equal(model(images(), table + 1), logits)
    model.train()(images(), table).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    fresh = model.fresh_modules()
    assert model.network.of_table in fresh
    assert model.network.head in fresh
    with pytest.raises(ConfigError, match="embedding"):
        build_model("resnet18", shapes, head=FULL, model_args={"embedding": 8})


def test_a_table_that_is_left_out_is_not_looked_at() -> None:
    shapes, without = Shapes(num_outputs=5, num_table_columns=2), {"table": False}
    model = build_model("resnet18", shapes, head=FULL, model_args=without).eval()
    table, features_NF = torch.rand(3, 2), model.features(images())
    assert torch.equal(model(images(), table + 1), model(images(), table))
    assert torch.equal(model(features_NF, table), model(images(), table))
    with pytest.raises(ConfigError, match="needs a table: the competition has none"):
        build_model("table_mlp", shapes, model_args=without)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("unet", Shapes(num_outputs=1, segments=True)),
        ("table_mlp", Shapes(num_outputs=1, num_table_columns=2)),
    ],
)
def test_models_without_an_image_to_classify_take_no_head(name: str, shapes: Shapes) -> None:
    with pytest.raises(ConfigError, match=rf"model '{name}': head is for classifiers of images\. Leave it empty"):
        check_model(name, shapes, head={"pooling": "avg"})


def test_a_newcomers_model_takes_the_head_if_it_tells_its_features(monkeypatch: pytest.MonkeyPatch) -> None:
    class Patches(nn.Module):
        num_features = 6

        def __init__(self, num_outputs: int) -> None:
            super().__init__()
            self.body = nn.Conv2d(3, 6, 4, 4)
            self.head = nn.Linear(6, num_outputs)

        def forward_features(self, images_NCHW: Tensor) -> Tensor:
            features: Tensor = self.body(images_NCHW)
            return features

    register_model("patches")(Patches)
    register_model("flat")(lambda num_outputs: nn.Linear(3, num_outputs))
    model = build_model("patches", Shapes(num_outputs=2), head={"pooling": "max"})
    assert model(images()).shape == (3, 2)
    with pytest.raises(ConfigError, match=r"model 'flat' takes no other head: expected a network with forward_feat"):
        build_model("flat", Shapes(num_outputs=2), head={"pooling": "max"})
