from __future__ import annotations

import pytest
import torch

from kaggle_ray.models import Model, Shapes, build_model

PLAIN = Shapes(num_outputs=2)
TABLE = Shapes(num_outputs=2, num_table_columns=3)
MASKS = Shapes(num_outputs=1, segments=True)


def model_of(name: str, shapes: Shapes = PLAIN, **options: object) -> Model:
    with torch.device("meta"):
        return build_model(name, shapes, **options)  # type: ignore[arg-type]


def fresh_of(model: Model) -> set[str]:
    return {name.removeprefix("network.") for name in model.fresh_names()}


def depths_of(model: Model) -> dict[str, int]:
    return {name.removeprefix("network."): depth for name, depth in model.depths().items()}


def modules_of(names: set[str]) -> set[str]:
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
    assert modules_of(fresh_of(model_of(name))) == head


def test_of_a_u_net_all_but_the_encoder_is_fresh() -> None:
    unet = model_of("unet", Shapes(num_outputs=1, segments=True, num_table_columns=2))
    fresh = fresh_of(unet)
    assert {name.split(".")[1] for name in fresh} == {"of_table", "decoders", "head"}
    rest = depths_of(unet).keys() - fresh
    assert {name.split(".")[1] for name in rest} == {"encoders"}


def test_of_a_u_net_of_segmentation_models_all_but_the_encoder_is_fresh() -> None:
    unet = model_of("smp/unet", MASKS, model_args={"encoder": "resnet18"})
    assert not any(".encoder." in f".{name}" for name in fresh_of(unet))
    found = depths_of(unet)
    for stage, depth in (("layer4.0.conv1.weight", 1), ("layer1.0.conv1.weight", 4), ("encoder.conv1.weight", 5)):
        assert {value for name, value in found.items() if name.endswith(stage)} == {depth}


def test_beside_a_table_its_branch_and_the_joint_are_fresh() -> None:
    assert modules_of(fresh_of(model_of("resnet18", TABLE))) == {"network.fc", "of_table.0", "head"}


def test_of_a_model_of_the_table_alone_all_is_fresh() -> None:
    mlp = model_of("table_mlp", TABLE)
    assert mlp.fresh_names() == {name for name, _ in mlp.named_parameters()}
    assert set(mlp.depths().values()) == {0}


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
    model = model_of(name, shapes)
    found = model.depths()
    assert set(found.values()) == set(range(num_stages))
    assert list(found) == [parameter for parameter, _ in model.named_parameters()]
    below = [depth for parameter, depth in found.items() if parameter not in model.fresh_names()]
    assert below == sorted(below, reverse=True)


def test_the_normalisation_belongs_to_the_convolution_before_it_and_the_position_to_the_stem() -> None:
    resnet, vit = depths_of(model_of("resnet18")), depths_of(model_of("vit_b_16"))
    assert resnet["conv1.weight"] == resnet["bn1.weight"] == 5
    assert vit["class_token"] == vit["conv_proj.weight"] == vit["encoder.pos_embedding"] == 13
    assert vit["encoder.ln.weight"] == vit["encoder.layers.encoder_layer_11.ln_1.weight"] == 1


def test_the_model_names_its_own_parameters() -> None:
    model = build_model("small_resnet", PLAIN)
    names = {name for name, _ in model.named_parameters()}
    assert set(model.depths()) == names
    assert model.fresh_names() == {"network.head.weight", "network.head.bias"}


@pytest.mark.parametrize("name", ["resnet18", "timm/resnet18", "small_resnet"])
def test_under_our_head_the_whole_backbone_lies_below_it(name: str) -> None:
    own = model_of(name)
    headed = model_of(name, head={"pooling": "gem", "hidden": [8]})
    assert {module.split(".")[0] for module in fresh_of(headed)} == {"pooling", "head"}
    assert set(headed.depths().values()) == set(own.depths().values())
