from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kaggle_ray.data.table import Table
from kaggle_ray.errors import CorruptBlobError, IncompleteFoldsError, LeakError
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.pool.gather import Pool, gather, missing_folds, read_member
from kaggle_ray.pool.members import Member, MemberPart
from kaggle_ray.rows import parts_of
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import RunStore
from kaggle_ray.testing.attempts import put_predictions
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import TRAIN_ONLY, Experiment, FloatArray, Lineage, Predictions, StrArray, Trial, TrialResult

Forge = Callable[[Predictions, Predictions], tuple[Predictions, Predictions]]


@pytest.fixture(scope="module")
def finished(toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    experiments = [{**TINY, "epochs": 1, "lr": lr} for lr in (1e-2, 1e-3)]
    options = RunOptions(
        launcher="local",
        competition=TOY_FILE, experiments=experiments, data=toy_data, runs=tmp_path_factory.mktemp("runs"),
        device="cpu", threads=1, dtype="float32",
    )  # fmt: skip
    return execute(options)


@pytest.fixture
def plan(finished: RunResult) -> RunPlan:
    return finished.plan


@pytest.fixture
def store(finished: RunResult, tmp_path: Path) -> RunStore:
    """A copy of the run, to be tampered with."""
    shutil.copytree(finished.run_dir, tmp_path / "run")
    return open_run(tmp_path / "run")


def gathered(store: RunStore, plan: RunPlan) -> Pool:
    return gather(store, plan.folds, plan.experiments, plan.samples.test_ids)


def first_trial(plan: RunPlan, fold: int = 0) -> Trial:
    return Trial(experiment_id=plan.experiments[0].experiment_id, fold=fold)


def read(store: RunStore, trial: Trial) -> tuple[Predictions, Predictions]:
    result = store.result(trial)
    assert result is not None
    return store.predictions(result)


def forge(store: RunStore, trial: Trial, change: Forge) -> None:
    """Commit a trial anew with other predictions, every digest of which is right."""
    valid, test = change(*read(store, trial))
    store.remove(trial)
    attempt = store.attempt(trial)
    put_predictions(attempt, valid, test)
    attempt.commit(TrialResult(trial=trial, status="committed", attempt_id="", score=0.5))


def with_lineage(predictions: Predictions, **changes: object) -> Predictions:
    assert predictions.lineage is not None
    lineage: Lineage = dataclasses.replace(predictions.lineage, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(predictions, lineage=lineage)


def with_rows(predictions: Predictions, ids: StrArray, values: FloatArray) -> Predictions:
    return dataclasses.replace(predictions, sample_ids=ids, values=np.array(values))


def by_id(ids: StrArray, values: FloatArray) -> dict[str, list[float]]:
    return dict(zip(ids.tolist(), values.tolist(), strict=True))


def test_each_scored_row_has_the_prediction_of_the_one_model_that_never_saw_it(store: RunStore, plan: RunPlan) -> None:
    pool = gathered(store, plan)
    assert pool.missing_folds == {}
    assert pool.scored_ids.tolist() == plan.samples.train_ids.tolist()
    for experiment in plan.experiments:
        expected: dict[str, list[float]] = {}
        tests = []
        for fold in range(plan.folds.num_folds):
            valid, test = read(store, Trial(experiment_id=experiment.experiment_id, fold=fold))
            assert valid.sample_ids.tolist() == plan.folds.sample_ids[plan.folds.fold_of == fold].tolist()
            expected |= by_id(valid.sample_ids, valid.values)
            tests.append(test.values)
        assert by_id(pool.scored_ids, pool.oof[experiment.experiment_id][:]) == expected
        np.testing.assert_allclose(pool.test[experiment.experiment_id][:], np.mean(tests, axis=0), rtol=1e-6)


def test_rows_are_joined_by_id_and_never_by_position(store: RunStore, plan: RunPlan) -> None:
    before, some = gathered(store, plan), np.array([5, 0, 3])
    models = {name: [model[:] for model in parts_of(rows)] for name, rows in before.test.items()}  # read anew each time

    def shuffle(valid: Predictions, test: Predictions) -> tuple[Predictions, Predictions]:
        rng = np.random.default_rng(0)
        orders = [rng.permutation(len(part.sample_ids)) for part in (valid, test)]
        return (
            with_rows(valid, valid.sample_ids[orders[0]], valid.values[orders[0]]),
            with_rows(test, test.sample_ids[orders[1]], test.values[orders[1]]),
        )

    forge(store, first_trial(plan), shuffle)
    after = gathered(store, plan)
    for experiment in plan.experiments:
        assert after.oof[experiment.experiment_id][:].tobytes() == before.oof[experiment.experiment_id][:].tobytes()
        assert after.test[experiment.experiment_id][:].tobytes() == before.test[experiment.experiment_id][:].tobytes()
        of_models = parts_of(after.test[experiment.experiment_id])
        for model, expected in zip(of_models, models[experiment.experiment_id], strict=True):
            assert model[:].tolist() == expected.tolist()
            assert model[some].tolist() == expected[some].tolist()


def test_the_table_of_the_scored_rows_stands_beside_their_predictions(store: RunStore, plan: RunPlan) -> None:
    fold_of = plan.folds.fold_of.copy()
    fold_of[:3] = TRAIN_ONLY
    folds, of_rows = (
        dataclasses.replace(plan.folds, fold_of=fold_of),
        np.arange(len(fold_of), dtype=np.float32)[:, None],
    )
    table = Table(columns=("number",), values=of_rows)
    samples = dataclasses.replace(
        plan.samples,
        train_table=table,
        test_table=Table(columns=("number",), values=-of_rows[: len(plan.samples.test_ids)]),
    )
    pool = dataclasses.replace(gathered(store, plan), scored_ids=folds.sample_ids[folds.scored_rows()])
    with_table = pool.with_table_of(samples, folds)
    assert with_table.scored_table is not None
    assert folds.sample_ids[with_table.scored_table[:, 0].astype(int)].tolist() == pool.scored_ids.tolist()


def a_row_twice(valid: Predictions, test: Predictions) -> tuple[Predictions, Predictions]:
    ids, values = valid.sample_ids, valid.values
    return with_rows(valid, np.append(ids, ids[0]), np.concatenate([values, values[:1]])), test


def a_row_in_place_of_another(valid: Predictions, test: Predictions) -> tuple[Predictions, Predictions]:
    ids = valid.sample_ids.copy()
    ids[0] = ids[1]
    return with_rows(valid, ids, valid.values), test


def a_row_missing(valid: Predictions, test: Predictions) -> tuple[Predictions, Predictions]:
    return with_rows(valid, valid.sample_ids[1:], valid.values[1:]), test


def an_unknown_row(valid: Predictions, test: Predictions) -> tuple[Predictions, Predictions]:
    ids, values = valid.sample_ids, valid.values
    return with_rows(valid, np.append(ids, "zzz"), np.concatenate([values, values[:1]])), test


def a_test_row_missing(valid: Predictions, test: Predictions) -> tuple[Predictions, Predictions]:
    return valid, with_rows(test, test.sample_ids[1:], test.values[1:])


def a_test_row_twice(valid: Predictions, test: Predictions) -> tuple[Predictions, Predictions]:
    ids, values = test.sample_ids, test.values
    return valid, with_rows(test, np.append(ids, ids[0]), np.concatenate([values, values[:1]]))


def trained_on_everything(valid: Predictions, test: Predictions) -> tuple[Predictions, Predictions]:
    assert valid.lineage is not None
    return with_lineage(valid, trained_rows=np.ones_like(valid.lineage.trained_rows)), test


def another_fold_plan(valid: Predictions, test: Predictions) -> tuple[Predictions, Predictions]:
    return with_lineage(valid, folds_digest="0" * 12), test


def too_few_rows_accounted_for(valid: Predictions, test: Predictions) -> tuple[Predictions, Predictions]:
    return with_lineage(valid, trained_rows=np.zeros(3, np.bool_)), test


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (a_row_twice, "predicted more than once"),
        (a_row_in_place_of_another, "predicted more than once"),
        (a_row_missing, "1 row is not predicted"),
        (an_unknown_row, "predicted that should not be, such as .*'zzz'"),
        (a_test_row_missing, "on the test set: 1 row is not predicted"),
        (a_test_row_twice, "on the test set: 1 row is predicted more than once"),
        (trained_on_everything, "was trained on 30 of the rows that it scores"),
        (another_fold_plan, "expected predictions under fold plan .*, got 000000000000"),
        (too_few_rows_accounted_for, "does not say which of the 60 rows"),
    ],
)
def test_a_forged_trial_is_a_leak(store: RunStore, plan: RunPlan, change: Forge, message: str) -> None:
    forge(store, first_trial(plan), change)
    with pytest.raises(LeakError, match=rf"{first_trial(plan)}.*{message}"):
        gathered(store, plan)


