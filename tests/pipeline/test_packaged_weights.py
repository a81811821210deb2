"""A run that starts from a package's weights says so, records them, and its processes find the very same."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

import kaggle_ray
from kaggle_ray.config.packaged import PACKAGED
from kaggle_ray.errors import DataError
from kaggle_ray.reporters.events import RunStarted
from kaggle_ray.reporters.jsonl import read_events
from kaggle_ray.store.diary import FileDiary
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.toy import TOY_FILE
from kaggle_ray.train.assembling import trial_data
from kaggle_ray.train.run_data import RunData
from kaggle_ray.types import JsonValue, Trial

LITE0 = PACKAGED["tf_efficientnet_lite0"]


@pytest.mark.slow
def test_the_processes_of_a_run_start_from_the_packages_weights_and_record_them(
    tmp_path: Path, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment: dict[str, JsonValue] = {
        "model": f"timm/{LITE0.model}",
        "pretrained": True,
        "image_size": 16,
        "epochs": 1,
    }
    result = kaggle_ray.run(
        TOY_FILE, experiments=[experiment], data=toy_data, runs=tmp_path, launcher="local", processes=2, reporters=[]
    )
    store, expected = open_run(result.run_dir), {LITE0.package: LITE0.sha256}
    record = store.record()
    assert record is not None
    assert record.identity.content["weights"] == expected
    started = next(
        e.event for e in read_events(FileDiary(result.run_dir / "events.jsonl")) if isinstance(e.event, RunStarted)
    )
    assert dict(started.weights) == expected
    trial = Trial(experiment_id=result.plan.experiments[0].experiment_id, fold=0)
    committed = store.result(trial)
    assert committed is not None
    assert dict(store.lineage(committed).started_from) == expected

    def not_found(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("kaggle_ray.config.packaged.distribution", not_found)
    with pytest.raises(DataError, match=rf"something has changed .*file of weights {LITE0.package}"):
        trial_data(RunData(result.plan.trial_context(), store), trial)
