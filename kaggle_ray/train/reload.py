"""Predicts new test rows with the weights that a run kept, without training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load

from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.head import Head
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import CorruptBlobError, DataError
from kaggle_ray.models import Model, Shapes, build_model
from kaggle_ray.models.table import cut_cells
from kaggle_ray.train.fold_data import shapes_of, test_inputs
from kaggle_ray.train.inputs import Inputs
from kaggle_ray.train.losses.outputs import outputs_of
from kaggle_ray.train.predict import Forward, Predictor
from kaggle_ray.train.process import derive_seed, prepare_process
from kaggle_ray.train.start import load_weights, placed, split_for_features
from kaggle_ray.types import BoolArray, StoredValues


class TestRows:
    """The rows to predict of a competition, opened once for each image size."""

    __test__ = False  # no test case of pytest's

    def __init__(self, competition: Competition, samples: Samples, settings: Settings, cache_dir: Path) -> None:
        """Nothing is decoded before the first prediction."""
        self._competition = competition
        self._samples = samples
        self._settings = settings
        self._cache_dir = cache_dir
        self._opened: dict[tuple[int, int], Inputs] = {}
        table = samples.test_table
        self.cut_cells: BoolArray | None = None if table is None else np.zeros(table.values.shape, dtype=np.bool_)
        """(T, D) numbers of the table that any of the models cuts, of those that have predicted."""

    @property
    def num_rows(self) -> int:
        """T."""
        return len(self._samples.test_ids)

    def predict(
        self, hyperparameters: Hyperparameters, weights: bytes, *, network: Forward | None = None, where: str
    ) -> Iterator[StoredValues]:
        """Yield (n, C) blocks of predictions of all test rows, in their order, as ``Predictor.value_blocks`` does.

        With the settings of the run on the same rows they are, on the CPU, the bytes that the run predicted.

        Args:
            hyperparameters: of the experiment.
            weights: the weights file of one of its trials.
            network: computes what the trial's model would; None: the model itself.
            where: names the trial, for messages.

        Raises:
            CorruptBlobError: the weights are no such file.
            DataError: they are those of a model for other images, tables or classes.
        """
        predictor = reloaded(self._competition, self._samples, self._settings, hyperparameters, weights, where=where)
        if self.cut_cells is not None and self._samples.test_table is not None:
            self.cut_cells |= cut_cells(predictor.model, self._samples.test_table.values)
        if network is not None:
            predictor.ask(network)
        inputs = self._inputs(hyperparameters)
        return predictor.value_blocks(inputs, np.arange(self.num_rows))

    def _inputs(self, hyperparameters: Hyperparameters) -> Inputs:
        sides = hyperparameters.images.decoded_sides
        if sides not in self._opened:
            self._opened[sides] = test_inputs(self._competition, self._samples, sides, self._cache_dir)
        return self._opened[sides]


def reloaded(
    competition: Competition,
    samples: Samples,
    settings: Settings,
    hyperparameters: Hyperparameters,
    weights: bytes,
    *,
    where: str,
) -> Predictor:
    """Return what predicts with the weights that a trial has kept.

    Args:
        competition: with the names that its files tell.
        samples: the shape of whose views and tables the model takes.
        settings: of the run.
        hyperparameters: of the experiment.
        weights: the trial's weights file.
        where: names the trial, for messages.

    Raises:
        CorruptBlobError: the weights are no such file.
        DataError: they are those of a model for other images, tables or classes.
    """
    mask, shapes = competition.mask, shapes_of(competition, samples)
    return predictor_of(
        competition.heads, shapes, settings, hyperparameters, weights,
        mask_size=None if mask is None else (mask.height, mask.width), where=where,
    )  # fmt: skip


def predictor_of(
    heads: Sequence[Head],
    shapes: Shapes,
    settings: Settings,
    hyperparameters: Hyperparameters,
    weights: bytes,
    *,
    mask_size: tuple[int, int] | None,
    where: str,
) -> Predictor:
    """Return what predicts with the weights that a trial has kept; none of the competition's rows is needed.

    Args:
        heads: of the competition.
        shapes: of what the model takes and gives.
        settings: of the run.
        hyperparameters: of the experiment.
        weights: the trial's weights file.
        mask_size: height and width in pixels at which masks are predicted; None without masks.
        where: names the trial, for messages.

    Raises:
        CorruptBlobError: the weights are no such file.
        DataError: they are those of a model for other images, tables or classes.
    """
    try:
        tensors = load(weights)
    except SafetensorError as error:
        raise CorruptBlobError(f"{where}: the weights are no safetensors file: {error}.") from error
    device = prepare_process(settings, derive_seed(hyperparameters.training.seed))
    model: Model = build_model(
        hyperparameters.model.name,
        shapes,
        pretrained=False,  # all weights are in the file
        model_args=hyperparameters.model.args,
        head=hyperparameters.model.head,
        fuse=hyperparameters.model.fuse,
    )
    model.gives_auxiliary = False
    try:
        load_weights(model, tensors)
        outputs = outputs_of(heads, tensors)
    except (KeyError, RuntimeError) as error:
        raise DataError(
            f"{where}: its weights do not fit {hyperparameters.model.name} for these files: {error}. "
            f"Are they of the same competition, with the same channels and columns?"
        ) from error
    model = placed(model, device)
    split_for_features(model, hyperparameters)
    return Predictor(
        model,
        outputs,
        hyperparameters,
        settings,
        mask_size=mask_size,
    )
