"""Soups: means of weights of experiments that were trained on the same fold, chosen by rows that none of them saw."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load

from kaggle_ray.cli import main
from kaggle_ray.config import Hyperparameters
from kaggle_ray.errors import ConfigError, NothingToSubmitError
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.pipeline.addition_options import SoupOptions
from kaggle_ray.pipeline.experiments import make_experiments
from kaggle_ray.pipeline.identity import experiment_id, training_id
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.pipeline.souping import soup_run
from kaggle_ray.report.collect import board_of
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import RunStore
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.train.averaging import mean_of_weights
from kaggle_ray.train.content import Content
from kaggle_ray.types import FULL_DATA, Lineage, Trial, TrialResult
from tests.pipeline.test_predict_only import run

MEMBER: dict[str, Any] = {
    **TINY, "epochs": 2, "epoch_rule": "inner", "inner_share": 0.25, "lr": 3e-2, "schedule": "constant",
    "augment": "none",
}  # fmt: skip
VALUES: list[dict[str, Any]] = [{"lr": 3e-2}, {"lr": 1e-2}, {"weight_decay": 0.5}]
GREEDY = {**MEMBER, "soup_of": VALUES}
UNIFORM = {**MEMBER, "soup_of": VALUES, "soup": "uniform"}


@pytest.fixture(scope="module")
def result(toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run(toy_data, tmp_path_factory.mktemp("soups"), [GREEDY, UNIFORM], refit=True, ensemble="mean")


def committed(result: RunResult, number: int, fold: int) -> TrialResult:
    found = open_run(result.run_dir).result(
        Trial(experiment_id=result.plan.experiments[number].experiment_id, fold=fold)
    )
    assert found is not None
    return found


def parameters(store: RunStore, of: TrialResult) -> dict[str, torch.Tensor]:
    return {
        name: each for name, each in load(store.weights(of)).items() if "running" not in name and "num_" not in name
    }


@pytest.mark.parametrize("fold", [0, 1])
def test_a_greedy_soup_has_the_members_whose_mean_is_best_on_the_inner_split(result: RunResult, fold: int) -> None:
    store, members = open_run(result.run_dir), result.plan.experiments[:3]
    soup = committed(result, 3, fold)
    assert set(soup.averaged_experiments) <= {each.experiment_id for each in members}
    of_members = {each.experiment_id: committed(result, number, fold) for number, each in enumerate(members)}
    inner = {
        name: min(epoch.inner_score for epoch in of.history if epoch.inner_score is not None)
        for name, of in of_members.items()
    }
    assert soup.averaged_experiments[0] == min(inner, key=inner.__getitem__)
    mean = mean_of_weights([parameters(store, of_members[each]) for each in soup.averaged_experiments])
    assert all(torch.equal(each, mean[name]) for name, each in parameters(store, soup).items())
    assert soup.history == ()


@pytest.mark.parametrize("fold", [0, 1])
def test_a_uniform_soup_has_all_members(result: RunResult, fold: int) -> None:
    store = open_run(result.run_dir)
    soup = committed(result, 4, fold)
    assert soup.averaged_experiments == tuple(each.experiment_id for each in result.plan.experiments[:3])
    mean = mean_of_weights([parameters(store, committed(result, number, fold)) for number in range(3)])
    assert all(torch.equal(each, mean[name]) for name, each in parameters(store, soup).items())


def test_the_ledger_sees_all_that_may_have_gone_in(result: RunResult) -> None:
    store = open_run(result.run_dir)
    ids = tuple(each.experiment_id for each in result.plan.experiments[:3])
    lineage = store.lineage(committed(result, 3, 0))
    trained = [store.lineage(committed(result, number, 0)).trained_rows for number in range(3)]
    assert lineage.parents == ids
    assert np.array_equal(lineage.trained_rows, np.logical_or.reduce(trained))
    assert not lineage.trained_rows[result.plan.folds.valid_rows(0)].any()
    assert lineage.is_proven
    honest = {row.name: row.score for row in result.board.rows if row.kind == "experiment"}
    target, rows = result.plan.samples.target, result.plan.folds.scored_rows()
    for number in (3, 4):
        experiment = result.plan.experiments[number]
        values = np.asarray(result.pool.oof[experiment.experiment_id][:])
        assert honest[experiment.name] == pytest.approx(LOG_LOSS.score(target[rows], values))


def test_a_soup_of_all_rows_has_the_members_that_most_folds_have(result: RunResult) -> None:
    store = open_run(result.run_dir)
    of_folds = [committed(result, 3, fold).averaged_experiments for fold in (0, 1)]
    in_most = [
        each.experiment_id for each in result.plan.experiments[:3] if all(each.experiment_id in of for of in of_folds)
    ]
    full = committed(result, 3, FULL_DATA)
    expected = in_most or [each.experiment_id for each in result.plan.experiments[:3]]
    assert list(full.averaged_experiments) == expected
    assert full.score is None
    assert store.lineage(full).trained_rows.all()
    assert result.refit is not None


def test_a_member_that_saw_the_rows_to_choose_by_is_refused(
    result: RunResult, toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lineage_of, folds = RunStore.lineage, result.plan.folds

    def leaky(self: RunStore, of: TrialResult) -> Lineage:
        rows = np.isin(np.arange(len(folds.sample_ids)), folds.train_rows(of.trial.fold))
        return replace(lineage_of(self, of), trained_rows=rows)

    monkeypatch.setattr("kaggle_ray.train.soups.RunStore.lineage", leaky)
    again = run(toy_data, tmp_path, [GREEDY])
    assert again.num_failed == 2
    assert len(again.pool.oof) == 3
    assert "of the 8 rows that the soup would be chosen by" in caplog.text


def test_soups_have_ids_of_what_they_are_made_of() -> None:
    members = [Hyperparameters(epoch_rule="inner", lr=lr) for lr in (1e-3, 1e-4, 1e-5)]
    greedy = Hyperparameters(epoch_rule="inner", soup_of=[{"lr": 1e-3}, {"lr": 1e-4}])
    assert greedy.souped == greedy.ancestors == (members[0], members[1])
    *trained, soup = make_experiments([*members[:2], greedy], Content())
    assert soup.needs == soup.soup_ids == tuple(each.experiment_id for each in trained)
    others: Sequence[Hyperparameters] = [
        greedy.replace(soup_of=[{"lr": 1e-3}, {"lr": 1e-5}]), greedy.replace(soup="uniform"), members[0],
    ]  # fmt: skip
    assert len({experiment_id(each, Content()) for each in (greedy, *others)}) == 4
    assert training_id(greedy, Content()) == training_id(greedy.replace(tta="hflip"), Content())
    assert Hyperparameters().souped == ()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"soup_of": [{"lr": 1e-3}]}, "'soup_of': expected at least two experiments that differ, got 1"),
        ({"soup_of": [{"lr": 1e-3}, {"lr": 0.001}]}, "expected at least two experiments that differ, got 1"),
        ({"soup_of": [{}, {"model": "resnet34"}]}, r"'soup_of\[1\]': expected the model of the others, 'resnet18'"),
        ({"soup_of": [{}, {"image_size": 96}]}, r"'soup_of\[1\]': expected the image_size of the others"),
        (
            {"soup_of": [{}, {"seed": 1}]},
            r"'soup_of\[1\]': expected epoch_rule inner, with the inner_share and the seed",
        ),
        ({"soup_of": [{}, {"lr": 1.0}], "epoch_rule": "last"}, r"'soup_of\[0\]': expected epoch_rule inner"),
        (
            {"soup_of": [{}, {"lr": 1.0}], "epoch_rule": "other_folds", "soup": "uniform"},
            "a fold's own weights predict",
        ),
        ({"soup_of": [{}, {"soup_of": [{}, {"lr": 1.0}]}]}, r"'soup_of\[1\]': expected an experiment that is trained"),
        ({"soup_of": [{}, {"lrr": 1.0}]}, "soup_of: unknown hyperparameter 'lrr'"),
    ],
)
def test_what_has_no_mean_or_no_rows_to_choose_by_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Hyperparameters(**{"epoch_rule": "inner", **values}).souped  # noqa: B018


@pytest.fixture
def copy(result: RunResult, tmp_path: Path) -> Path:
    """Return a copy of the run, at a run's own place."""
    place = tmp_path / result.run_dir.parent.name / result.run_dir.name
    shutil.copytree(result.run_dir, place)
    return place


