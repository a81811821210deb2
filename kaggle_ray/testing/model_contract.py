"""The contract of a model: call ``check_model_trains`` in a test of each one."""

from __future__ import annotations

import torch

from kaggle_ray.models import Shapes, build_model, check_model
from kaggle_ray.types import JsonValue

_NUM_ROWS = 4


def check_model_trains(
    name: str,
    *,
    num_outputs: int = 3,
    num_channels: int = 3,
    sides: tuple[int, int] = (32, 32),
    segments: bool = False,
    **model_args: JsonValue,
) -> None:
    """Check what a fit relies on: logits of the right shape, all of it learns, and evaluation looks at one row alone.

    Args:
        name: that the model is registered under.
        num_outputs: logits of an image, or of each of its pixels.
        num_channels: of an image.
        sides: height and width in pixels of an image.
        segments: whether each pixel has logits.
        model_args: of the model.

    Raises:
        AssertionError: it does not keep to it.
        ConfigError: it cannot be built, or takes no such images.
    """
    shapes = Shapes(num_outputs=num_outputs, num_channels=num_channels, segments=segments)
    check_model(name, shapes, model_args=model_args, sides=[sides])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, again = (build_model(name, shapes, model_args=model_args) for _ in range(2))
        images_NCHW = torch.rand(_NUM_ROWS, num_channels, *sides)
        model(images_NCHW).square().mean().backward()
    idle = [of for of, each in model.named_parameters() if each.requires_grad and each.grad is None]
    assert not idle, f"parameters that nothing is learnt by: {', '.join(idle[:5])}"
    model.eval()
    again.load_state_dict(model.state_dict())
    again.eval()
    with torch.inference_mode():
        logits = model(images_NCHW)
        expected = (_NUM_ROWS, num_outputs, *(sides if segments else ()))
        assert logits.shape == expected, f"expected logits {expected}, got {tuple(logits.shape)}"
        assert bool(logits.isfinite().all()), "logits are not finite"
        assert torch.equal(model(images_NCHW), logits), "the same images have other logits in evaluation mode"
        alone = torch.cat([model(image[None]) for image in images_NCHW])
        assert torch.allclose(alone, logits, atol=1e-4), "an image's logits depend on the images beside it"
        assert torch.equal(again(images_NCHW), logits), "its weights are not all that it predicts by"