def test_a_fold_that_stands_in_for_another_is_a_leak(store: RunStore, plan: RunPlan) -> None:
    other = read(store, first_trial(plan, fold=1))
    forge(store, first_trial(plan, fold=0), lambda valid, test: other)
    with pytest.raises(LeakError, match="was trained on 30 of the rows that it scores"):
        gathered(store, plan)


def test_a_row_of_another_fold_is_not_predicted_a_second_time(store: RunStore, plan: RunPlan) -> None:
    other, _ = read(store, first_trial(plan, fold=1))

    def add(valid: Predictions, test: Predictions) -> tuple[Predictions, Predictions]:
        ids = np.append(valid.sample_ids, other.sample_ids[0])
        return with_rows(valid, ids, np.concatenate([valid.values, other.values[:1]])), test

    forge(store, first_trial(plan), add)
    with pytest.raises(LeakError, match="1 row is predicted that should not be"):
        gathered(store, plan)


@pytest.mark.parametrize("values", [np.zeros((29, 1)), np.zeros(30), np.zeros((31, 1))])
def test_values_that_are_not_one_row_per_id_are_refused(store: RunStore, plan: RunPlan, values: FloatArray) -> None:
    forge(store, first_trial(plan), lambda valid, test: (with_rows(valid, valid.sample_ids, values), test))
    with pytest.raises(CorruptBlobError, match=r"valid\.npy: expected \(30, C\) float32 or uint8, got"):
        gathered(store, plan)


