"""timm's models: features of every layout, weights, sizes."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from kaggle_ray.errors import ConfigError
from kaggle_ray.models import Shapes, build_model, check_model, input_size

timm = pytest.importorskip("timm")

LAYOUTS = {
    "resnet10t": "a map",
    "mobilenetv3_small_050": "a map, with layers between the pooling and the classifier",
    "test_convnext": "a map that is normalised",
    "swin_tiny_patch4_window7_224": "a map, channels last",
    "vit_tiny_patch16_224": "tokens, the class's first",
    "mixer_s32_224": "tokens of patches alone",
}


SMALL: dict[str, dict[str, Any]] = {
    "swin_tiny_patch4_window7_224": {"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2]},
    "vit_tiny_patch16_224": {"depth": 1},
}


@pytest.mark.parametrize("name", LAYOUTS)
@torch.inference_mode()
def test_features_of_any_layout_become_a_map_or_patches(name: str) -> None:
    size = input_size(f"timm/{name}")
    arguments = SMALL.get(name, {})
    model = build_model(f"timm/{name}", Shapes(num_outputs=3), head={"pooling": "avg"}, model_args=arguments).eval()
    features = model.network.get_submodule("backbone")(torch.rand(2, 3, size, size))
    num_features = next(m.in_features for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == 3)
    if features.ndim == 4:
        assert features.shape[:2] == (2, num_features)
    else:
        assert features.shape == (2, (size // {"mixer_s32_224": 32}.get(name, 16)) ** 2, num_features)


@torch.inference_mode()
@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "swin_tiny_patch4_window7_224"])
def test_averaged_features_are_what_timms_own_classifier_gets(name: str) -> None:
    torch.manual_seed(0)
    arguments = SMALL.get(name, {})
    own = timm.create_model(name, num_classes=3, **arguments).eval()
    model = build_model(f"timm/{name}", Shapes(num_outputs=3), head={"pooling": "avg"}, model_args=arguments).eval()
    backbone = model.network.get_submodule("backbone.network")
    backbone.load_state_dict({key: value for key, value in own.state_dict().items() if key in backbone.state_dict()})
    got: list[torch.Tensor] = []
    own.get_classifier().register_forward_pre_hook(lambda _, inputs: got.append(inputs[0]))
    images = torch.rand(2, 3, 224, 224)
    own(images)
    pooled = model.network.get_submodule("backbone")(images).mean(dim=(2, 3))
    assert torch.allclose(pooled, got[0], atol=1e-5)


@pytest.mark.parametrize(
    "name", ["coat_lite_tiny", "crossvit_tiny_240", "deit_tiny_distilled_patch16_224", "efficientvit_b0"]
)
def test_a_model_that_does_not_come_without_its_pooling_takes_no_head(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"model 'timm/{name}' takes no other head: .*\. Leave head empty\."):
        check_model(f"timm/{name}", Shapes(num_outputs=3), head={"pooling": "avg"})
    check_model(f"timm/{name}", Shapes(num_outputs=3))


def first_of_each_module() -> list[str]:
    """Return one name, with a word for small in it where there is one, of every module of timm's."""
    from timm.models import list_modules

    words = ("tiny", "nano", "pico", "atto", "femto", "xxs", "small", "b0", "18", "050")
    chosen = []
    for module in sorted(list_modules()):
        known = sorted(timm.list_models(module=module))
        if known:
            chosen.append(next((name for word in words for name in known if word in name), known[0]))
    return chosen


NO_HEAD = {
    "coat_lite_tiny",
    "crossvit_tiny_240",
    "deit_tiny_distilled_patch16_224",
    "efficientvim_m1",
    "efficientvit_b0",
    "inception_next_tiny",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", first_of_each_module())
def test_one_model_of_every_module_takes_the_head_or_says_that_it_does_not(name: str) -> None:
    size = input_size(f"timm/{name}")
    refused = pytest.raises(ConfigError, match=r"Leave head empty\.") if name in NO_HEAD else nullcontext()
    with refused:
        check_model(f"timm/{name}", Shapes(num_outputs=3), head={"pooling": "max"}, sides=[(size, size)])


# Sizes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "size"),
    [
        ("resnet18", {}, 224),
        ("resnet10t", {}, 176),
        ("convnext_tiny.in12k_ft_in1k_384", {}, 384),
        ("vit_tiny_patch16_224", {"img_size": 96}, 96),
        ("vit_tiny_patch16_224", {"img_size": [96, 64]}, 96),
    ],
)
def test_the_size_is_that_of_the_weights(name: str, arguments: dict[str, Any], size: int) -> None:
    assert input_size(f"timm/{name}", arguments) == size


