from __future__ import annotations

import pytest
import torch
from torch import nn

from kaggle_ray.models import Shapes, build_model
from kaggle_ray.models.stages import depths, fresh_names

PLAIN = Shapes(num_outputs=2)
TABLE = Shapes(num_outputs=2, num_table_columns=3)
MASKS = Shapes(num_outputs=1, segments=True)


def network(name: str, shapes: Shapes = PLAIN) -> nn.Module:
    with torch.device("meta"):
        return build_model(name, shapes).network


def modules_of(names: frozenset[str]) -> set[str]:
    return {name.rpartition(".")[0] for name in names}


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("resnet18", {"fc"}),
        ("convnext_tiny", {"classifier.2"}),
        ("efficientnet_b0", {"classifier.1"}),
        ("vit_b_16", {"heads.head"}),
        ("squeezenet1_1", {"classifier.1"}),
        ("resnet9", {"head"}),
        ("small_resnet", {"head"}),
        ("timm/convnext_atto", {"head.fc"}),
        ("timm/deit_tiny_distilled_patch16_224", {"head", "head_dist"}),
    ],
)
def test_of_a_classifier_the_last_layer_is_fresh(name: str, head: set[str]) -> None:
    assert modules_of(fresh_names(network(name))) == head


def test_of_a_u_net_all_but_the_encoder_is_fresh() -> None:
    unet = network("unet", Shapes(num_outputs=1, segments=True, num_table_columns=2))
    fresh = fresh_names(unet)
    assert {name.split(".")[1] for name in fresh} == {"of_table", "decoders", "head"}
    rest = {name for name, _ in unet.named_parameters()} - fresh
    assert {name.split(".")[1] for name in rest} == {"encoders"}


def test_of_a_u_net_of_segmentation_models_all_but_the_encoder_is_fresh() -> None:
    smp = pytest.importorskip("segmentation_models_pytorch")
    unet = smp.Unet("resnet18", encoder_weights=None)
    assert {name.split(".")[0] for name in fresh_names(unet)} == {"decoder", "segmentation_head"}
    found = depths(unet)
    stages = ("layer4.0.conv1.weight", "layer1.0.conv1.weight", "conv1.weight")
    assert [found[f"encoder.{name}"] for name in stages] == [1, 4, 5]


def test_beside_a_table_its_branch_and_the_joint_are_fresh() -> None:
    assert modules_of(fresh_names(network("resnet18", TABLE))) == {"network.fc", "of_table.0", "head"}


def test_of_a_model_of_the_table_alone_all_is_fresh() -> None:
    mlp = network("table_mlp", TABLE)
    assert fresh_names(mlp) == {name for name, _ in mlp.named_parameters()}
    assert set(depths(mlp).values()) == {0}


@pytest.mark.parametrize(
    ("name", "shapes", "num_stages"),
    [
        ("resnet18", PLAIN, 6), ("convnext_tiny", PLAIN, 9), ("efficientnet_b0", PLAIN, 10), ("vit_b_16", PLAIN, 14),
        ("swin_t", PLAIN, 9), ("densenet121", PLAIN, 9), ("resnet9", PLAIN, 7), ("small_resnet", PLAIN, 6),
        ("unet", MASKS, 6), ("resnet18", TABLE, 6), ("timm/resnet18", PLAIN, 10), ("timm/resnet18", TABLE, 10),
        ("timm/vit_tiny_patch16_224", PLAIN, 14),
    ],
)  # fmt: skip
def test_depth_grows_from_the_head_to_the_stem_without_a_gap(name: str, shapes: Shapes, num_stages: int) -> None:
    net = network(name, shapes)
    found = depths(net)
    assert set(found.values()) == set(range(num_stages))
    assert list(found) == [parameter for parameter, _ in net.named_parameters()]
    below = [depth for parameter, depth in found.items() if parameter not in fresh_names(net)]
    assert below == sorted(below, reverse=True)


def test_the_normalisation_belongs_to_the_convolution_before_it_and_the_position_to_the_stem() -> None:
    resnet, vit = depths(network("resnet18")), depths(network("vit_b_16"))
    assert resnet["conv1.weight"] == resnet["bn1.weight"] == 5
    assert vit["class_token"] == vit["conv_proj.weight"] == vit["encoder.pos_embedding"] == 13
    assert vit["encoder.ln.weight"] == vit["encoder.layers.encoder_layer_11.ln_1.weight"] == 1


def test_the_model_names_its_own_parameters() -> None:
    model = build_model("small_resnet", PLAIN)
    names = {name for name, _ in model.named_parameters()}
    assert set(model.depths()) == names
    assert model.fresh_names() == {"network.head.weight", "network.head.bias"}
