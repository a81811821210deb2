"""torchvision's families: features, weights, statistics, sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import EfficientNet_V2_L_Weights, VisionTransformer, get_model

from kaggle_ray.errors import ConfigError
from kaggle_ray.models import Shapes, build_model, check_model, input_size, torchvision_models
from kaggle_ray.models.torchvision_models import features_of, model_names
from kaggle_ray.types import JsonValue

CLASSIFIERS = {
    "alexnet": "classifier",
    "convnext_tiny": "classifier",
    "densenet121": "classifier",
    "efficientnet_b0": "classifier",
    "efficientnet_v2_s": "classifier",
    "googlenet": "fc",
    "inception_v3": "fc",
    "maxvit_t": "classifier.2",
    "mnasnet0_5": "classifier",
    "mobilenet_v2": "classifier",
    "mobilenet_v3_small": "classifier",
    "regnet_x_400mf": "fc",
    "regnet_y_400mf": "fc",
    "resnet18": "fc",
    "resnext50_32x4d": "fc",
    "shufflenet_v2_x0_5": "fc",
    "squeezenet1_1": "classifier",
    "swin_t": "head",
    "swin_v2_t": "head",
    "vgg11": "classifier",
}
"""One model of each family, and the module of it that gets the pooled features (SqueezeNet's: the map itself)."""
LARGE = ("alexnet", "maxvit_t", "resnext50_32x4d", "swin_v2_t", "vgg11")
SMALLEST = {"maxvit_t": 224, "inception_v3": 75}


def untrained(name: str) -> nn.Module:
    arguments = {"init_weights": False, "aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    torch.manual_seed(0)
    network: nn.Module = get_model(name, weights=None, num_classes=7, **arguments)
    return network.eval()


def got_by(network: nn.Module, where: str, images: Tensor) -> Tensor:
    """Return what the module called ``where`` is given."""
    got: list[Tensor] = []
    hook = network.get_submodule(where).register_forward_pre_hook(lambda _, inputs: got.append(inputs[0]))
    network(images)
    hook.remove()
    return got[0]


@torch.inference_mode()
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in CLASSIFIERS]
)
def test_the_features_are_what_the_librarys_own_classifier_gets_pooled(name: str) -> None:
    network, size = untrained(name), SMALLEST.get(name, 64)
    if name == "convnext_tiny":  # torchvision normalises after the pooling, we before it
        network.get_submodule("classifier")[0] = nn.Identity()  # type: ignore[operator]
    images = torch.rand(2, 3, size, size)
    expected = got_by(network, CLASSIFIERS[name], images)
    if name in ("alexnet", "vgg11"):  # their pooling leaves a grid of positions
        pooling = network.get_submodule("avgpool")
    else:
        pooling = nn.AdaptiveAvgPool2d(1) if name != "squeezenet1_1" else nn.Identity()
    features = features_of(network)(images)
    assert features.ndim == 4
    assert torch.allclose(pooling(features).flatten(1), expected.flatten(1), atol=1e-4)


@torch.inference_mode()
def test_the_features_of_a_transformer_are_its_patches_tokens() -> None:
    network = VisionTransformer(
        image_size=32, patch_size=16, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=8, num_classes=3
    ).eval()
    images = torch.rand(2, 3, 32, 32)
    encoder = network.get_submodule("encoder")
    expected = encoder(got_by(network, "encoder", images))
    features = features_of(network)(images)
    assert features.shape == (2, 4, 8)
    assert torch.allclose(features, expected[:, 1:], atol=1e-5)


OURS: dict[str, JsonValue] = {"pooling": "avgmax", "hidden": [8]}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in model_names() if not name.endswith("128gf")])
def test_every_model_of_torchvision_takes_its_own_size_and_one_of_each_family_our_head_too(name: str) -> None:
    size = input_size(name)
    heads: list[dict[str, JsonValue]] = [{}, OURS] if name in (*CLASSIFIERS, "vit_b_16") else [{}]
    for head in heads:
        check_model(name, Shapes(num_outputs=3), head=head, sides=[(size, size)])


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_second_classifiers_are_left_out_in_training_too(name: str) -> None:
    model = build_model(name, Shapes(num_outputs=3)).train()
    assert model(torch.rand(2, 3, 96, 96)).shape == (2, 3)


# Sizes and statistics -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "size"),
    [
        ("resnet18", {}, 224),
        ("efficientnet_b3", {}, 300),
        ("inception_v3", {}, 299),
        ("vit_b_16", {}, 224),
        ("vit_b_16", {"weights": "IMAGENET1K_SWAG_E2E_V1"}, 384),
        ("vit_b_16", {"image_size": 96}, 96),
        ("regnet_y_400mf", {}, 224),
    ],
)
def test_the_size_is_that_of_the_weights(name: str, arguments: dict[str, Any], size: int) -> None:
    assert input_size(name, arguments) == size
    if name != "efficientnet_b3":
        check_model(name, Shapes(num_outputs=2), model_args={k: v for k, v in arguments.items() if k != "weights"})


def test_images_are_normalised_as_the_weights_were_trained() -> None:
    transforms = EfficientNet_V2_L_Weights.DEFAULT.transforms()
    assert transforms.mean == [0.5, 0.5, 0.5]  # unlike the others
    with torch.device("meta"):
        network = torchvision_models.build(
            "efficientnet_v2_l", num_outputs=1, num_channels=3, pretrained=False, arguments={}
        )
    assert network.mean == network.std == transforms.mean
    assert network.input_size == 480
    small = build_model("mobilenet_v3_small", Shapes(num_outputs=1))
    assert small.mean.ravel().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert small.input_size == 224


