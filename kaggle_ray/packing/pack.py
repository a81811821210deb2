"""The story of a package: a folder that predicts a code competition's test rows where there is no network."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.combine.saved import SavedEnsemble
from kaggle_ray.config.settings import Device
from kaggle_ray.config.sources import SourceBundle
from kaggle_ray.data.opening import load_competition, open_to_predict
from kaggle_ray.errors import ConfigError
from kaggle_ray.packing.copying import copy_run
from kaggle_ray.packing.graphs import GraphExporter
from kaggle_ray.packing.needs import needs_of
from kaggle_ray.packing.notebook import notebook_of, script_of
from kaggle_ray.packing.timing import Timing, measure
from kaggle_ray.packing.wheels import ASSUMED, Needed, download, needed, read_installed, write_own_wheel
from kaggle_ray.pipeline.own_code import competition_file
from kaggle_ray.pipeline.predicting import Models, check_models, ensemble_of, models_of_parts
from kaggle_ray.pipeline.recorded import recorded_competition
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.record import RunRecord
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Experiment


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """A package, and what is to be known of it."""

    folder: Path
    num_models: int
    num_bytes: int
    needed: Needed
    why_no_wheels: str | None
    """Why the wheels of what the notebook lacks are not in the folder; None where they are."""
    timing: Timing | None
    """Time of the test rows on this machine; None where no data were named."""
    torch_timing: Timing | None
    """Time of them by torch, without graphs; None where no data were named."""
    exporter: GraphExporter | None
    """What became of the ONNX graphs; None where none were asked for."""
    num_rows: int | None
    """Test rows that the time is of."""


def pack(
    run: str | Path,
    folder: Path,
    *,
    competition: str | Path | None = None,
    data: str | Path | None = None,
    refit: bool = False,
    onnx: bool = False,
    slug: str | None = None,
    installed: Path | None = None,
    python: str | None = None,
    num_rows: int | None = None,
    device: Device | None = None,
) -> Packed:
    """Write a package of a run's submission into an empty folder.

    Args:
        run: the run's folder, or its ``s3://`` URI.
        folder: that is written; its name is that of the dataset on Kaggle.
        competition: the competition's name or file, where you have not run it on this machine.
        data: the competition's files, of whose test rows a few are predicted for the estimate of time; None: no
            estimate.
        refit: pack the models of all rows, of a run with ``refit``, instead of those of the folds.
        onnx: pack ONNX graphs of the models, too, which predict where there is no GPU.
        slug: name of the competition on Kaggle; None: that of the run's, with dashes.
        installed: file with what ``pip freeze`` prints in the notebook; None: ``wheels.ASSUMED``.
        python: version of the notebook's Python; None: this one's.
        num_rows: rows of the hidden test set, for the estimate; None: those that the data have.
        device: that the estimate is of; None: the run's.

    Raises:
        ConfigError: the folder is not empty, or the competition's code is not known to be yours.
        StoreError: the run has no ensemble.
        WeightsGoneError: a model's weights were not kept: what to do is said.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder}: is not empty. Name a new folder.")
    what = _what_predicts(run, competition, refit=refit, is_timed=data is not None)
    declared, _ = load_competition(what.file)
    extras, others = needs_of(what.file, declared.reader, what.experiments)

    exporter = GraphExporter(run, what.file) if onnx else None
    copy = copy_run(what.store, what.record, what.ensemble, what.models, folder / "run", graphs_of=exporter)
    uses_graphs = exporter is not None and exporter.num_exported > 0
    packed_file = _write_sources(what.file, folder / "competition")
    extras |= {"onnxruntime"} if uses_graphs else set()
    needs, why_no_wheels = _write_wheels(extras, others, folder, installed=installed, python=python)
    _write_notebook(folder, what.record, file=packed_file.name, slug=slug, refit=refit, onnx=uses_graphs)
    timing = torch_timing = None
    if data is not None:
        _, samples = open_to_predict(declared, Path(data))
        time_of = partial(measure, Path(copy.location), samples, competition=what.file, refit=refit)
        timing = torch_timing = time_of(device="cpu" if uses_graphs else device)
        if uses_graphs:
            timing = time_of(device="cpu", onnx=True)
        num_rows = num_rows or len(samples.test_ids)
    return Packed(
        folder=folder,
        num_models=sum(map(len, what.models)),
        num_bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        needed=needs,
        why_no_wheels=why_no_wheels,
        timing=timing,
        torch_timing=torch_timing,
        exporter=exporter,
        num_rows=num_rows,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _WhatPredicts:
    """What of a run predicts its submission."""

    store: RunStore
    record: RunRecord
    ensemble: SavedEnsemble
    models: Sequence[Models]
    """Models of each part of the ensemble."""
    experiments: Sequence[Experiment]
    """Experiments of these parts."""
    file: Path
    """The competition's file."""


def _what_predicts(run: str | Path, competition: str | Path | None, *, refit: bool, is_timed: bool) -> _WhatPredicts:
    """Return what of a run predicts, once it was seen that all of it is there."""
    store = open_run(run)
    record = store.known_record()
    experiments = {experiment.experiment_id: experiment for experiment in store.experiments()}
    ensemble = ensemble_of(store, record, experiments)
    models = models_of_parts(ensemble.weighted_members, experiments, refit=refit)
    check_models(store, record, models.values(), refit=refit)
    if is_timed:
        recorded_competition(store, record)  # what cannot be timed is refused before anything is written
    return _WhatPredicts(
        store=store,
        record=record,
        ensemble=ensemble,
        models=list(models.values()),
        experiments=[experiments[part.experiment_id] for part in models],
        file=competition_file(store, record, competition, cache_dir=default_cache_dir()),
    )


def _write_notebook(folder: Path, record: RunRecord, *, file: str, slug: str | None, refit: bool, onnx: bool) -> None:
    """Write what predicts with the package: a notebook, and the same as a script."""
    script = script_of(
        competition=record.competition,
        run_id=record.run_id,
        file=file,
        dataset=folder.name,
        slug=slug or record.competition.replace("_", "-"),
        refit=refit,
        onnx=onnx,
    )
    (folder / "inference.py").write_text(script)
    (folder / "inference.ipynb").write_text(notebook_of(script))


def _write_sources(file: Path, folder: Path) -> Path:
    """Copy a competition's file and what it imports beside itself; return the copy of the file."""
    contents = SourceBundle.of(file).contents
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder / next(iter(contents))


def _write_wheels(
    extras: set[str], others: set[str], folder: Path, *, installed: Path | None, python: str | None
) -> tuple[Needed, str | None]:
    """Write the wheels that the notebook lacks; return what is needed, and why some are not there."""
    wheels = folder / "wheels"
    wheels.mkdir()
    write_own_wheel(wheels)
    has = ASSUMED if installed is None else read_installed(installed)
    needs = needed(extras, has, others=others)
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in needs.requirements))
    return needs, download(needs.lacking, wheels, python=python or ".".join(platform.python_version_tuple()[:2]))
