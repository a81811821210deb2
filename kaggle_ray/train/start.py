"""What a fit starts with: the model, and the average of its weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from kaggle_ray.config import Hyperparameters, ModelHyperparameters, OptimizerHyperparameters
from kaggle_ray.errors import ConfigError
from kaggle_ray.models import Model, build_model
from kaggle_ray.train.inputs import FitData

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
        ConfigError: the initial weights are those of another architecture, or gradients cannot be checkpointed.
    """
    model = build_model(
        given.name,
        data.shapes,
        pretrained=given.pretrained and initial_weights is None,
        model_args=given.args,
        head=given.head,
        fuse=given.fuse,
    )
    if given.gradient_checkpointing:
        model.checkpoint_gradients()
    if data.scale is not None:
        model.set_scale(torch.from_numpy(data.scale.mean), torch.from_numpy(data.scale.std))
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
    return placed(model, device)


def split_for_features(model: Model, hyperparameters: Hyperparameters) -> None:
    """Tell the first stages apart where they stand still for good and what they give is kept.

    Raises:
        ConfigError: the model cannot be computed in two parts there.
    """
    if hyperparameters.model.keeps_stages:
        model.split(num_stages=hyperparameters.model.freeze_stages, sides=hyperparameters.sides_seen)


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
    model.load_state_dict(own_weights(model.state_dict(), weights))
    model.mean.copy_(weights["images.mean"].view_as(model.mean))
    model.std.copy_(weights["images.std"].view_as(model.std))


def own_weights(network: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a fit, averaged ones or not, by the names that ``network`` has for them.

    Args:
        network: its ``state_dict``.
        weights: ``Fit.weights``.

    Raises:
        KeyError: a weight of the network is not among them.
    """
    own = {name.removeprefix(_AVERAGED): tensor for name, tensor in weights.items()}
    return {name: own[name] for name in network}


def placed(model: Model, device: torch.device) -> Model:
    """Return ``model`` on ``device``, what is of two dimensions with its channels last, which computes faster.

    ``Module.to`` would do the same, and refuses a network that has kernels of three dimensions.
    """
    model.to(device)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.to(memory_format=torch.channels_last)
    return model


class MovingAverage(AveragedModel):
    """An exponential moving average of weights and buffers that forgets its first, random weights sooner.

    torch hands the number of updates to its own averaging functions on the weights' device, where reading it waits for
    the GPU in each step: here it stays on the CPU.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Begin with a copy of ``model``, which the first update replaces."""
        super().__init__(model, use_buffers=True)
        self._decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Go from the average towards what ``model`` is now; the sooner, the fewer updates there were."""
        num = int(self.n_averaged)
        share = 1 - min(self._decay, (1 + num) / (10 + num))
        mixed: tuple[list[Tensor], list[Tensor]] = ([], [])
        replaced: tuple[list[Tensor], list[Tensor]] = ([], [])
        for averaged, current in zip(_tensors_of(self.module), _tensors_of(model), strict=True):
            averaged_of, current_of = mixed if num and averaged.is_floating_point() else replaced
            averaged_of.append(averaged)
            current_of.append(current)
        if mixed[0]:
            torch._foreach_lerp_(*mixed, share)
        if replaced[0]:
            torch._foreach_copy_(*replaced)
        self.n_averaged += 1


class EpochAverage(AveragedModel):
    """The mean of weights and buffers at the ends of a fit's last epochs; until then a copy of the last end's."""

    def __init__(self, model: nn.Module, *, first_epoch: int) -> None:
        """Begin with a copy of ``model``; the first end of an epoch that counts is that of ``first_epoch``."""
        super().__init__(model, use_buffers=True)
        self._first_epoch = first_epoch

    def end_epoch(self, model: nn.Module, epoch: int) -> None:
        """Take the end of an epoch into the mean, or in the place of what was there where none counts yet."""
        if epoch <= self._first_epoch:
            self.n_averaged.zero_()
        self.update_parameters(model)


def make_average(
    model: nn.Module, given: OptimizerHyperparameters, *, epochs: int
) -> MovingAverage | EpochAverage | None:
    """Return the average of the model's weights that predicts, None where its own do."""
    if given.swa_epochs:
        return EpochAverage(model, first_epoch=epochs - given.swa_epochs + 1)
    return MovingAverage(model, given.ema_decay) if given.ema_decay else None


def _tensors_of(module: nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in (*module.parameters(), *module.buffers())]
