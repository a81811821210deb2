"""The models of a run, taken out of it: neither its training images nor its tables are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kaggle_ray.config import Hyperparameters, parse_hyperparameters
from kaggle_ray.config.settings import Device
from kaggle_ray.data.head import Head
from kaggle_ray.images.layout import Layout
from kaggle_ray.images.transform import Transform
from kaggle_ray.models import Model
from kaggle_ray.pipeline.options import MachineOptions
from kaggle_ray.pipeline.predicting import check_models, epoch_of, settings_here
from kaggle_ray.pipeline.recorded import load_own_code, reader_of_run, recorded_competition
from kaggle_ray.report.explain import find_experiment
from kaggle_ray.store.opening import open_run
from kaggle_ray.train.graphs import kept_graphs
from kaggle_ray.train.inputs import shapes_of_heads
from kaggle_ray.train.predict import Predictor, model_of
from kaggle_ray.train.process import unprepared_after
from kaggle_ray.train.reload import predictor_of
from kaggle_ray.types import FULL_DATA, Trial

_SEVERAL = 2
"""Images of a sample whose features are fused: no weight depends on how many they are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedModel:
    """A network with the weights of a trial, and what makes its input of an image.

    ``module(transform(image)[None])`` are logits: (1, C), of several heads side by side, or (1, K, H, W) of masks. The
    several images of a sample are given together, in their order.

    >>> import kaggle_ray
    >>> tiny = {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}, "image_size": 8, "epochs": 1}
    >>> result = kaggle_ray.run("digits", experiments=[tiny], launcher="local", reporters=[])
    >>> kaggle_ray.load_model(result.run_dir, "resnet9", fold=0).heads[0].classes[:3]
    ('0', '1', '2')
    """

    module: Model
    """The network with the normalisation of its input, in evaluation mode."""
    transform: Transform
    """Makes (C, H, W) float32 from 0 to 1 of an image file or an array, and what a reader reads of other numbers."""
    heads: tuple[Head, ...]
    """Questions that the outputs answer, in their order. They cannot score: a metric's code is in no run."""
    hyperparameters: Hyperparameters
    """Hyperparameters of the experiment."""


def load_model(
    run: str | Path,
    experiment: str,
    fold: int | None,
    *,
    epoch: int | None = None,
    competition: str | Path | None = None,
    device: Device | None = None,
) -> TrainedModel:
    """Return the model of one fold of an experiment, in evaluation mode, with what makes its input of an image.

    >>> import kaggle_ray, numpy as np
    >>> tiny = {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}, "image_size": 8, "epochs": 1}
    >>> result = kaggle_ray.run("digits", experiments=[tiny], launcher="local", reporters=[])
    >>> loaded = kaggle_ray.load_model(result.run_dir, "resnet9", fold=0)
    >>> image = loaded.transform(np.zeros((20, 20, 3), dtype=np.uint8))
    >>> image.shape, loaded.module(image[None]).shape
    (torch.Size([3, 8, 8]), torch.Size([1, 10]))

    Args:
        run: the run's folder, or its ``s3://`` URI.
        experiment: name of the experiment, its id, or how its id begins.
        fold: fold whose rows the model never saw; None: the model of all rows, of a run with ``refit``.
        epoch: one of those that were kept, such as of ``keep_epochs``; None: that which predicts.
        competition: the competition's name or file, where the experiment's model or the reader of the files is declared
            there and you have not run it on this machine.
        device: ``cpu`` or ``cuda``; None: the run's.

    Raises:
        KaggleRayError: what, where, and the next step, such as for weights that a complete run did not keep.
    """
    opened = OpenedRun(run, competition=competition, device=device)
    experiment_id = find_experiment(opened.store, experiment).experiment_id
    trial = Trial(experiment_id=experiment_id, fold=FULL_DATA if fold is None else fold)
    kept = None if epoch is None else epoch_of(opened.store, trial, epoch)
    check_models(opened.store, opened.record, [[(trial, kept)]], refit=fold is None)
    with unprepared_after():
        loaded = opened.load(trial, kept)
    module = model_of(loaded.predictor.model)
    module.eval()
    return TrainedModel(
        module=module,
        transform=loaded.transform,
        heads=opened.asked.heads,
        hyperparameters=loaded.hyperparameters,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedTrial:
    """A trial's model that predicts, and what makes its input of an image."""

    predictor: Predictor
    transform: Transform
    hyperparameters: Hyperparameters


class OpenedRun:
    """A run whose models are loaded; its folder is only read, and none of its competition's files is."""

    def __init__(
        self, run: str | Path, *, competition: str | Path | None, device: Device | None, by_graphs: bool = False
    ) -> None:
        """Read what the run records; ``competition`` and ``device`` are as of ``load_model``.

        ``by_graphs`` lets ONNX graphs predict, where models have them.
        """
        self.store = open_run(run)
        self.record = self.store.known_record()
        self.asked = recorded_competition(self.store, self.record)
        self.experiments = {each.experiment_id: each for each in self.store.experiments()}
        self._hyperparameters = {
            experiment_id: parse_hyperparameters(each.hyperparameters, where=each.name)
            for experiment_id, each in self.experiments.items()
        }
        self.settings = settings_here(self.record, MachineOptions(device=device))
        self._by_graphs = by_graphs
        load_own_code(self.store, self.record, list(self._hyperparameters.values()), competition)
        self._reader = reader_of_run(self.store, self.record, self.asked, competition)

    def load(self, trial: Trial, epoch: int | None) -> LoadedTrial:
        """Return a committed trial's model; ``epoch`` is as of ``load_model``.

        Raises:
            WeightsGoneError: its weights were not kept.
            CorruptBlobError: they are not those that were committed.
        """
        asked, hyperparameters = self.asked, self._hyperparameters[trial.experiment_id]
        result = self.store.result(trial)
        assert result is not None, "it was checked"
        shapes = shapes_of_heads(
            asked.heads,
            asked.auxiliary_heads,
            num_channels=asked.num_channels,
            num_views=1 if hyperparameters.model.fuse == "mean" else _SEVERAL,
            num_table_columns=len(asked.table_columns),
        )
        predictor = predictor_of(
            asked.heads, shapes, self.settings, hyperparameters, self.store.weights(result, epoch=epoch),
            mask_size=asked.mask_size, where=str(trial),
        )  # fmt: skip
        predictor.ask(predictor.model)  # of each image once: what a backbone makes of it is not kept
        threads = self.settings.threads_per_trial
        if self._by_graphs and (graphs := kept_graphs(self.store, result, epoch, num_threads=threads)) is not None:
            predictor.ask(graphs)
        images = hyperparameters.images
        height, width = images.decoded_sides
        layout = Layout(
            height=height, width=width, channels=asked.num_channels, image_reading=asked.reading, reader=self._reader
        )
        transform = Transform(
            layout=layout,
            sides=images.sides(images.predict_size),
            fuses=hyperparameters.model.fuse != "mean",
            varies=asked.varies,
        )
        return LoadedTrial(predictor=predictor, transform=transform, hyperparameters=hyperparameters)
