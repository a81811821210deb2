from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from kaggle_ray.errors import ConfigError
from kaggle_ray.models import Model, Shapes, build_model, check_model_name, register_model
from kaggle_ray.models.network import IMAGENET_MEAN, IMAGENET_STD, Network
from kaggle_ray.models.torchvision_models import replace_last_layer


@pytest.mark.parametrize("num_outputs", [1, 10])
@pytest.mark.parametrize(
    ("name", "size", "arguments"),
    [
        ("small_resnet", 8, {"width": 4, "blocks": [1]}),
        ("small_resnet", 33, {"width": 4, "blocks": [2, 1, 1], "stem_stride": 1, "dropout": 0.1}),
        ("resnet9", 32, {"width": 4}),
        ("resnet9", 16, {"width": 4, "stem_stride": 1}),
        ("resnet18", 32, {}),
        ("mobilenet_v3_small", 32, {}),
        ("timm/resnet18", 32, {}),
    ],
)
def test_a_model_maps_images_to_as_many_logits_as_asked_for(
    name: str, size: int, arguments: dict[str, Any], num_outputs: int
) -> None:
    model = build_model(name, Shapes(num_outputs=num_outputs), model_args=arguments).eval()
    logits_NC = model(torch.rand(2, 3, size, size))
    assert logits_NC.shape == (2, num_outputs)
    assert torch.isfinite(logits_NC).all()


def test_weights_come_from_the_global_generator() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return next(build_model("small_resnet", Shapes(num_outputs=1)).parameters()).detach()

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_the_input_is_normalised_and_the_statistics_are_no_weights() -> None:
    model = Model(Network(module=nn.Identity(), fresh=()), Shapes(num_outputs=1))
    mean = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    std = torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    assert torch.allclose(model(mean), torch.zeros(1, 3, 2, 2))
    assert torch.allclose(model(mean + std), torch.ones(1, 3, 2, 2), atol=1e-6)
    assert not model.state_dict()


# Pretrained, with weights that the test makes -----------------------------------------------------------------------


def stand_in_for_the_download(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Let torchvision load weights for 1000 classes that were drawn here."""
    from torchvision.models import get_model

    torch.manual_seed(123)
    state: dict[str, torch.Tensor] = get_model(name, weights=None, num_classes=1000).state_dict()

    def load(url: str, *arguments: object, **keywords: object) -> dict[str, torch.Tensor]:
        assert name.split("_")[0] in url
        return state

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", load)
    return state


@pytest.mark.parametrize(
    ("name", "head"),
    [("resnet18", "fc."), ("mobilenet_v3_small", "classifier.3."), ("convnext_tiny", "classifier.2.")],
)
@pytest.mark.parametrize("num_outputs", [1, 7])
def test_a_pretrained_torchvision_model_has_the_librarys_backbone_and_a_fresh_head(
    name: str, head: str, num_outputs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretrained = stand_in_for_the_download(name, monkeypatch)
    torch.manual_seed(0)
    model = build_model(name, Shapes(num_outputs=num_outputs), pretrained=True)
    built = model.network.state_dict()
    assert built.keys() == pretrained.keys()
    for key, tensor in built.items():
        if key.startswith(head):
            assert tensor.shape[0] == num_outputs
        else:
            assert torch.equal(tensor, pretrained[key]), key
    assert model.eval()(torch.rand(2, 3, 64, 64)).shape == (2, num_outputs)
    torch.manual_seed(0)
    again = build_model(name, Shapes(num_outputs=num_outputs), pretrained=True).network.state_dict()
    assert all(torch.equal(tensor, again[key]) for key, tensor in built.items())


def test_a_pretrained_timm_model_has_the_checkpoints_backbone_and_a_fresh_head(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(123)
    source = timm.create_model("resnet18", pretrained=False, num_classes=1000)
    file = tmp_path / "resnet18.safetensors"
    save_file(source.state_dict(), file)
    model = build_model(
        "timm/resnet18",
        Shapes(num_outputs=5),
        pretrained=True,
        model_args={"pretrained_cfg_overlay": {"file": str(file)}},
    )
    for key, tensor in model.network.state_dict().items():
        if key.startswith("fc."):
            assert tensor.shape[0] == 5
        else:
            assert torch.equal(tensor, source.state_dict()[key]), key


def test_a_timm_model_is_normalised_as_timm_says() -> None:
    pytest.importorskip("timm")
    model = build_model("timm/inception_v4", Shapes(num_outputs=1))
    assert model.mean.ravel().tolist() == [0.5, 0.5, 0.5]
    assert model.std.ravel().tolist() == [0.5, 0.5, 0.5]


def test_our_own_models_have_no_pretrained_weights() -> None:
    with pytest.raises(ConfigError, match=r"model 'small_resnet': there are no pretrained weights\. Set pretrained to"):
        build_model("small_resnet", Shapes(num_outputs=1), pretrained=True)


def test_the_last_linear_layer_is_replaced_wherever_it_is() -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(4, 4)
            self.head = nn.ModuleDict({"classes": nn.Linear(4, 9)})

    nested, sequence = Nested(), nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 9))
    kept = nested.body
    replace_last_layer(nested, 2)
    replace_last_layer(sequence, 2)
    assert nested.body is kept
    assert [m.out_features for m in nested.modules() if isinstance(m, nn.Linear)] == [4, 2]
    assert [m.out_features for m in sequence.modules() if isinstance(m, nn.Linear)] == [4, 2]
    with pytest.raises(ConfigError, match="Identity has no linear layer or convolution"):
        replace_last_layer(nn.Identity(), 2)


# Names --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("smal_resnet", "small_resnet"),
        ("resnet_18", "resnet18"),
        ("efficientnet_b00", "efficientnet_b0"),
        ("convnext_tinny", "convnext_tiny"),
    ],
)
def test_a_misspelt_model_is_answered_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=rf"unknown model '{name}'\. Did you mean '{nearest}'\? timm's models"):
        check_model_name(name)
    with pytest.raises(ConfigError, match=f"'{nearest}'"):
        build_model(name, Shapes(num_outputs=1))


def test_a_misspelt_timm_model_is_answered_with_the_nearest() -> None:
    pytest.importorskip("timm")
    with pytest.raises(ConfigError, match=r"unknown timm model 'convnext_tinny'\. Did you mean 'convnext_tiny'\?"):
        check_model_name("timm/convnext_tinny")
    check_model_name("timm/resnet18.a1_in1k")


@pytest.mark.parametrize("name", ["fcn_resnet50", "fasterrcnn_resnet50_fpn", "r3d_18"])
def test_models_that_do_not_classify_images_are_not_offered(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown model"):
        check_model_name(name)


@pytest.mark.parametrize("name", ["small_resnet", "resnet9", "resnet18"])
def test_an_unknown_argument_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"model '{name}' with model_args .*widht"):
        build_model(name, Shapes(num_outputs=1), model_args={"widht": 4})


def test_a_newcomers_model_is_found_by_its_name() -> None:
    @register_model("flat")
    def flat(num_outputs: int, side: int = 4) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * side * side, num_outputs))

    check_model_name("flat")
    assert build_model("flat", Shapes(num_outputs=2), model_args={"side": 2})(torch.rand(5, 3, 2, 2)).shape == (5, 2)
