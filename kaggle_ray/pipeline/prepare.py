"""The beginning of a run: what is to be done is written down in its store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.data.folds_csv import folds_to_csv
from kaggle_ray.pipeline.earlier_runs import earlier_run
from kaggle_ray.pipeline.own_code import remember
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pipeline.provenance import provenance
from kaggle_ray.pipeline.run_warnings import warnings_of
from kaggle_ray.reporters.events import RunWarned
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import JsonValue


def prepare(plan: RunPlan, command: Sequence[str] | None) -> tuple[RunStore, list[RunWarned]]:
    """Return the run's store, with the run written down in it, and what a person should know of it.

    Raises:
        RunMismatchError: the folder is another run's.
    """
    store, files, folds_csv = open_run(plan.location), plan.content.files, folds_to_csv(plan.folds)
    facts = _facts(plan, folds_csv, command)
    remember(plan.competition_file, default_cache_dir())
    warnings: list[RunWarned] = []
    is_new = store.record() is None and not plan.is_fast_dev
    if is_new and (earlier := earlier_run(plan.options.runs, plan.identity, files)):
        other, what = earlier.words()
        text = f"run {plan.run_id} is a new one: since run {other} something has changed: {what}"
        warnings.append(RunWarned(topic="changed_since_earlier_run", text=text))
        facts["differs_from"] = earlier.to_json()
    record = store.begin(plan.identity, facts, files)
    if asdict(record.code) != facts["code"]:
        text = f"run {plan.run_id} was started with another version of the code (see run.json)"
        warnings.append(RunWarned(topic="other_code", text=text))
    _write_down(plan, store, folds_csv)
    return store, [*warnings, *warnings_of(plan)]


def _facts(plan: RunPlan, folds_csv: str, command: Sequence[str] | None) -> dict[str, JsonValue]:
    """Return what is written into run.json beside what has to stay the same."""
    return {
        "run_id": plan.run_id,
        "classes": list(plan.competition.classes),
        "classes_of_heads": {head.name: list(head.classes) for head in plan.competition.heads},
        "table_columns": list(table.columns) if (table := plan.samples.test_table) else None,
        "metric": plan.competition.metric.name,
        "greater_is_better": plan.competition.metric.greater_is_better,
        "num_folds": plan.folds.num_folds,
        "competition_file": str(plan.competition_file),
        "data": plan.data,
        "fast_dev": plan.is_fast_dev,
        "fold_scheme": asdict(plan.competition.folds),
        "folds_csv_sha256": hashlib.sha256(folds_csv.encode()).hexdigest(),
        **provenance(command),
    }


def _write_down(plan: RunPlan, store: RunStore, folds_csv: str) -> None:
    """Save what the run's trials read, and what a person has not named since."""
    if plan.unreadable or plan.options.skip_unreadable:
        store.save_unreadable(plan.unreadable)
    if plan.near_duplicates.groups:
        store.save_near_duplicates(plan.near_duplicates.to_json())
    store.save_reading(plan.reading.to_json())
    store.save_folds_csv(folds_csv)
    for experiment in plan.experiments:
        store.save_experiment(experiment)
    known = store.labels()
    for experiment_id, label in plan.labels.items():
        if experiment_id not in known:  # what a person has said since stays
            store.label(experiment_id, name=label.name, notes=label.notes)
