"""A fresh last layer starts small, whatever the library: the first loss is that of knowing nothing."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from kaggle_ray import register_model
from kaggle_ray.errors import ConfigError
from kaggle_ray.models import Model, Shapes, build_model
from kaggle_ray.types import JsonValue

NUM_IMAGES = 8
QUICK = [
    ("resnet18", 64),
    ("efficientnet_b0", 64),
    ("mobilenet_v3_small", 64),
    ("mnasnet0_5", 64),
    ("squeezenet1_1", 64),
    ("timm/tf_efficientnet_lite0", 64),
    ("timm/mobilenetv3_small_050", 64),
    ("timm/convnext_atto", 64),
    ("timm/regnety_002", 64),
    ("timm/vit_tiny_patch16_224", 64),
    ("timm/deit_tiny_distilled_patch16_224", 64),
]
WIDE = [
    *(("densenet121", 64), ("regnet_y_400mf", 64), ("convnext_tiny", 64), ("vit_b_32", 64), ("swin_t", 64)),
    *(("googlenet", 96), ("inception_v3", 128), ("vgg11_bn", 64), ("shufflenet_v2_x0_5", 64), ("alexnet", 64)),
    *(("efficientnet_v2_s", 64), ("maxvit_t", 224), ("timm/resnet18", 64), ("timm/efficientnet_b0", 64)),
    *(("timm/tf_efficientnetv2_b0", 64), ("timm/densenet121", 64), ("timm/swin_tiny_patch4_window7_224", 224)),
    *(("timm/inception_v4", 128), ("timm/ghostnet_050", 64), ("timm/mixer_s32_224", 224), ("timm/levit_128s", 224)),
    *(("timm/crossvit_tiny_240", 240), ("timm/xcit_nano_12_p16_224", 64), ("timm/mobilevit_xxs", 64)),
    *(("timm/nf_resnet50", 64), ("timm/fastvit_t8", 64), ("timm/tiny_vit_5m_224", 224), ("timm/repvgg_a0", 64)),
]


def arguments_for(name: str, size: int) -> dict[str, JsonValue]:
    """Return the argument by which a transformer takes images of another size."""
    is_plain_vit = name.startswith("timm/") and any(word in name for word in ("/vit", "/deit"))
    return {"img_size": size} if is_plain_vit else {"image_size": size} if name.startswith("vit") else {}


def built(name: str, num_outputs: int, size: int, **options: Any) -> Model:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return build_model(name, Shapes(num_outputs=num_outputs), model_args=arguments_for(name, size), **options)


@torch.no_grad()
def first_losses(model: Model, size: int, *tables: torch.Tensor) -> list[float]:
    """Return the loss of images of noise, as the model is trained and as it predicts."""
    images = torch.rand(NUM_IMAGES, 3, size, size, generator=torch.Generator().manual_seed(1))
    num_outputs = model.shapes.num_outputs
    losses = []
    for is_training in (True, False):
        logits = model.train(is_training)(images, *tables)
        if num_outputs == 1:
            labels = (
                (torch.arange(NUM_IMAGES) % 2).float().reshape(-1, *[1] * (logits.ndim - 2)).expand_as(logits[:, 0])
            )
            losses.append(float(functional.binary_cross_entropy_with_logits(logits[:, 0], labels)))
        else:
            losses.append(float(functional.cross_entropy(logits, torch.arange(NUM_IMAGES) % num_outputs)))
    return losses


def check_first_losses(model: Model, size: int, *tables: torch.Tensor) -> None:
    of_chance = math.log(max(2, model.shapes.num_outputs))
    losses = first_losses(model, size, *tables)
    assert losses == pytest.approx([of_chance] * 2, abs=0.1), losses


@pytest.mark.parametrize("num_outputs", [1, 10])
@pytest.mark.parametrize(("name", "size"), QUICK)
def test_the_first_loss_is_that_of_chance(name: str, size: int, num_outputs: int) -> None:
    check_first_losses(built(name, num_outputs, size), size)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "num_outputs"), [(*wide, (1, 10)[number % 2]) for number, wide in enumerate(WIDE)]
)
def test_the_first_loss_is_that_of_chance_for_many_architectures(name: str, size: int, num_outputs: int) -> None:
    check_first_losses(built(name, num_outputs, size), size)


@pytest.mark.parametrize("num_table_columns", [0, 5])
@pytest.mark.parametrize("name", ["resnet18", "timm/tf_efficientnet_lite0", "resnet9"])
def test_our_own_head_starts_as_torch_draws_a_layer(name: str, num_table_columns: int) -> None:
    torch.manual_seed(0)
    shapes = Shapes(num_outputs=10, num_table_columns=num_table_columns)
    last = [
        layer for layer in build_model(name, shapes, head={"pooling": "avg"}).modules() if isinstance(layer, nn.Linear)
    ][-1]
    assert len(last.weight) == 10
    assert float(last.weight.detach().abs().max()) == pytest.approx(1 / math.sqrt(last.in_features), rel=0.05)


@pytest.mark.parametrize("name", ["unet", "fpn", "deeplabv3plus", "segformer"])
def test_so_is_it_of_smps_segmenters(name: str) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    torch.manual_seed(0)
    model = build_model(f"smp/{name}", Shapes(num_outputs=1, segments=True), model_args={"encoder": "resnet18"})
    check_first_losses(model, 64)


@pytest.mark.parametrize("num_outputs", [1, 10])
def test_our_small_resnet_starts_near_it_as_it_is_drawn(num_outputs: int) -> None:
    losses = first_losses(built("small_resnet", num_outputs, 32), 32)
    assert losses == pytest.approx([math.log(max(2, num_outputs))] * 2, abs=0.15), losses


@pytest.mark.parametrize("name", ["resnet9", "small_resnet"])
def test_our_own_networks_keep_their_weights_as_they_are_drawn_so_that_past_runs_repeat_to_the_byte(name: str) -> None:
    head = built(name, 10, 32).get_submodule("network.head")
    assert isinstance(head, nn.Linear)
    assert float(head.weight.detach().abs().max()) == pytest.approx(1 / math.sqrt(head.in_features), rel=0.05)


class Registered(nn.Module):
    """A user's network whose squeeze-and-excitation layers come after the classifier by name."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 32, 3)
        self.classifier = nn.Linear(32, num_outputs)
        self.gate = nn.Linear(32, 32)

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        features_NE = self.features(images_NCHW).mean(dim=(2, 3))
        logits: torch.Tensor = self.classifier(features_NE * self.gate(features_NE).sigmoid())
        return logits


