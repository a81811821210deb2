"""What is not predicted: a run that lacks something, or was edited, and files that are not those of the run."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import kaggle_ray
from kaggle_ray.errors import CorruptBlobError, DataError, LeakError, StoreError, WeightsGoneError
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.tasks import ToyTask, toy_of
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import JsonValue, Trial

BASE = {**TINY, "epochs": 6, "lr": 2e-2, "schedule": "constant"}


def run(folder: Path, data: Path, *experiments: Mapping[str, JsonValue], **options: Any) -> RunResult:
    return kaggle_ray.run(
        TOY_FILE, experiments=experiments, data=data, runs=folder, launcher="local", reporters=[], device="cpu",
        **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> RunResult:
    return run(tmp_path_factory.mktemp("inference"), toy_data, BASE, {**BASE, "lr": 5e-3})


def test_a_folder_that_is_no_run_is_named(tmp_path: Path, toy_data: Path) -> None:
    with pytest.raises(StoreError, match=r"is no run: it has no run\.json"):
        kaggle_ray.predict(tmp_path, data=toy_data)


def test_a_run_without_an_ensemble_says_how_to_get_one(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, BASE, budget="0s")
    with pytest.raises(StoreError, match=r"has no ensemble yet.*--budget 0s"):
        kaggle_ray.predict(result.run_dir, data=toy_data, out=tmp_path / "x.csv")


def test_weights_that_are_gone_are_named(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, BASE)
    trial = Trial(experiment_id=result.plan.experiments[0].experiment_id, fold=1)
    committed = open_run(result.run_dir).result(trial)
    assert committed is not None
    open_run(result.run_dir).remove_weights(committed, keep=())
    with pytest.raises(WeightsGoneError, match=r"fold1.*weights are gone.*Remove .*fold1 and run"):
        kaggle_ray.predict(result.run_dir, data=toy_data, out=tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def copied(run_dir: Path, to: Path) -> Path:
    shutil.copytree(run_dir, to)
    return to


def put_in_place_of(trial: Path, other: Path) -> None:
    shutil.rmtree(trial)
    shutil.copytree(other, trial)


def test_a_trial_that_another_was_copied_over_is_not_predicted_with(
    finished: RunResult, toy_data: Path, tmp_path: Path
) -> None:
    ids = [experiment.experiment_id for experiment in finished.plan.experiments]
    for trial, other in ((f"{ids[0]}/fold0", f"{ids[0]}/fold1"), (f"{ids[0]}/fold1", f"{ids[1]}/fold1")):
        trials = copied(finished.run_dir, tmp_path / trial) / "trials"
        put_in_place_of(trials / trial, trials / other)
        with pytest.raises(CorruptBlobError, match=rf"{trial}/result\.json: is the result of trial {other}\."):
            kaggle_ray.predict(trials.parent, data=toy_data, out=tmp_path / "x.csv")
        result = json.loads((trials / trial / "result.json").read_text())
        experiment_id, _, fold = trial.partition("/fold")
        result["trial"] = {"experiment_id": experiment_id, "fold": int(fold)}
        del result["sha256"]
        (trials / trial / "result.json").write_text(json.dumps(result))
        with pytest.raises(CorruptBlobError, match=rf"manifest\.json: expected trial {trial}, got {other}"):
            kaggle_ray.predict(trials.parent, data=toy_data, out=tmp_path / "x.csv")
        manifest_of_before(trials / trial)
        if other.startswith(ids[0]):
            with pytest.raises(LeakError, match=rf"{trial}: \d+ rows are not predicted"):
                kaggle_ray.predict(trials.parent, data=toy_data, out=tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def manifest_of_before(trial: Path) -> None:
    """Change a trial to one of before manifests named theirs, with digests that are right."""
    (path,) = trial.glob("attempts/*/manifest.json")
    manifest = json.loads(path.read_text())
    del manifest["trial"]
    path.write_text(json.dumps(manifest))
    result = json.loads((trial / "result.json").read_text())
    result["blobs"]["manifest.json"] = hashlib.sha256(path.read_bytes()).hexdigest()
    result.pop("sha256", None)
    (trial / "result.json").write_text(json.dumps(result))


def test_weights_of_another_run_are_not_predicted_with(finished: RunResult, toy_data: Path, tmp_path: Path) -> None:
    other = run(tmp_path / "other", toy_data, {**BASE, "seed": 5})
    run_dir = copied(finished.run_dir, tmp_path / "copy")
    weights = next(other.run_dir.glob("trials/*/fold0/attempts/*/weights.safetensors"))
    for path in run_dir.glob("trials/*/fold0/attempts/*/weights.safetensors"):
        shutil.copyfile(weights, path)
    with pytest.raises(CorruptBlobError, match=r"fold0/.*weights\.safetensors: expected sha256"):
        kaggle_ray.predict(run_dir, data=toy_data, out=tmp_path / "x.csv")


def test_an_ensemble_that_was_changed_is_not_predicted_with_and_made_anew_by_the_run(
    toy_data: Path, tmp_path: Path
) -> None:
    hyperparameter_sets = [BASE, {**BASE, "lr": 5e-3}]
    finished = run(tmp_path / "runs", toy_data, *hyperparameter_sets, ensemble="mean")
    path = finished.run_dir / "ensembles/mean/ensemble.json"
    text = path.read_text()
    path.write_text(text.replace("0.5", "0.6"))
    with pytest.raises(CorruptBlobError, match=r"mean/ensemble\.json: expected sha256 .* the ensemble is made anew"):
        kaggle_ray.predict(finished.run_dir, data=toy_data, out=tmp_path / "x.csv")
    run(tmp_path / "runs", toy_data, *hyperparameter_sets, ensemble="mean")
    assert path.read_text() == text
    described = json.loads(text)
    del described["sha256"]
    path.write_text(json.dumps(described))
    out = kaggle_ray.predict(finished.run_dir, data=toy_data, out=tmp_path / "x.csv")
    assert out.read_bytes() == finished.submission.read_bytes(), "one of before it had a digest"


OTHER_FILES = """
import dataclasses
from kaggle_ray import Head, Table
from kaggle_ray.testing.tasks import toy_of

