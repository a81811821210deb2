from __future__ import annotations

import pytest
from torch import Tensor, nn

import kaggle_ray
from kaggle_ray.errors import ConfigError
from kaggle_ray.models import Shapes
from kaggle_ray.models.summary import shapes_for, summarise
from kaggle_ray.registry import registrations_undone
from kaggle_ray.types import JsonValue, ModelSize


def test_a_network_is_summed_up_without_computing_it() -> None:
    found = summarise("resnet18", Shapes(num_outputs=1000), sides=(224, 224))
    assert found.size.num_parameters == 11_689_512  # as torchvision documents it
    assert found.size.num_layers == 41  # 20 convolutions with as many normalisations, and the last layer
    assert found.size.flops == pytest.approx(2 * 1.814e9, rel=0.01)  # torchvision counts multiplications alone
    layers = {layer.name: layer for layer in found.layers}
    assert (layers["layer4"].kind, layers["layer4"].output) == ("Sequential", (512, 7, 7))
    assert layers["fc"].num_parameters == 513_000
    assert layers["layer1"].flops == layers["layer1.0"].flops + layers["layer1.1"].flops > 0


def test_what_stands_still_is_counted_by_itself() -> None:
    head: dict[str, JsonValue] = {"pooling": "avg"}
    stages, backbone = (
        summarise("resnet18", Shapes(num_outputs=10), sides=(64, 64), head=head, freeze_stages=freeze_stages)
        for freeze_stages in (2, None)
    )
    flops = {layer.name.rpartition(".")[2]: layer.flops for layer in stages.layers}
    assert stages.size.flops_frozen == flops["conv1"] + flops["layer1"] > 0
    assert stages.size.num_layers_frozen == 2 + 8
    assert backbone.size.num_layers_frozen == backbone.size.num_layers - 1, "the head is left"
    assert backbone.size.flops == backbone.size.flops_frozen + 2 * 512 * 10


@pytest.mark.parametrize("name", ["unet", "small_resnet"])
def test_models_of_ours_are_summed_up_too(name: str) -> None:
    found = summarise(name, shapes_for(name, num_outputs=1, num_channels=4), sides=(32, 48))
    assert found.input == (4, 32, 48)
    assert found.size.num_parameters > 0
    assert found.size.flops


def test_images_that_are_fused_count_together() -> None:
    args: dict[str, JsonValue] = {"width": 4, "blocks": [1]}
    one = summarise("small_resnet", Shapes(num_outputs=1), sides=(32, 32), model_args=args, head={"pooling": "avg"})
    found = summarise("small_resnet", Shapes(num_outputs=1, num_views=5), sides=(32, 32), model_args=args, fuse="lstm")
    assert (found.num_views, one.num_views) == (5, 1)
    assert found.layers[-1].name == "fusion"
    assert (
        found.size.num_parameters == one.size.num_parameters + found.layers[-1].num_parameters > one.size.num_parameters
    )
    assert found.size.flops
    assert one.size.flops
    assert found.size.flops > 4.9 * one.size.flops


def test_an_unknown_model_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="resnet18"):
        summarise("resnet81", Shapes(num_outputs=1), sides=(32, 32))


class NeedsValues(nn.Module):
    """Looks at what it is given before it computes, as no tensor without values can tell."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(3, num_outputs)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        pooled_NC = images_NCHW.mean((2, 3))
        made: Tensor = self.linear(pooled_NC if float(pooled_NC.max()) < 1e9 else pooled_NC / 2)
        return made


def test_of_a_network_that_looks_at_values_the_operations_are_not_known() -> None:
    with registrations_undone():
        kaggle_ray.register_model("needs_values")(NeedsValues)
        found = summarise("needs_values", Shapes(num_outputs=2), sides=(8, 8))
    assert found.size == ModelSize(num_parameters=8, num_layers=1, flops=None)


def test_images_that_a_network_does_not_take_are_refused() -> None:
    with pytest.raises(ConfigError, match="takes no images of 8 x 8 pixels"):
        summarise("vgg11", Shapes(num_outputs=1), sides=(8, 8))
