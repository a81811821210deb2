"""The story of new test data: predicted without training, by the weights that a run kept, to a checked submission."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.combine.saved import SavedEnsemble, chosen_ensemble
from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.config.settings import Machine, Settings
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.folds_csv import ids_by_fold
from kaggle_ray.data.opening import open_to_predict
from kaggle_ray.data.reading import Reading
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.staging import stage_data
from kaggle_ray.errors import ConfigError, DataError, JsonShapeError, StoreError
from kaggle_ray.images.sizes import with_test_sizes
from kaggle_ray.images.unreadable import unreadable_files, without_unreadable
from kaggle_ray.pipeline.options import MachineOptions, PredictOptions
from kaggle_ray.pipeline.own_code import competition_of
from kaggle_ray.pool.gather import mean_of
from kaggle_ray.pool.ledger import check_place
from kaggle_ray.pool.members import MemberPart, full_model
from kaggle_ray.rows import Rows
from kaggle_ray.store.arrays import npy_chunks
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.store.record import RunRecord
from kaggle_ray.store.run import RUN_FILE, RunStore
from kaggle_ray.submission.submit import checked_draft
from kaggle_ray.types import Experiment, StoredValues, Trial

if TYPE_CHECKING:
    from kaggle_ray.train.reload import TestRows

logger = logging.getLogger(__name__)


def predict_new(options: PredictOptions) -> Path:
    """Predict new test rows by a run's ensemble, and write the checked submission; nothing of the run changes.

    Raises:
        StoreError: the run has no ensemble, or not the weights that are needed.
        LeakError: a trial of the run is not of the rows that it stands for.
        ConfigError: none of the user's own competitions is the run's, and none was named.
        DataError: the files are missing, or have other classes or columns than those of the run.
        SubmissionError: the predictions are not what the data's sample submission asks for.
    """
    store = open_run(options.run)
    record = store.known_record()
    ensemble = chosen_ensemble(store)
    if ensemble is None:
        raise StoreError(
            f"{options.run}: has no ensemble yet. Run the command of {RUN_FILE} again to finish it, or with "
            f"--budget 0s to ensemble what is complete."
        )
    declared = competition_of(store, record, options.competition, cache_dir=default_cache_dir())
    settings = _settings(record, options)
    # What is staged stays in the cache for as long as this is held.
    staged = stage_data(options.data, cache_dir=default_cache_dir())
    competition, samples = _open(store, record, declared, staged.folder, skip_unreadable=options.skip_unreadable)
    experiments = {experiment.experiment_id: experiment for experiment in store.experiments()}
    _check_members(ensemble, experiments, record.num_folds, where=store.location)
    models = {
        part: _models(part, experiments, refit=options.refit)
        for member in ensemble.weighted_members
        for part in member.parts
    }
    _check_models(store, record, [trial for of_part in models.values() for trial, _ in of_part], refit=options.refit)
    from kaggle_ray.train.reload import TestRows

    rows = TestRows(competition, samples, settings, default_cache_dir())
    with tempfile.TemporaryDirectory(prefix="kaggle_ray_") as folder:
        predictions = {
            member.member_id: _mean(
                [
                    _predict_part(store, models[part], experiments[part.experiment_id], rows, Path(folder))
                    for part in member.parts
                ]
            )
            for member in ensemble.weighted_members
        }
        blended = ensemble.combine().predict(predictions)
        decision = ensemble.decide(competition.metric, competition.num_columns)
        with checked_draft(blended, decision, competition, samples.test_ids, staged.folder) as draft:
            return _copied(draft, Path(options.out))


def _settings(record: RunRecord, options: MachineOptions) -> Settings:
    """Return the run's settings in one process, or where another device is named this machine's defaults of it."""
    machine, of_run = Machine.here(), record.settings
    device, threads, dtype = options.device, options.threads, options.dtype
    if (device or of_run.device) == "cuda" and not machine.num_gpus:
        raise ConfigError("the run predicted on a GPU, and none is visible here. Name another device: --device cpu.")
    if device not in (None, of_run.device):
        return machine.settings(device=device, threads=threads, dtype=dtype)
    return dataclasses.replace(
        of_run,
        threads_per_trial=threads or of_run.threads_per_trial,
        dtype=dtype or of_run.dtype,
        world_size=1,
        compile=False,
        loader_workers=0,
    )


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
    bad_in_run = {data_dir / name for name in store.unreadable()}
    suspects = test_files if skip_unreadable else tuple(path for path in test_files if path in bad_in_run)
    unreadable = unreadable_files(suspects, channels=competition.channels, image_reading=reading.images)
    if unreadable:
        names = ", ".join(str(path.relative_to(data_dir)) for path in list(unreadable)[:5])
        logger.warning("%d test files cannot be read, and are predicted from a grey image: %s", len(unreadable), names)
    return competition, without_unreadable(
        samples,
        unreadable,
        channels=competition.channels,
        image_reading=reading.images,
        cache_dir=default_cache_dir(),
    )


def _check_same(what: str, of_run: object, of_data: object, data_dir: Path) -> None:
    if of_run != of_data:
        raise DataError(
            f"{data_dir}: expected the run's {what}, {_brief(of_run)}, got {_brief(of_data)}. "
            f"The folder needs the training files of the run, too, where they tell what there is to predict."
        )


def _brief(value: object) -> str:
    text = "none" if value is None else repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _check_members(ensemble: SavedEnsemble, known: Collection[str], num_folds: int, *, where: str) -> None:
    """Raise JsonShapeError where an ensemble is not made of the run's experiments, ``known`` by id, and folds."""
    parts = [part for member in ensemble.weighted_members for part in member.parts]
    if not parts or not all(part.experiment_id in known and len(part.epochs) == num_folds for part in parts):
        raise JsonShapeError(f"{where}: the ensemble {ensemble.method!r} is not made of what the run has trained.")


