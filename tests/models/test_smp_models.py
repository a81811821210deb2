"""Segmenters of segmentation-models-pytorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from kaggle_ray.errors import ConfigError
from kaggle_ray.models import Model, Shapes, build_model, check_model, input_size

smp = pytest.importorskip("segmentation_models_pytorch")

MASKS = Shapes(num_outputs=2, segments=True)
ARCHITECTURES = sorted(set(smp.MODEL_ARCHITECTURES_MAPPING) - {"dpt"})


def built(name: str, shapes: Shapes = MASKS, *, pretrained: bool = False, **model_args: Any) -> Model:
    torch.manual_seed(0)
    return build_model(f"smp/{name}", shapes, pretrained=pretrained, model_args=model_args).eval()


@pytest.mark.parametrize("encoder", ["resnet18", "mobilenet_v2", "timm-efficientnet-b0", "tu-resnet10t"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_mask_is_as_large_as_its_image(name: str, encoder: str) -> None:
    check_model(f"smp/{name}", MASKS, model_args={"encoder": encoder}, sides=[(128, 128), (160, 225)])


@torch.inference_mode()
@pytest.mark.parametrize("size", [(64, 64), (65, 37)])
def test_what_is_padded_is_cropped_again(size: tuple[int, int]) -> None:
    model = built("unet", encoder="resnet18")
    images = torch.rand(2, 3, *size)
    logits = model(images)
    assert logits.shape == (2, 2, *size)
    larger = torch.nn.functional.pad(images, (0, -size[1] % 32, 0, -size[0] % 32), mode="replicate")
    assert torch.allclose(model(larger)[:, :, : size[0], : size[1]], logits, atol=1e-5)


def test_every_weight_is_used_and_all_but_the_encoders_are_fresh() -> None:
    model = built("unet", Shapes(num_outputs=1, num_channels=4, segments=True), encoder="resnet18").train()
    logits = model(torch.rand(2, 4, 32, 48))
    assert logits.shape == (2, 1, 32, 48)
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    fresh = {id(parameter) for part in model.fresh_modules() for parameter in part.parameters()}
    rest = {name for name, parameter in model.named_parameters() if id(parameter) not in fresh}
    assert rest
    assert all(name.startswith("network.network.encoder.") for name in rest)


@pytest.mark.parametrize(
    ("name", "model_args", "message"),
    [
        ("unett", {}, r"unknown smp model 'unett'\. Did you mean 'unet'\?"),
        ("unet", {"encoder": "resnet35"}, r"model 'smp/unet': unknown encoder 'resnet35'\. Did you mean 'resnet\d+'\?"),
        ("unet", {"encoder": "tu-resnet19"}, r"unknown encoder 'tu-resnet19'\. Did you mean 'tu-resnet18'\?"),
        ("unet", {"decoder_chanels": [8]}, r"unknown model_args 'decoder_chanels'\. Did you mean 'decoder_channels'"),
        ("unet", {"encoder_name": "resnet18"}, r"unknown model_args 'encoder_name'"),
        ("unet", {"activation": "sigmoid"}, r"unknown model_args 'activation'"),
        ("unet", {"encoder_depth": 3}, r"model 'smp/unet' with model_args {'encoder_depth': 3}: .*Model depth is 3"),
        ("dpt", {}, r"Only Timm encoders are supported for DPT"),
    ],
)
def test_what_smp_does_not_know_is_named(name: str, model_args: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_model(f"smp/{name}", MASKS, model_args=model_args)


def test_smps_models_segment_and_take_no_table() -> None:
    with pytest.raises(ConfigError, match=r"model 'smp/unet' is for segmentation\. Use a classifier"):
        check_model("smp/unet", Shapes(num_outputs=1))
    with pytest.raises(ConfigError, match=r"model 'smp/unet' takes no table\. Leave the table out by model_args"):
        check_model("smp/unet", Shapes(num_outputs=1, num_table_columns=2, segments=True))
    check_model("smp/unet", Shapes(num_outputs=1, num_table_columns=2, segments=True), model_args={"table": False})


def test_only_a_timm_encoder_tells_its_size() -> None:
    assert input_size("smp/unet", {"encoder": "tu-resnet10t"}) == 176
    with pytest.raises(ConfigError, match=r"model 'smp/unet' has no image_size of its own\. Set image_size"):
        input_size("smp/unet", {})


# Weights ------------------------------------------------------------------------------------------------------------


def published(encoder: str, statistics: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put an encoder's weights and its facts where the hub's client keeps what it has downloaded."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    torch.manual_seed(123)
    state = smp.encoders.get_encoder(encoder, weights=None).state_dict()
    if statistics:
        of_encoder = smp.encoders.encoders[encoder]["pretrained_settings"]["imagenet"]
        folder = tmp_path / f"models--{of_encoder['repo_id'].replace('/', '--')}" / "snapshots" / of_encoder["revision"]
        folder.mkdir(parents=True)
        save_file(state, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(statistics))
    return state


def assert_is_encoder(model: Model, state: dict[str, Tensor]) -> None:
    encoder = model.network.get_submodule("network.encoder").state_dict()
    assert encoder.keys() == state.keys()
    assert all(torch.equal(encoder[key], state[key]) for key in state)


def test_smps_own_loading_gives_the_encoder_and_its_statistics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = {"mean": [10.0, 20.0, 30.0], "std": [51.0, 51.0, 255.0], "input_range": [0, 255]}
    state = published("resnet18", statistics, tmp_path, monkeypatch)
    model = built("unet", pretrained=True, encoder="resnet18")
    assert_is_encoder(model, state)
    assert model.mean.ravel().tolist() == pytest.approx([10 / 255, 20 / 255, 30 / 255])
    assert model.std.ravel().tolist() == pytest.approx([0.2, 0.2, 1.0])


def test_a_file_of_an_encoders_weights_takes_the_place_of_the_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = published("resnet18", {}, tmp_path, monkeypatch)
    save_file(state, tmp_path / "encoder.safetensors")
    file = str(tmp_path / "encoder.safetensors")
    assert_is_encoder(built("fpn", pretrained=True, encoder="resnet18", weights=file), state)
    with pytest.raises(ConfigError, match=r"encoder\.safetensors: is of another model"):
        built("fpn", pretrained=True, encoder="resnet34", weights=file)


def test_a_download_that_fails_says_from_where_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published("resnet18", {}, tmp_path, monkeypatch)
    message = r"model 'smp/unet': its .* from the Hugging Face hub \(smp-hub/resnet18\.imagenet\): .* set pretrained to"
    with pytest.raises(ConfigError, match=message):
        check_model("smp/unet", MASKS, model_args={"encoder": "resnet18"}, pretrained=True)
    with pytest.raises(ConfigError, match=r"encoder 'resnet18': unknown weights 'imagenett'\. Did you mean 'imagenet'"):
        check_model("smp/unet", MASKS, model_args={"encoder": "resnet18", "weights": "imagenett"}, pretrained=True)


@pytest.mark.filterwarnings("error", "ignore:unclosed file:ResourceWarning")  # of what other tests have left
def test_a_file_of_a_timm_encoders_weights_is_fitted_to_more_channels(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import timm

    state = timm.create_model("resnet10t").state_dict()
    save_file(state, tmp_path / "encoder.safetensors")
    shapes = Shapes(num_outputs=1, num_channels=4, segments=True)
    file = str(tmp_path / "encoder.safetensors")
    model = built("unet", shapes, pretrained=True, encoder="tu-resnet10t", weights=file)
    encoder = model.network.get_submodule("network.encoder.model").state_dict()
    assert encoder["conv1.0.weight"].shape[1] == 4
    assert torch.equal(encoder["layer4.0.conv2.weight"], state["layer4.0.conv2.weight"])
    assert not caplog.records, "that an encoder has no use for a classifier is nothing to warn of"
