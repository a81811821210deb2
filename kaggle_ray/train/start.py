"""What a fit starts with: the model, and the moving average of its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from kaggle_ray.config import ModelHyperparameters
from kaggle_ray.errors import ConfigError
from kaggle_ray.models import Model, build_model
from kaggle_ray.train.inputs import FitData

Tensors = tuple[Tensor, ...] | list[Tensor]

_AVERAGED = "module."
"""Prefix of the names of averaged weights."""


def make_model(
    data: FitData,
    given: ModelHyperparameters,
    device: torch.device,
    initial_weights: Mapping[str, Tensor] | None = None,
) -> Model:
    """Return the experiment's model on the device, its convolutions laid out channels last.

    Raises:
        ConfigError: the initial weights are those of another architecture.
    """
    model = build_model(
        given.name,
        data.shapes,
        pretrained=given.pretrained and initial_weights is None,
        model_args=given.args,
        head=given.head,
    )
    if data.inputs.table is not None:
        model.fit_table(torch.from_numpy(data.inputs.table[data.train_rows]))
    if initial_weights is not None:
        try:
            load_weights(model, initial_weights)
        except (KeyError, RuntimeError) as error:
            raise ConfigError(
                f"init_from: the parent's weights do not fit {given.name}: {error}. "
                f"Let init_from change what leaves the architecture as it is, such as image_size."
            ) from error
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def load_weights(model: Model, weights: Mapping[str, Tensor]) -> None:
    """Give a model the weights of a fit, averaged ones or not, and the scale of the images that they were trained on.

    The scale is the fit's, as the library may tell another one of a network that is built without its own weights.

    Args:
        model: of the same architecture, freshly made.
        weights: ``Fit.weights``.

    Raises:
        KeyError: a weight of the model is not among them.
        RuntimeError: one has another shape.
    """
    own = {name.removeprefix(_AVERAGED): tensor for name, tensor in weights.items()}
    model.load_state_dict({name: own[name] for name in model.state_dict()})
    model.mean.copy_(weights["images.mean"].view_as(model.mean))
    model.std.copy_(weights["images.std"].view_as(model.std))


def make_average(model: nn.Module, ema_decay: float) -> AveragedModel | None:
    """Return the moving average of the model's weights, None where ``ema_decay`` is off."""
    if not ema_decay:
        return None
    return AveragedModel(model, multi_avg_fn=_moving_average(ema_decay), use_buffers=True)


def _moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Return an exponential moving average that forgets its first, random weights sooner than ``decay`` would."""

    @torch.no_grad()
    def update(averaged: Tensors, current: Tensors, num_averaged: Tensor | int) -> None:
        num = int(num_averaged)
        share = 1 - min(decay, (1 + num) / (10 + num))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, share)
        else:
            torch._foreach_copy_(averaged, current)

    return update
