"""The story of new test data: predicted without training, by the weights that a run kept, to a checked submission."""

from __future__ import annotations

import dataclasses
import logging
import os
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.combine.fits import with_table
from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.counted import counted
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.opening import open_to_predict
from kaggle_ray.data.reading import ImageReading, Reading
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.staging import stage_data
from kaggle_ray.data.table import remarks_on_cut, remarks_on_missing
from kaggle_ray.errors import DataError, StoreError
from kaggle_ray.images.facts import image_facts
from kaggle_ray.images.readers import reader_of
from kaggle_ray.images.reading import not_read_whole
from kaggle_ray.images.sizes import with_test_sizes
from kaggle_ray.images.unreadable import unreadable_files, without_unreadable
from kaggle_ray.pipeline.options import PredictOptions
from kaggle_ray.pipeline.own_code import competition_of
from kaggle_ray.pipeline.predicting import (
    alone,
    at_epoch,
    check_epoch_named,
    check_graphs,
    check_models,
    ensemble_of,
    ensemble_of_one,
    models_of_parts,
    settings_here,
)
from kaggle_ray.pool.gather import mean_of
from kaggle_ray.rows import Rows
from kaggle_ray.store.arrays import npy_chunks
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.store.record import RunRecord
from kaggle_ray.store.run import RunStore
from kaggle_ray.submission.packed import copy_submission
from kaggle_ray.submission.submit import checked_draft
from kaggle_ray.types import BoolArray, Experiment, StoredValues, Trial

if TYPE_CHECKING:
    from kaggle_ray.train.reload import TestRows

logger = logging.getLogger(__name__)


def predict_new(options: PredictOptions) -> Path:
    """Predict new test rows by a run's ensemble or experiment, and write the checked submission; no run is changed.

    Raises:
        StoreError: the run has no ensemble, or not the weights that are needed.
        LeakError: a trial of the run is not of the rows that it stands for.
        ConfigError: none of the user's own competitions is the run's, and none was named; or an epoch was not kept.
        DataError: the files are missing, or have other classes or columns than those of the run.
        SubmissionError: the predictions are not what the data's sample submission asks for.
    """
    check_epoch_named(options.experiment, options.epoch)
    store = open_run(options.run)
    record = store.known_record()
    experiments = {experiment.experiment_id: experiment for experiment in store.experiments()}
    ensemble = ensemble_of(store, record, experiments)
    declared = competition_of(store, record, options.competition, cache_dir=default_cache_dir())
    settings = settings_here(record, options)
    # What is staged stays in the cache for as long as this is held.
    staged = stage_data(options.data, cache_dir=default_cache_dir())
    competition, samples = _open(store, record, declared, staged.folder, skip_unreadable=options.skip_unreadable)
    if options.experiment is not None:
        member = alone(store, record, options.experiment)
        ensemble = ensemble_of_one(ensemble, member, competition.metric, competition.num_columns)
    of_parts = models_of_parts(ensemble.weighted_members, experiments, refit=options.refit)
    models = at_epoch(store, of_parts, options.epoch)
    check_models(store, record, models.values(), refit=options.refit)
    threads = settings.threads_per_trial if options.onnx else 0
    if options.onnx:
        check_graphs(store, models.values(), settings)
    from kaggle_ray.train.reload import TestRows

    rows = TestRows(competition, samples, settings, default_cache_dir())
    with tempfile.TemporaryDirectory(prefix="kaggle_ray_") as folder:
        predictions = {
            member.member_id: mean_of(
                [
                    _predict_part(
                        store, models[part], experiments[part.experiment_id], rows, Path(folder), threads=threads
                    )
                    for part in member.parts
                ]
            )
            for member in ensemble.weighted_members
        }
        table = samples.test_table
        _warn_of_table(samples, rows.cut_cells)
        blended = ensemble.combine().predict(with_table(predictions, None if table is None else table.values))
        decision = ensemble.decide(competition.metric, competition.num_columns)
        with checked_draft(blended, decision, competition, samples.test_ids, staged.folder) as draft:
            return _copied(draft, Path(options.out))


