"""What the models of a run predict of a person's own images, before any decision is made of it.

Shape legend: N images, n of a batch, C columns of a prediction, K classes, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kaggle_ray.combine.combiner import Fitted, WeightedMean
from kaggle_ray.combine.fits import with_table
from kaggle_ray.config.settings import Device
from kaggle_ray.data.head import place_heads
from kaggle_ray.errors import DataError
from kaggle_ray.images.cache import Images
from kaggle_ray.images.threads import map_in_threads
from kaggle_ray.images.transform import Image, Transform, views_of_image
from kaggle_ray.pipeline.own_inputs import check_listed, numbers_of, warn_of_altered
from kaggle_ray.pipeline.predicting import (
    alone,
    at_epoch,
    check_epoch_named,
    check_graphs,
    check_models,
    ensemble_of,
    models_of_parts,
)
from kaggle_ray.pipeline.recorded import RecordedCompetition, load_own_rules
from kaggle_ray.pipeline.trained import LoadedTrial, OpenedRun
from kaggle_ray.pool.gather import mean_of
from kaggle_ray.pool.members import Member, MemberPart
from kaggle_ray.rows import Rows
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.train.inputs import Inputs
from kaggle_ray.train.process import unprepared_after
from kaggle_ray.types import FloatArray

if TYPE_CHECKING:
    import pandas as pd


def predict_proba(
    run: str | Path,
    images: Sequence[Image],
    *,
    experiment: str | None = None,
    epoch: int | None = None,
    table: pd.DataFrame | None = None,
    refit: bool = False,
    competition: str | Path | None = None,
    device: Device | None = None,
    onnx: bool = False,
    batch_size: int = 64,
) -> dict[str, FloatArray]:
    """Return what a run's ensemble, or one of its experiments, predicts of your own images, before any decision.

    >>> import kaggle_ray, numpy as np
    >>> tiny = {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}, "image_size": 8, "epochs": 1}
    >>> result = kaggle_ray.run("digits", experiments=[tiny], launcher="local", reporters=[])
    >>> probabilities = kaggle_ray.predict_proba(result.run_dir, [np.zeros((20, 20, 3), dtype=np.uint8)])
    >>> {name: values.shape for name, values in probabilities.items()}
    {'target': (1, 10)}

    Each head has (N, K) float32: the probabilities of its classes in their order, both where there are two, and of
    labels each its own; or (N, 1) numbers. Masks are (N, H, W), the probability of the foreground, or with several
    classes (N, K, H, W).

    Args:
        run: the run's folder, or its ``s3://`` URI.
        images: files, or arrays (H, W, C) of uint8 or uint16, red first, or what the competition's reader returns of a
            file; several to a sample where the run had several.
        experiment: name or id of an experiment, whose folds' mean predicts; None: the ensemble that was submitted.
        epoch: whose weights predict, one of ``keep_epochs``, of an experiment that is named; None: those that the run
            predicted by.
        table: numbers that come with the images, where the run had some: a row for each image, in their order.
        refit: predict by the models of all rows, of a run with ``refit``.
        competition: the competition's name or file, where a model or the reader of the files is declared there and you
            have not run it on this machine.
        device: ``cpu`` or ``cuda``; None: the run's.
        onnx: predict on the CPU by the ONNX graphs of a package; models that it has none of predict as ever.
        batch_size: number of samples that are decoded at once.

    Raises:
        KaggleRayError: what, where, and the next step.
    """
    opened = OpenedRun(run, competition=competition, device=device, by_graphs=onnx)
    check_listed(images, batch_size, num_channels=opened.asked.num_channels)
    numbers = numbers_of(table, opened.asked.table_columns, num_rows=len(images), where=opened.store.location)
    check_epoch_named(experiment, epoch)
    members, combine = _ensemble(opened, competition) if experiment is None else _alone(opened, experiment)
    models = at_epoch(opened.store, models_of_parts(members, opened.experiments, refit=refit), epoch)
    check_models(opened.store, opened.record, models.values(), refit=refit)
    if onnx:
        check_graphs(opened.store, models.values(), opened.settings)
    with unprepared_after():
        loaded = {part: [opened.load(*model) for model in of_part] for part, of_part in models.items()}
        warn_of_altered(images, numbers, opened.asked, [each.predictor for of in loaded.values() for each in of])
        batches = _batches(images, numbers, batch_size, varies=opened.asked.varies)
        blocks = [_predicted(batch, members, combine, loaded) for batch in batches]
    return _by_head(np.concatenate(blocks), opened.asked)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Batch:
    """Some samples, decoded once for all models that decode to the same size."""

    samples: Sequence[Image]
    numbers: FloatArray | None
    varies: bool
    """Whether the run had samples of different numbers of images."""
    decoded: dict[tuple[int, int], Inputs] = field(default_factory=dict)

    def inputs(self, transform: Transform) -> Inputs:
        sides = transform.layout.height, transform.layout.width
        if sides not in self.decoded:
            views = [views_of_image(sample) for sample in self.samples]
            if len({len(each) for each in views}) > 1 and not self.varies:
                raise DataError("images: expected as many for each sample, as the run had.")
            pixels = map_in_threads(transform.pixels, [image for of_sample in views for image in of_sample])
            counts = np.array([len(of_sample) for of_sample in views], dtype=np.int64) * len(pixels[0])
            if len(depths := {each.dtype for each in pixels}) > 1:
                raise DataError(f"images: expected all of one depth, got {' and '.join(sorted(map(str, depths)))}.")
            self.decoded[sides] = Inputs(
                images=Images.of_array(np.concatenate(pixels)),
                num_views=int(counts.max()),
                counts=counts if self.varies else None,
                table=self.numbers,
            )
        transform.check_several(self.decoded[sides].num_views)
        return self.decoded[sides]


def _batches(images: Sequence[Image], numbers: FloatArray | None, batch_size: int, *, varies: bool) -> Iterator[_Batch]:
    for start in range(0, len(images), batch_size):
        rows = slice(start, start + batch_size)
        yield _Batch(samples=images[rows], numbers=None if numbers is None else numbers[rows], varies=varies)


def _ensemble(opened: OpenedRun, competition: str | Path | None) -> tuple[Sequence[Member], Fitted]:
    ensemble = ensemble_of(opened.store, opened.record, opened.experiments)
    load_own_rules(opened.store, opened.record, competition, combines=True)
    return ensemble.weighted_members, ensemble.combine()


def _alone(opened: OpenedRun, name: str) -> tuple[Sequence[Member], Fitted]:
    """Return an experiment as the only member, and what combines it with none."""
    member = alone(opened.store, opened.record, name)
    return [member], WeightedMean(weights={member.member_id: 1.0})


def _predicted(
    batch: _Batch, members: Sequence[Member], combine: Fitted, models: dict[MemberPart, list[LoadedTrial]]
) -> FloatArray:
    """Return (n, C) what the members together predict of a batch."""
    rows = np.arange(len(batch.samples))

    def values_of(part: MemberPart) -> Rows:
        return mean_of([float_rows(each.predictor.values(batch.inputs(each.transform), rows)) for each in models[part]])

    of_members = {member.member_id: mean_of([values_of(part) for part in member.parts]) for member in members}
    return np.asarray(combine.predict(with_table(of_members, batch.numbers))[:], dtype=np.float32)


def _by_head(values_NC: FloatArray, asked: RecordedCompetition) -> dict[str, FloatArray]:
    found: dict[str, FloatArray] = {}
    if asked.mask_size is not None:
        (head,) = asked.heads
        masks_NKHW = values_NC.reshape(len(values_NC), -1, *asked.mask_size)
        return {head.name: masks_NKHW[:, 0] if masks_NKHW.shape[1] == 1 else masks_NKHW}
    for place in place_heads(asked.heads):
        of_head = values_NC[:, place.outputs]
        found[place.head.name] = np.hstack([1 - of_head, of_head]) if place.head.task == "binary" else of_head
    return found