def _models(part: MemberPart, experiments: Mapping[str, Experiment], *, refit: bool) -> list[tuple[Trial, int | None]]:
    """Return the trials that a part's models are of, and which of their epochs predict."""
    if refit:
        return [full_model(part, experiments[part.experiment_id])]
    return [(Trial(experiment_id=part.experiment_id, fold=fold), epoch) for fold, epoch in enumerate(part.epochs)]


def _check_models(store: RunStore, record: RunRecord, trials: Sequence[Trial], *, refit: bool) -> None:
    """Look, before anything is predicted, whether the trials are those of the run: files can be copied anywhere.

    Raises:
        StoreError: a trial is not committed, or its files are not as they were committed.
        LeakError: a trial was made with another fold plan, or is that of other rows.
    """
    of_folds = ids_by_fold(store.folds_csv() or "")
    for trial in trials:
        result = store.result(trial)
        if result is None or result.status != "committed":
            again = "Run the same command again with --refit" if refit else "Run the same command again to finish it"
            raise StoreError(f"{store.location}: {trial} is not committed. {again}.")
        store.check(result)
        check_place(
            trial,
            store.lineage(result),
            scored_ids=store.scored_ids(result),
            expected_ids=of_folds.get(trial.fold, np.array([], dtype=np.str_)),
            folds_digest=record.folds_digest,
        )


def _predict_part(
    store: RunStore,
    models: Sequence[tuple[Trial, int | None]],
    experiment: Experiment,
    rows: TestRows,
    folder: Path,
) -> Rows:
    """Return (T, C) the mean over a part's models, which are on the disk one after the other."""
    hyperparameters = parse_hyperparameters(experiment.hyperparameters, where=experiment.name)
    found: list[Rows] = []
    for trial, epoch in models:
        result = store.result(trial)
        assert result is not None, "it was checked"
        logger.info("%s predicts", trial)
        blocks = rows.predict(hyperparameters, store.weights(result, epoch=epoch), where=str(trial))
        file = folder / f"{len(list(folder.iterdir()))}.npy"
        found.append(float_rows(_saved(file, blocks, num_rows=rows.num_rows)))
    return _mean(found)


def _mean(parts: list[Rows]) -> Rows:
    return parts[0] if len(parts) == 1 else mean_of(parts)


def _saved(file: Path, blocks: Iterator[StoredValues], *, num_rows: int) -> StoredValues:
    """Write predictions as they come; return a memory map of them."""
    with file.open("wb") as opened:
        opened.writelines(npy_chunks(blocks, num_rows=num_rows))
    values: StoredValues = np.load(file, mmap_mode="r", allow_pickle=False)
    return values


def _copied(draft: Path, out: Path) -> Path:
    """Replace ``out`` as a whole."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
        shutil.copyfile(draft, partial)
        os.replace(partial, out)
    except OSError as error:
        raise StoreError(f"{out}: cannot be written: {error}. Name another file with --out.") from error
    return out
