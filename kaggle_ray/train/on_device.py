"""What a model takes of a batch, and what its loss does, on the device: floats, colours, soft targets, mixtures.

Shape suffixes: N samples of a piece, V views of a sample, H and W pixels, C channels or columns, D of the table, E of
the features.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kaggle_ray.images.augment import draws_of, recolor, recolors, to_float
from kaggle_ray.images.mix import mix_batch, mix_table, mix_targets
from kaggle_ray.train.batches import Batch
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.losses import Outputs
from kaggle_ray.train.losses.objective import Objective, Targets
from kaggle_ray.types import IntArray

ModelInputs = tuple[Tensor | None, ...]
"""Images or features, the table or None, and where samples have different numbers of images, these numbers."""


class Finisher:
    """Takes a piece to the device: floats, colours, soft targets, mixtures."""

    def __init__(self, data: FitData, objective: Objective, recipe: str, device: torch.device) -> None:
        """Nothing is drawn here: a piece brings its randomness with it."""
        self._inputs = data.inputs
        self._outputs, self._auxiliary = objective.outputs, objective.auxiliary
        self._recipe = recipe
        self._device = device

    def __call__(self, batch: Batch) -> tuple[ModelInputs, Targets]:
        """Return what the model takes, of images 0..1, and the loss's targets.

        All that belongs to a sample is mixed alike: its images, its row of the table, its weight, its soft targets, and
        beside these the columns of what a teacher says, where there is one.
        """
        images = to_device(batch.pixels, self._device)
        if batch.pixels.ndim == 4:
            images = to_float(images)
            if recolors(self._recipe):
                images = recolor(images, to_device(draws_of(batch.keys), self._device), self._recipe)
        is_soft = batch.mix is not None or batch.teacher is not None or batch.pseudolabels is not None
        targets_of = self._outputs.soft_targets if is_soft else self._outputs.targets
        targets = targets_of(to_device(batch.target, self._device))
        auxiliary = None
        weights_N = None if batch.weights is None else to_device(batch.weights, self._device)
        if batch.auxiliary is not None:
            assert self._auxiliary is not None, "the data has auxiliary heads"
            auxiliary = self._auxiliary.soft_targets(to_device(batch.auxiliary, self._device))
        if batch.pseudolabels is not None:
            positions, labels_NC = (to_device(array, self._device) for array in batch.pseudolabels)
            assert isinstance(self._outputs, Outputs), "masks are targets as they are"
            targets[positions] = self._outputs.targets_of_values(labels_NC)
        if batch.teacher is not None:
            targets = torch.cat([targets, to_device(batch.teacher, self._device)], dim=1)
        given, table_ND, *counts = model_inputs(images, self._inputs, batch.read_rows)
        assert given is not None, "they are there"
        images = given
        if batch.mix is not None:
            height, width = images.shape[-2:]
            if auxiliary is not None:
                auxiliary = mix_targets(auxiliary, batch.mix, height=height, width=width)
            if weights_N is not None:
                weights_N = mix_targets(weights_N, batch.mix, height=height, width=width)
            images, targets = mix_batch(images, targets, batch.mix)
            table_ND = None if table_ND is None else mix_table(table_ND, batch.mix)
        return (images, table_ND, *counts), Targets(main=targets, auxiliary=auxiliary, weights_N=weights_N)


def to_device(array: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    """Return ``array`` as a tensor on the device."""
    return torch.from_numpy(array).to(device, non_blocking=True)


def table_of(table: npt.NDArray[np.float32] | None, rows: IntArray, device: torch.device) -> Tensor | None:
    """Return (N, D) the rows of a table on the device, None where there is no table."""
    return None if table is None else to_device(table[rows], device)


def model_inputs(images: Tensor, inputs: Inputs, rows: IntArray) -> ModelInputs:
    """Return what a model takes of ``rows`` (N,), on the device of their ``images`` or of features of these.

    Those are (N, V, C, H, W), or (N, V, E) of features, where samples have several images, and as they are given where
    samples have different numbers of them, which then come last.
    """
    table_ND = table_of(inputs.table, rows, images.device)
    if inputs.counts is not None:
        return images, table_ND, to_device(inputs.counts[rows], images.device)
    if inputs.num_views == 1:
        return images, table_ND
    return images.reshape(-1, inputs.num_views, *images.shape[1:]), table_ND