TOY = toy_of("{task}")


def resolve(competition, folder):
    words = (folder / "words.txt").read_text().split()
    return dataclasses.replace(competition, {resolved})


def read(folder):
    samples = TOY.read(folder)
    words = (folder / "words.txt").read_text().split()
    return {samples}


COMPETITION = dataclasses.replace(TOY, resolve=resolve, read=read)
"""
CLASSES_OF_FILES = OTHER_FILES.format(
    task="multilabel",
    resolved="heads=(dataclasses.replace(TOY.heads[0], classes=tuple(words)),)",
    samples="samples",
)
COLUMNS_OF_FILES = OTHER_FILES.format(
    task="table",
    resolved="heads=TOY.heads",
    samples="dataclasses.replace(samples, train_table=dataclasses.replace(samples.train_table, columns=tuple(words)), "
    "test_table=dataclasses.replace(samples.test_table, columns=tuple(words)))",
)


@pytest.mark.parametrize(
    ("text", "words", "other", "message"),
    [
        (CLASSES_OF_FILES, "bright striped", "striped bright", r"expected the run's classes, .*'bright', 'striped'"),
        (COLUMNS_OF_FILES, "light striped", "light spotted", r"the run's columns of the table, .*got .*'spotted'"),
    ],
    ids=["classes", "columns"],
)
def test_files_that_tell_other_classes_or_columns_are_refused(
    text: str, words: str, other: str, message: str, tmp_path: Path
) -> None:
    file, data = tmp_path / "toy_files.py", tmp_path / "data"
    file.write_text(text)
    task: ToyTask = "multilabel" if "multilabel" in text else "table"
    prepare = toy_of(task).prepare
    assert prepare is not None
    data.mkdir()
    prepare(data)
    (data / "words.txt").write_text(words)
    result = kaggle_ray.run(
        file, overrides={"epochs": 1}, data=data, runs=tmp_path / "runs", launcher="local", reporters=[], device="cpu"
    )
    new = tmp_path / "new"
    shutil.copytree(data, new)
    assert kaggle_ray.predict(result.run_dir, data=new, out=tmp_path / "same.csv").exists()
    (new / "words.txt").write_text(other)
    with pytest.raises(DataError, match=message):
        kaggle_ray.predict(result.run_dir, data=new, out=tmp_path / "x.csv")


def test_weights_of_another_architecture_are_refused(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path / "runs", toy_data, BASE)
    folder = tmp_path / "edited"
    shutil.copytree(result.run_dir, folder)
    record = json.loads((folder / "run.json").read_text())
    record["experiments"][0]["hyperparameters"]["model_args"]["width"] = 8
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="its weights do not fit small_resnet"):
        kaggle_ray.predict(folder, data=toy_data, out=tmp_path / "x.csv")