def test_a_size_that_a_transformer_does_not_take_is_answered_with_its_own() -> None:
    name = "timm/vit_tiny_patch16_224"
    with pytest.raises(ConfigError, match=r"takes no images of 64 x 96 pixels: .* Its own size is 224: set image_size"):
        check_model(name, Shapes(num_outputs=1), sides=[(64, 96)])
    check_model(name, Shapes(num_outputs=1), model_args={"img_size": [64, 96]}, sides=[(64, 96)])


# Weights ------------------------------------------------------------------------------------------------------------


def weights_file(name: str, folder: Path, **arguments: Any) -> tuple[Path, dict[str, torch.Tensor]]:
    folder.mkdir(parents=True, exist_ok=True)
    state = timm.create_model(name, num_classes=1000, **arguments).state_dict()
    save_file(state, folder / "model.safetensors")
    return folder / "model.safetensors", state


def hub_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the Hugging Face hub's client look here for what it has downloaded, and nowhere else."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


@pytest.mark.parametrize("head", [{}, {"pooling": "gem"}], ids=["own", "ours"])
def test_timms_own_loading_reads_the_hubs_cache(
    head: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = hub_of(tmp_path, monkeypatch) / "models--timm--resnet18.a1_in1k"
    _, state = weights_file("resnet18", repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    model = build_model("timm/resnet18", Shapes(num_outputs=2), pretrained=True, head=head)
    built = model.network.get_submodule("backbone.network" if head else "").state_dict()
    for key in set(state) - {"fc.weight", "fc.bias"}:
        assert torch.equal(built[key], state[key]), key
    fresh = [parameter for part in model.fresh_modules() for parameter in part.parameters()]
    assert len(fresh) == (3 if head else 2)


def test_a_file_of_weights_takes_the_place_of_the_download_and_is_fitted_to_more_channels(tmp_path: Path) -> None:
    file, state = weights_file("resnet18", tmp_path)
    model = build_model(
        "timm/resnet18", Shapes(num_outputs=2, num_channels=6), pretrained=True, model_args={"weights": str(file)}
    )
    built = model.network.state_dict()
    assert torch.allclose(built["conv1.weight"][:, :3], state["conv1.weight"] / 2)
    assert torch.equal(built["layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])


def test_a_download_that_fails_says_from_where_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub_of(tmp_path, monkeypatch)
    message = r"model 'timm/resnet18': its .* from the Hugging Face hub \(timm/resnet18\.a1_in1k\): .* or set pretrain"
    with pytest.raises(ConfigError, match=message):
        check_model("timm/resnet18", Shapes(num_outputs=1), pretrained=True)


def test_a_file_of_another_model_and_weights_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    without = next(name for name in timm.list_models("resnet*") if not timm.list_pretrained(f"{name}.*"))
    file, _ = weights_file("resnet10t", tmp_path)
    with pytest.raises(ConfigError, match=rf"model 'timm/resnet18': .* could not be loaded from {file}: RuntimeError"):
        check_model("timm/resnet18", Shapes(num_outputs=1), pretrained=True, model_args={"weights": str(file)})
    with pytest.raises(ConfigError, match=r"model_args 'weights': expected a file, got 'a1_in1k'"):
        check_model("timm/resnet18", Shapes(num_outputs=1), pretrained=True, model_args={"weights": "a1_in1k"})
    with pytest.raises(ConfigError, match=r"timm model 'resnet18': unknown weights 'a1_in2k'\. Did you mean 'a1_in1k'"):
        check_model("timm/resnet18.a1_in2k", Shapes(num_outputs=1))
    with pytest.raises(ConfigError, match=r"timm has no pretrained weights of it\. Set pretrained to false"):
        check_model(f"timm/{without}", Shapes(num_outputs=1), pretrained=True)


def test_a_file_whose_names_the_network_has_not_is_refused_where_timm_would_load_nothing(tmp_path: Path) -> None:
    file, state = weights_file("resnet10t", tmp_path)
    save_file({f"encoder.{name}": tensor for name, tensor in state.items()}, tmp_path / "foreign.safetensors")
    foreign = {"weights": str(tmp_path / "foreign.safetensors")}
    for name, arguments in (("timm/resnet10t", foreign), ("smp/unet", {"encoder": "tu-resnet10t", **foreign})):
        shapes = Shapes(num_outputs=2, segments=name.startswith("smp"))
        with pytest.raises(ConfigError, match=r"foreign.* is of another model: it lacks .*; it has encoder\."):
            build_model(name, shapes, pretrained=True, model_args=arguments)
    del state["layer4.0.conv2.weight"]
    save_file(state, file)
    with pytest.raises(ConfigError, match=r"lacks 1 of its weights, layer4\.0\.conv2\.weight"):
        build_model("timm/resnet10t", Shapes(num_outputs=2), pretrained=True, model_args={"weights": str(file)})