def test_a_file_changed_after_its_commit_is_refused(store: RunStore, plan: RunPlan) -> None:
    result = store.result(first_trial(plan))
    assert result is not None
    path = Path(store.location) / f"trials/{result.trial}/attempts/{result.attempt_id}/valid.npy"
    np.save(path, np.zeros((30, 1), dtype=np.float32))
    with pytest.raises(CorruptBlobError, match=r"valid\.npy: expected sha256"):
        gathered(store, plan)


@pytest.mark.parametrize("ended", ["not at all", "failed"])
def test_an_incomplete_experiment_is_named_with_what_it_lacks_and_the_others_are_used(
    store: RunStore, plan: RunPlan, ended: str
) -> None:
    incomplete, complete = plan.experiments
    store.blobs.delete(f"trials/{first_trial(plan, fold=1)}")
    if ended == "failed":
        failed = TrialResult(trial=first_trial(plan, fold=1), status="failed", attempt_id="", error="NaN")
        store.attempt(failed.trial).commit(failed)
    pool = gathered(store, plan)
    assert dict(pool.missing_folds) == {incomplete.experiment_id: (1,)}
    assert list(pool.oof) == list(pool.test) == [complete.experiment_id]
    assert missing_folds(store, plan.folds, incomplete) == (1,)
    part = MemberPart(experiment_id=incomplete.experiment_id, epochs=(None, None))
    member = Member(member_id=incomplete.experiment_id, name=incomplete.name, parts=(part,))
    with pytest.raises(IncompleteFoldsError, match=r"fold 1 is not committed\. Run the same command again"):
        read_member(store, plan.folds, member, plan.samples.test_ids)


def test_an_experiment_that_never_ran_lacks_every_fold(store: RunStore, plan: RunPlan) -> None:
    unknown = Experiment(experiment_id="f" * 12, name="unknown", hyperparameters={})
    pool = gather(store, plan.folds, [unknown], plan.samples.test_ids)
    assert dict(pool.missing_folds) == {unknown.experiment_id: (0, 1)}
    assert not pool.oof
