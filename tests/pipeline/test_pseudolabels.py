"""A student learns from what the teacher of its own fold says of the test rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import kaggle_ray
from kaggle_ray.errors import LeakError
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.pool.gather import gather
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.attempts import put_predictions
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import FULL_DATA, Experiment, JsonValue, Lineage, PseudolabelSource, Trial, TrialResult

STUDENT: dict[str, JsonValue] = {**TINY, "epochs": 2, "lr": 2e-2, "pseudolabel_share": 0.3, "seed": 3}
MASKS_FILE = "from kaggle_ray.testing.tasks import toy_of\nCOMPETITION = toy_of('masks')\n"


def run(folder: Path, data: Path, *experiments: Mapping[str, JsonValue], refit: bool = True) -> RunResult:
    return kaggle_ray.run(
        TOY_FILE, experiments=experiments, data=data, runs=folder, run_id="x", launcher="local", device="cpu",
        ensemble="mean", refit=refit, reporters=[],
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run(tmp_path_factory.mktemp("runs"), toy_data, STUDENT)


def result_of(finished: RunResult, experiment: Experiment, fold: int) -> TrialResult:
    result = open_run(finished.run_dir).result(Trial(experiment_id=experiment.experiment_id, fold=fold))
    assert result is not None
    return result


def test_the_teacher_is_trained_first_and_labels_the_rows_of_its_own_fold(finished: RunResult) -> None:
    teacher, student = finished.plan.experiments
    assert (student.labeller_id, student.needs) == (teacher.experiment_id, (teacher.experiment_id,))
    assert teacher.hyperparameters["pseudolabel_share"] == 0
    store, folds = open_run(finished.run_dir), finished.plan.folds
    for fold in (0, 1, FULL_DATA):  # that of all rows is of the refit
        lineage, of_teacher = store.lineage(result_of(finished, student, fold)), result_of(finished, teacher, fold)
        source = PseudolabelSource(trial=of_teacher.trial, digest=of_teacher.blobs["test.npy"], num_rows=20)
        assert lineage.pseudolabels == (source,)
        assert lineage.parents == (teacher.experiment_id,)
        assert not lineage.trained_rows[folds.valid_rows(fold)].any()
    assert len(finished.pool.oof) == 2


def test_a_rerun_trains_nothing_and_another_share_is_another_experiment(finished: RunResult, toy_data: Path) -> None:
    again = run(finished.run_dir.parent.parent, toy_data, STUDENT)
    assert again.num_epochs_trained == 0
    assert again.submission.read_bytes() == finished.submission.read_bytes()
    other = kaggle_ray.Hyperparameters(**{**STUDENT, "pseudolabel_share": 0.2})
    assert other.labeller == kaggle_ray.Hyperparameters(**STUDENT).labeller
    assert other != kaggle_ray.Hyperparameters(**STUDENT)


def forged(finished: RunResult, student: Experiment, sources: list[PseudolabelSource]) -> None:
    """Commit the student's first fold anew, with other pseudolabels in its lineage."""
    store, result = open_run(finished.run_dir), result_of(finished, student, 0)
    valid, test = store.predictions(result)
    assert valid.lineage is not None
    lineage: Lineage = dataclasses.replace(valid.lineage, pseudolabels=tuple(sources))
    valid, test = (dataclasses.replace(each, values=np.array(each.values), lineage=lineage) for each in (valid, test))
    store.remove(result.trial)
    attempt = store.attempt(result.trial)
    put_predictions(attempt, valid, test)
    attempt.commit(dataclasses.replace(result, attempt_id=""))


def test_planted_pseudolabels_are_refused(tmp_path: Path, toy_data: Path) -> None:
    finished = run(tmp_path, toy_data, STUDENT, refit=False)
    teacher, student = finished.plan.experiments
    of_folds = [
        PseudolabelSource(trial=result.trial, digest=result.blobs["test.npy"], num_rows=20)
        for result in (result_of(finished, teacher, fold) for fold in (0, 1))
    ]
    plan = finished.plan

    def gathered() -> None:
        gather(open_run(finished.run_dir), plan.folds, plan.experiments, plan.samples.test_ids)

    forged(finished, student, of_folds)  # the mean of all folds' teachers
    seen = f"its pseudolabels are from {of_folds[1].trial}, which was trained on 30 of the rows that it scores, such as"
    with pytest.raises(LeakError, match=seen):
        gathered()
    forged(finished, student, [dataclasses.replace(of_folds[0], digest=of_folds[1].digest)])
    with pytest.raises(LeakError, match=r"its 20 pseudolabels are said to be what .* What made them is not known"):
        gathered()


def test_masks_are_labels_too(tmp_path: Path) -> None:
    file = tmp_path / "toy_masks.py"
    file.write_text(MASKS_FILE)
    unet: dict[str, JsonValue] = {"model": "unet", "model_args": {"width": 4, "depth": 2}, "image_size": 16}
    result = kaggle_ray.run(
        file, experiments=[{**unet, "epochs": 1, "batch_size": 16, "augment": "light", "pseudolabel_share": 0.2}],
        data=tmp_path / "data", runs=tmp_path / "runs", launcher="local", device="cpu", reporters=[],
    )  # fmt: skip
    assert len(result.pool.oof) == 2


def test_a_fast_dev_run_has_the_teacher_too(tmp_path: Path, toy_data: Path) -> None:
    student = {**STUDENT, "pseudolabel_from": {"epochs": 5}, "pseudolabel_min_confidence": 1.0}
    result = kaggle_ray.run(
        TOY_FILE, experiments=[student], data=toy_data, runs=tmp_path, fast_dev=True, reporters=[]
    )  # fmt: skip
    teacher, learner = result.plan.experiments
    assert learner.labeller_id == teacher.experiment_id
    assert len(result.pool.members) == 2
