"""A run reduced to what predicts new rows: its record, the ensemble that was submitted, and the members' weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from kaggle_ray.combine.saved import SavedEnsemble
from kaggle_ray.pipeline.predicting import Models
from kaggle_ray.store.attempt import MANIFEST_FILE, WEIGHTS_FILE, attempt_key, kept_file, result_key
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.record import RunRecord
from kaggle_ray.store.run import FOLDS_FILE, READING_FILE, RUN_FILE, UNREADABLE_FILE, RunStore
from kaggle_ray.store.schema import encode, result_to_json
from kaggle_ray.types import Trial

GraphsOf = Callable[[Trial, int | None], Mapping[str, bytes]]
"""Returns the graphs of a trial's model at the end of an epoch, None being the last, by the names of their files."""


def copy_run(
    store: RunStore,
    record: RunRecord,
    ensemble: SavedEnsemble,
    models: Iterable[Models],
    folder: Path,
    *,
    graphs_of: GraphsOf | None = None,
) -> RunStore:
    """Write a run that predicts as ``store`` does below ``folder``, and return it; no predictions are in it.

    What was not committed in the checkout that the run came from stays out of it: the copy may become public.

    Args:
        store: of the run.
        record: of the run.
        ensemble: that was submitted.
        models: that it is made of.
        folder: becomes that of a run of the same name.
        graphs_of: returns the ONNX graphs to put beside a model's weights; None puts none.

    Raises:
        WeightsGoneError: a model's weights were not kept.
        CorruptBlobError: a file is not the one that was committed.
    """
    copy = open_run(folder / record.competition / record.run_id)
    blobs, kept = copy.blobs, store.blobs
    for key in (FOLDS_FILE, READING_FILE, UNREADABLE_FILE):
        if (data := kept.get(key)) is not None:
            blobs.put(key, data)
    for key in kept.list("trials/"):
        if key.endswith("/experiment.json"):
            blobs.put(key, kept.chunks(key))
    for key in kept.list("rounds/"):
        blobs.put(key, kept.chunks(key))
    epochs_of: dict[Trial, set[int | None]] = {}
    for trial, epoch in (model for of_part in models for model in of_part):
        epochs_of.setdefault(trial, set()).add(epoch)
    for trial, epochs in epochs_of.items():
        _copy_trial(store, copy, trial, epochs, graphs_of)
    key = f"ensembles/{ensemble.method}/ensemble.json"
    blobs.put(key, kept.chunks(key))
    public = replace(record, code=replace(record.code, diff=None))
    blobs.put(RUN_FILE, encode(asdict(public)))  # last: it makes a run of the folder
    return copy


def _copy_trial(
    store: RunStore, copy: RunStore, trial: Trial, epochs: Iterable[int | None], graphs_of: GraphsOf | None
) -> None:
    """Copy weights and manifest of a trial, whose result then names these, the graphs, and no other files."""
    result = store.result(trial)
    assert result is not None, "it was checked"
    graphs: dict[str, str] = {}
    names = {MANIFEST_FILE, *(kept_file(WEIGHTS_FILE, epoch) for epoch in epochs)}
    for epoch in epochs:
        copy.blobs.put(
            attempt_key(trial, result.attempt_id, kept_file(WEIGHTS_FILE, epoch)), store.weights(result, epoch=epoch)
        )
        for name, graph in (graphs_of(trial, epoch) if graphs_of else {}).items():
            copy.blobs.put(attempt_key(trial, result.attempt_id, kept_file(name, epoch)), graph)
            graphs[kept_file(name, epoch)] = hashlib.sha256(graph).hexdigest()
    manifest = attempt_key(trial, result.attempt_id, MANIFEST_FILE)
    copy.blobs.put(manifest, store.blobs.chunks(manifest))
    left = replace(result, blobs={name: digest for name, digest in result.blobs.items() if name in names} | graphs)
    copy.blobs.put(result_key(trial), encode(result_to_json(left)))