def _open(
    store: RunStore, record: RunRecord, declared: Competition, data_dir: Path, *, skip_unreadable: bool
) -> tuple[Competition, Samples]:
    """Return the run's competition with the rows of ``data_dir``.

    Raises:
        DataError: they have other classes or columns than those of the run.
    """
    competition, samples = open_to_predict(declared, data_dir)
    reading = Reading.recorded(store.reading(), where=store.location)
    competition = dataclasses.replace(competition, reading=reading)
    competition = with_test_sizes(competition, samples, default_cache_dir())
    classes = {head.name: head.classes for head in competition.heads}
    columns = None if samples.test_table is None else samples.test_table.columns
    _check_same("classes", record.classes_of_heads, classes, data_dir)
    _check_same("columns of the table", record.table_columns, columns, data_dir)
    test_files = samples.test_files
    if competition.reader is None:
        facts = image_facts(test_files, channels=competition.channels, cache_dir=default_cache_dir())
        for remark in not_read_whole(
            reading.images or ImageReading(), ((path.name, each) for path, each in facts.items())
        ):
            logger.warning("%s", remark)
    bad_in_run = {data_dir / name for name in store.unreadable()}
    suspects = test_files if skip_unreadable else tuple(path for path in test_files if path in bad_in_run)
    unreadable = unreadable_files(
        suspects, channels=competition.channels, image_reading=reading.images, reader=reader_of(competition)
    )
    if unreadable:
        names = ", ".join(str(path.relative_to(data_dir)) for path in list(unreadable)[:5])
        files = counted(len(unreadable), "test file")
        logger.warning("%s cannot be read, and a grey image is predicted instead: %s", files, names)
    return competition, without_unreadable(competition, samples, unreadable, default_cache_dir())


def _warn_of_table(samples: Samples, cut_cells: BoolArray | None) -> None:
    """Tell what of the rows' table the models have not seen the like of, and take for something else."""
    train, test, names = samples.train_table, samples.test_table, samples.test_ids.tolist()
    if test is None:
        return
    remarks = [] if cut_cells is None else remarks_on_cut(test.columns, test.values, cut_cells, names)
    remarks += [] if train is None else remarks_on_missing(train, test, names)
    for remark in remarks:
        logger.warning("%s", remark)


def _check_same(what: str, of_run: object, of_data: object, data_dir: Path) -> None:
    if of_run != of_data:
        raise DataError(
            f"{data_dir}: expected the run's {what}, {_brief(of_run)}, got {_brief(of_data)}. "
            f"The folder needs the training files of the run, too, where they tell what there is to predict."
        )


def _brief(value: object) -> str:
    text = "none" if value is None else repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _predict_part(
    store: RunStore,
    models: Sequence[tuple[Trial, int | None]],
    experiment: Experiment,
    rows: TestRows,
    folder: Path,
    *,
    threads: int,
) -> Rows:
    """Return (T, C) the mean over a part's models, which are on the disk one after the other.

    ``threads`` compute ONNX graphs, where models have them; 0 asks the models themselves.
    """
    from kaggle_ray.train.graphs import kept_graphs

    hyperparameters = parse_hyperparameters(experiment.hyperparameters, where=experiment.name)
    found: list[Rows] = []
    for trial, epoch in models:
        result = store.result(trial)
        assert result is not None, "it was checked"
        logger.info("%s predicts", trial)
        graphs = kept_graphs(store, result, epoch, num_threads=threads) if threads else None
        blocks = rows.predict(hyperparameters, store.weights(result, epoch=epoch), network=graphs, where=str(trial))
        file = folder / f"{len(list(folder.iterdir()))}.npy"
        found.append(float_rows(_saved(file, blocks, num_rows=rows.num_rows)))
    return mean_of(found)


def _saved(file: Path, blocks: Iterator[StoredValues], *, num_rows: int) -> StoredValues:
    """Write predictions as they come; return a memory map of them."""
    with file.open("wb") as opened:
        opened.writelines(npy_chunks(blocks, num_rows=num_rows))
    values: StoredValues = np.load(file, mmap_mode="r", allow_pickle=False)
    return values


def _copied(draft: Path, out: Path) -> Path:
    """Replace ``out`` as a whole, packed where its name says so."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = out.with_name(f".{uuid.uuid4().hex[:8]}-{out.name}")
        copy_submission(draft, partial, name=out.name)
        os.replace(partial, out)
    except OSError as error:
        raise StoreError(f"{out}: cannot be written: {error}. Name another file with --out.") from error
    return out