@pytest.mark.parametrize("num_outputs", [1, 10])
def test_a_users_network_starts_small_where_its_last_layer_is_known(num_outputs: int) -> None:
    @register_model("with_a_head")
    def with_a_head(num_outputs: int) -> nn.Module:
        last = nn.Linear(48, num_outputs)
        nn.init.constant_(last.weight, 2.0)
        return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), last)

    check_first_losses(built("with_a_head", num_outputs, 32), 32)


def test_a_layer_of_another_number_of_outputs_is_not_taken_for_the_last_one() -> None:
    register_model("with_a_gate")(Registered)
    network = built("with_a_gate", 10, 32).network
    assert isinstance(network, Registered)
    assert float(network.gate.weight.detach().abs().max()) == pytest.approx(1 / math.sqrt(32), rel=0.05)


@pytest.mark.parametrize("head", [nn.Identity(), nn.LazyLinear(3), nn.LayerNorm(3)])
def test_a_users_network_without_a_layer_that_is_known_is_left_as_it_is(head: nn.Module) -> None:
    class Odd(nn.Module):
        def __init__(self, num_outputs: int) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
            self.head = head

        def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(self.body(images_NCHW))
            return logits

    register_model("odd")(Odd)
    assert built("odd", 3, 8)(torch.rand(2, 3, 8, 8)).shape == (2, 3)


def test_weights_that_are_small_already_and_the_random_generator_stay() -> None:
    model = built("vit_b_32", 10, 64)  # whose head torchvision fills with zeros
    head = model.get_submodule("network.heads.head")
    assert isinstance(head, nn.Linear)
    assert not head.weight.detach().any()
    from torchvision.models import get_model

    torch.manual_seed(0)
    get_model("resnet18", num_classes=10)
    after_library = torch.rand(1)
    built("resnet18", 10, 64)
    assert torch.equal(torch.rand(1), after_library)


def test_timms_head_of_as_many_classes_as_were_pretrained_is_fresh_all_the_same(tmp_path: Any) -> None:
    import timm
    from safetensors.torch import save_file

    trained = timm.create_model("resnet10t", pretrained=False)
    with torch.no_grad():
        trained.get_classifier().weight.fill_(3.0)
    save_file(trained.state_dict(), tmp_path / "weights.safetensors")
    model = build_model(
        "timm/resnet10t", Shapes(num_outputs=1000), pretrained=True,
        model_args={"weights": str(tmp_path / "weights.safetensors")},
    )  # fmt: skip
    own = model.network.state_dict()
    assert torch.equal(own["conv1.0.weight"], trained.state_dict()["conv1.0.weight"])
    assert float(own["fc.weight"].abs().max()) < 0.1


def test_a_file_that_timm_would_load_by_itself_is_to_be_named_as_weights(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match="'checkpoint_path': name the file as 'weights'"):
        build_model("timm/resnet10t", Shapes(num_outputs=1), model_args={"checkpoint_path": str(tmp_path / "x.pth")})