@pytest.mark.parametrize("head", [{}, {"pooling": "avg"}], ids=["own", "ours"])
def test_a_size_that_a_transformer_does_not_take_is_answered_with_its_own(head: dict[str, Any]) -> None:
    message = r"model 'vit_b_32' takes no images of 64 x 64 pixels: .* Its own size is 224: set image_size to that"
    with pytest.raises(ConfigError, match=message):
        check_model("vit_b_32", Shapes(num_outputs=1), head=head, sides=[(64, 64)])
    check_model("vit_b_32", Shapes(num_outputs=1), head=head, sides=[(224, 224)])
    check_model("vit_b_32", Shapes(num_outputs=1), head=head, model_args={"image_size": 64}, sides=[(64, 64)])


def test_a_size_that_is_pooled_to_nothing_is_an_error_before_training() -> None:
    with pytest.raises(ConfigError, match="model 'vgg11' takes no images of 8 x 16 pixels"):
        check_model("vgg11", Shapes(num_outputs=1), sides=[(32, 32), (8, 16)])


# Weights ------------------------------------------------------------------------------------------------------------


def published(name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Put weights for 1000 classes where torch.hub keeps what it has downloaded."""
    from torchvision.models import get_model_weights

    network: nn.Module = get_model(name, weights=None, num_classes=1000)
    state = network.state_dict()
    file = home / "hub/checkpoints" / get_model_weights(name).DEFAULT.url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.save(state, file)
    monkeypatch.setenv("TORCH_HOME", str(home))
    return state


def assert_is_kept(state: dict[str, Tensor], built: dict[str, Tensor], *, but: str) -> None:
    """Check that every weight of ``state`` is one of ``built`` under the same name, save those that begin ``but``."""
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(but)}
    assert kept
    for name, tensor in kept.items():
        assert torch.equal(built[name], tensor), name


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("resnet18", "fc."),
        ("regnet_y_400mf", "fc."),
        ("mobilenet_v3_small", "classifier.3."),
        ("squeezenet1_1", "classifier.1."),
        ("shufflenet_v2_x0_5", "fc."),
    ],
)
def test_torchvisions_own_loading_gives_all_but_the_last_layer(
    name: str, last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = published(name, tmp_path, monkeypatch)
    model = build_model(name, Shapes(num_outputs=4), pretrained=True)
    assert_is_kept(state, model.network.state_dict(), but=last)
    (fresh,) = model.fresh_modules()
    assert fresh is model.network.get_submodule(last.rstrip("."))
    assert model.eval()(torch.rand(2, 3, 64, 64)).shape == (2, 4)


def test_under_our_head_the_pretrained_weights_keep_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = published("resnet18", tmp_path, monkeypatch)
    model = build_model("resnet18", Shapes(num_outputs=4), pretrained=True, head={"pooling": "gem"})
    assert_is_kept(state, model.network.get_submodule("backbone").state_dict(), but="fc.")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("num_classes", [1000, 3])
def test_a_file_of_weights_takes_the_place_of_the_download(suffix: str, num_classes: int, tmp_path: Path) -> None:
    source: nn.Module = get_model("resnet18", weights=None, num_classes=num_classes)
    file = tmp_path / f"weights{suffix}"
    save_file(source.state_dict(), file) if suffix == ".safetensors" else torch.save(source.state_dict(), file)
    model = build_model("resnet18", Shapes(num_outputs=4), pretrained=True, model_args={"weights": str(file)})
    assert_is_kept(source.state_dict(), model.network.state_dict(), but="fc.")


def test_a_file_of_another_model_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    for name in ("resnet34", "mobilenet_v3_small"):
        save_file(get_model(name, weights=None).state_dict(), file)
        with pytest.raises(ConfigError, match=r"weights\.safetensors: is of another model"):
            build_model("resnet18", Shapes(num_outputs=4), pretrained=True, model_args={"weights": str(file)})


@pytest.mark.parametrize("content", [b"nothing of the kind", b""])
@pytest.mark.parametrize("name", ["x.safetensors", "x.pth"])
def test_a_file_that_is_no_weights_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=rf"model_args 'weights': .*{name}: cannot be read"):
        build_model("resnet18", Shapes(num_outputs=4), pretrained=True, model_args={"weights": str(tmp_path / name)})
    with pytest.raises(ConfigError, match=r"absent\.pth: no such file"):
        build_model("resnet18", Shapes(num_outputs=4), pretrained=True, model_args={"weights": "absent.pth"})


def test_a_download_that_fails_says_from_where_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for variable in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # where nobody listens
    message = (
        rf"model 'resnet18': its pretrained weights could not be loaded from https://download\.pytorch\.org/.* "
        rf"\(or {tmp_path}/hub/checkpoints/resnet18-.*\.pth\): URLError: .* name it in model_args as {{'weights': "
    )
    with pytest.raises(ConfigError, match=message):
        check_model("resnet18", Shapes(num_outputs=1), pretrained=True)


def test_unknown_weights_are_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown weights 'IMAGENET1K_V3'\. Did you mean 'IMAGENET1K_V\d'\?"):
        check_model("resnet50", Shapes(num_outputs=1), model_args={"weights": "IMAGENET1K_V3"}, pretrained=True)


def test_weights_that_would_not_be_loaded_are_an_error() -> None:
    with pytest.raises(ConfigError, match=r"model_args name weights, and pretrained is false\. Set it to true"):
        check_model("resnet18", Shapes(num_outputs=1), model_args={"weights": "IMAGENET1K_V1"})
