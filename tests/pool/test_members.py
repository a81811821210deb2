from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.pipeline.experiments import make_experiments
from kaggle_ray.pool.members import Member, MemberPart, best_epoch_of_others, full_model, members_of, models_of
from kaggle_ray.train.content import Content
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import FULL_DATA, EpochMetrics, Experiment, JsonValue, Trial, TrialResult

CURVES = [{1: 0.5, 2: 0.4, 3: 0.6}, {1: 0.3, 2: 0.5, 3: 0.4}, {1: 0.9, 2: 0.1, 3: 0.2}]


def experiments_of(*hyperparameter_sets: Mapping[str, JsonValue]) -> tuple[Experiment, ...]:
    parsed = [
        parse_hyperparameters({"epochs": 3, **hyperparameters}, where="here") for hyperparameters in hyperparameter_sets
    ]
    return make_experiments(parsed, Content())


def result(experiment: Experiment, fold: int, curve: Mapping[int, float], kept: Sequence[int] = ()) -> TrialResult:
    history = tuple(
        EpochMetrics(epoch=epoch, train_loss=1.0, valid_loss=1.0, score=score, lr=0.1, duration_s=1.0)
        for epoch, score in curve.items()
    )
    blobs = {name: "" for epoch in kept for name in (f"epoch{epoch}/valid.npy", f"epoch{epoch}/test.npy")}
    trial = Trial(experiment_id=experiment.experiment_id, fold=fold)
    return TrialResult(trial=trial, status="committed", attempt_id="a", history=history, blobs=blobs)


def of(
    experiments: Sequence[Experiment], kept: Sequence[int] = (), curves: Sequence[Mapping[int, float]] = CURVES
) -> tuple[Member, ...]:
    results = {
        e.experiment_id: [result(e, fold, curve, kept) for fold, curve in enumerate(curves)] for e in experiments
    }
    return members_of(experiments, results, greater_is_better=False)


def test_a_plain_experiment_is_one_member() -> None:
    (experiment,) = experiments_of({})
    (member,) = of([experiment])
    assert (member.member_id, member.name) == (experiment.experiment_id, experiment.name)
    assert member.parts[0].epochs == (None, None, None)


def test_experiments_that_differ_in_their_seed_alone_are_one_member() -> None:
    experiments = experiments_of({"seed": 0}, {"seed": 1}, {"seed": 0, "lr": 0.5})
    seeds, other = of(experiments)
    assert [part.experiment_id for part in seeds.parts] == [e.experiment_id for e in experiments[:2]]
    assert seeds.name == "resnet18 lr=0.001 (mean of 2 seeds)"
    assert other.member_id == experiments[2].experiment_id


def test_the_ends_of_cycles_are_members_of_their_own() -> None:
    (experiment,) = experiments_of({"schedule": "snapshot", "schedule_args": {"num_cycles": 3}})
    members = of([experiment], kept=[1, 2])
    assert [member.parts[0].epochs for member in members] == [(None,) * 3, (1,) * 3, (2,) * 3]
    assert len({member.member_id for member in members}) == 3
    assert [full_model(member.parts[0], experiment)[1] for member in members] == [None, 1, 2]


def test_what_some_fold_has_not_kept_is_no_member() -> None:
    (experiment,) = experiments_of({"schedule": "snapshot", "schedule_args": {"num_cycles": 3}})
    kept = [[1, 2], [2], [1, 2]]
    results = [result(experiment, fold, curve, kept[fold]) for fold, curve in enumerate(CURVES)]
    members = members_of([experiment], {experiment.experiment_id: results}, greater_is_better=False)
    assert [member.parts[0].epochs for member in members] == [(None,) * 3, (2,) * 3]