def test_a_run_that_is_over_is_added_a_soup_by_the_weights_that_it_has_kept(
    result: RunResult, copy: Path, toy_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (each.experiment_id for each in result.plan.experiments[:2])
    words = [str(copy), one, other, "--data", str(toy_data), "--competition", str(TOY_FILE), "--launcher", "local"]
    main(["soup", *words, "--method", "uniform"])
    shown = capsys.readouterr().out
    assert "uniform soup of" in shown
    assert "0, 1" in shown
    store = open_run(copy)
    (added,) = store.added()
    of_fold = store.result(Trial(experiment_id=added.experiment_id, fold=1))
    assert of_fold is not None
    assert of_fold.averaged_experiments == added.soup_ids == (one, other)
    mean = mean_of_weights([parameters(store, committed(result, number, 1)) for number in (0, 1)])
    assert all(torch.equal(each, mean[name]) for name, each in parameters(store, of_fold).items())
    assert {one, other} <= set(store.lineage(of_fold).parents)
    assert added.name in {row.name for row in board_of(store).rows}

    options = SoupOptions(
        copy, experiments=[one, other], method="uniform", data=toy_data, competition=TOY_FILE, launcher="local"
    )
    again = soup_run(options)
    assert again.chosen == ((again.of,) * 2)
    assert again.result.num_epochs_trained == 0
    assert again.worth.score is not None
    assert of_fold == open_run(copy).result(of_fold.trial)


def test_a_soup_whose_weights_are_gone_or_that_is_there_is_refused(
    result: RunResult, copy: Path, toy_data: Path
) -> None:
    ids = [each.experiment_id for each in result.plan.experiments[:3]]

    def soup(experiments: Sequence[str]) -> None:
        soup_run(
            SoupOptions(copy, experiments=experiments, data=toy_data, competition=TOY_FILE, launcher="local"),
        )

    with pytest.raises(NothingToSubmitError, match="the run has this soup already"):
        soup(ids)
    with pytest.raises(ConfigError, match="expected at least two experiments to average, got 1"):
        soup(ids[:1])
    store = open_run(copy)
    store.remove_weights(committed(result, 2, 0), keep=set())
    with pytest.raises(NothingToSubmitError, match="the weights of fold 0 are gone"):
        soup(ids[1:])