def test_each_fold_has_the_epoch_that_is_best_on_the_others() -> None:
    (experiment,) = experiments_of({"epoch_rule": "other_folds"})
    (member,) = of([experiment], kept=[1, 2])
    # Lower is better. Means of folds 1 and 2: 0.6, 0.3, 0.3; of 0 and 2: 0.7, 0.25, 0.4; of 0 and 1: 0.4, 0.45, 0.5.
    assert member.parts[0].epochs == (2, 2, 1)
    trial = Trial(experiment_id=experiment.experiment_id, fold=FULL_DATA)
    assert full_model(member.parts[0], experiment) == (trial, None), "it is trained for as many epochs as are chosen"
    models = {trial.fold: epochs for trial, epochs in models_of([member], [experiment]).items()}
    assert models == {0: {2}, 1: {2}, 2: {1}}


def test_the_last_epoch_is_what_a_trial_ends_with() -> None:
    (experiment,) = experiments_of({"epoch_rule": "other_folds"})
    (member,) = of([experiment], kept=[1, 2], curves=[{1: 0.5, 2: 0.4, 3: 0.1}] * 3)
    assert member.parts[0].epochs == (None, None, None)


def test_only_epochs_that_every_fold_has_a_score_of_are_chosen() -> None:
    (experiment,) = experiments_of({"epoch_rule": "other_folds"})
    between = [{1: math.nan, 2: 0.4, 3: 0.6}, {1: math.nan, 2: 0.5, 3: 0.6}, {1: math.nan, 2: 0.1, 3: 0.2}]
    (member,) = of([experiment], kept=[1, 2], curves=between)
    assert member.parts[0].epochs == (2, 2, 2)
    short = [{2: 0.5, 3: 0.6}, {1: 0.1, 2: 0.5, 3: 0.6}, {1: 0.1, 2: 0.5, 3: 0.6}]
    assert [best_epoch_of_others(short, fold, greater_is_better=False) for fold in range(3)] == [2, 2, 2]


def test_the_models_of_a_member_are_its_own_and_the_ends_of_all_that_it_descends_from() -> None:
    first = Experiment(experiment_id="first", name="first", hyperparameters={})
    teacher = dataclasses.replace(first, experiment_id="teacher", parent_id="first")
    family = [first, teacher, dataclasses.replace(first, experiment_id="last", teacher_id="teacher")]
    member = Member(member_id="last", name="last", parts=(MemberPart(experiment_id="last", epochs=(4, None)),))
    found = {(trial.experiment_id, trial.fold): epochs for trial, epochs in models_of([member], family).items()}
    ancestors = {(name, fold): {None} for name in ("first", "teacher") for fold in (0, 1)}
    assert found == {("last", 0): {4}, ("last", 1): {None}, **ancestors}


@given(scores=st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=2, max_size=5))
def test_a_folds_own_scores_have_no_say_in_its_epoch(scores: list[list[float]]) -> None:
    curves = [dict(enumerate(of_fold, start=1)) for of_fold in scores]
    changed = [dict.fromkeys(curves[0], 0.0), *curves[1:]]
    first, second = (best_epoch_of_others(c, 0, greater_is_better=True) for c in (curves, changed))
    assert first == second


def test_the_epoch_of_a_span_of_time_is_the_best_on_earlier_ones() -> None:
    epochs = [best_epoch_of_others(CURVES, fold, greater_is_better=False, forward=True) for fold in range(3)]
    assert epochs == [None, 2, 1], "means of fold 0 are 0.5, 0.4, 0.6; of folds 0 and 1: 0.4, 0.45, 0.5"


def test_without_other_folds_the_last_epoch_stands() -> None:
    assert best_epoch_of_others(CURVES[:1], 0, greater_is_better=True) is None


def test_an_experiment_without_results_is_no_member() -> None:
    experiments = experiments_of({}, {"lr": 0.5})
    results = {experiments[1].experiment_id: [result(experiments[1], 0, CURVES[0])]}
    (member,) = members_of(experiments, results, greater_is_better=True)
    assert member.member_id == experiments[1].experiment_id


@pytest.mark.parametrize("kept", [(), (1, 2)])
def test_a_member_is_read_back_from_json(kept: tuple[int, ...]) -> None:
    experiments = experiments_of({"seed": 0}, {"seed": 1})
    for member in of(experiments, kept):
        assert from_json(Member, member.to_json(), where="here") == member
        assert dataclasses.is_dataclass(member)
