"""What has no honest score: what the rows that are scored had, or may have had, a say in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

import kaggle_ray
from kaggle_ray.combine import select
from kaggle_ray.combine.saved import chosen_ensemble
from kaggle_ray.errors import NothingToSubmitError
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.report.collect import board_of
from kaggle_ray.reporters.events import EnsembleChosen, RunEnded, RunWarned, TrialEnded
from kaggle_ray.reporters.jsonl import read_events
from kaggle_ray.store.diary import FileDiary
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import JsonValue, Trial

BASE: dict[str, JsonValue] = {**TINY, "epochs": 6, "lr": 2e-2, "schedule": "constant"}
SHORT: dict[str, JsonValue] = {**TINY, "epochs": 1}


def run(folder: Path, data: Path, *experiments: Mapping[str, JsonValue], **options: object) -> RunResult:
    return kaggle_ray.run(
        TOY_FILE, experiments=experiments, data=data, runs=folder, launcher="local", reporters=[], **options  # type: ignore[arg-type]
    )  # fmt: skip


# An epoch that is chosen by the scored rows -------------------------------------------------------------------------


def test_the_best_epoch_on_the_scored_rows_gets_no_honest_score(tmp_path: Path, toy_data: Path) -> None:
    chosen = {**BASE, "epoch_rule": "scored_fold", "patience": 2, "epochs": 8}
    with pytest.raises(NothingToSubmitError, match=r"--admit-unproven submits them, without an honest score"):
        run(tmp_path, toy_data, chosen)
    honest = run(tmp_path / "with", toy_data, chosen, BASE)
    assert set(honest.ensemble.weights) == {honest.plan.experiments[1].experiment_id}  # type: ignore[union-attr]
    rows = {row.name: row for row in honest.board.rows}
    unproven = rows[honest.plan.experiments[0].name]
    assert unproven.score is None
    assert "chosen on the rows that are scored" in (unproven.error or "")
    admitted = run(tmp_path, toy_data, chosen, admit_unproven=True)
    assert admitted.submission.exists()
    assert_no_honest_score(admitted)


def assert_no_honest_score(result: RunResult) -> None:
    """Look at each place that shows a score."""
    store = open_run(result.run_dir)
    assert all(row.score is None for row in board_of(store).rows if row.kind != "baseline")
    assert result.ensemble is not None
    assert result.score is result.ensemble.score_honest is result.ensemble.optimism is None
    shown = result.to_json()
    assert shown["ensemble_score_honest"] is shown["ensemble_score_in_sample"] is None
    assert shown["best_experiment"] is shown["best_score"] is None
    for name in ("greedy", "mean"):
        ensemble = store.ensemble(name)
        assert ensemble is not None
        assert ensemble["score_honest"] is None
    submission = store.submission("submission")
    assert submission is not None
    assert submission["score_honest"] is None
    events = [envelope.event for envelope in read_events(FileDiary(result.run_dir / "events.jsonl"))]
    assert [event.score_honest for event in events if isinstance(event, EnsembleChosen)] == [None]
    (ended,) = [event for event in events if isinstance(event, RunEnded)]
    assert all(row.score is row.in_sample is row.score_std is None for row in ended.board if row.kind != "baseline")
    assert [event.score for event in events if isinstance(event, TrialEnded)] == [None] * result.plan.num_trials
    shown_in_a_notebook = result.board.to_frame()
    experiments = shown_in_a_notebook[shown_in_a_notebook["kind"] != "baseline"]
    assert experiments[["score", "score_std", "in_sample", "optimism"]].isna().all(axis=None)
    assert result.experiments["score"].isna().all()
    assert chosen_ensemble(store).confusion is None  # type: ignore[union-attr]


def test_a_seed_of_a_mean_that_is_unproven_gets_no_honest_score_of_its_own(tmp_path: Path, toy_data: Path) -> None:
    chosen = {**BASE, "epoch_rule": "scored_fold", "epochs": 2}
    result = run(tmp_path, toy_data, chosen, {**chosen, "seed": 1}, admit_unproven=True)
    assert len(result.pool.of_seeds) == 2
    assert set(result.pool.of_seeds) < result.pool.unproven
    assert_no_honest_score(result)


def test_a_child_of_what_is_unproven_is_unproven(tmp_path: Path, toy_data: Path) -> None:
    child: dict[str, JsonValue] = {**BASE, "epochs": 2, "init_from": {"epoch_rule": "scored_fold", "epochs": 3}}
    with pytest.raises(NothingToSubmitError, match="--admit-unproven"):
        run(tmp_path, toy_data, child)


# Files of weights ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "mine.pth"
    torch.save(resnet18(num_classes=2).state_dict(), file)
    return file


def starting_from(weights: Path) -> dict[str, JsonValue]:
    return {**SHORT, "model": "resnet18", "model_args": {"weights": str(weights)}, "pretrained": True}


def test_a_file_of_weights_is_refused_before_anything_is_trained(tmp_path: Path, toy_data: Path, weights: Path) -> None:
    for hyperparameters in (
        starting_from(weights),
        {**starting_from(weights), "init_from": {"epochs": 2}},
        {**starting_from(weights), "epoch_rule": "inner"},
    ):
        with pytest.raises(
            NothingToSubmitError, match=r"mine\.pth, which may have .* trust_weights=true declares.*--admit-unproven"
        ):
            run(tmp_path, toy_data, hyperparameters)
    assert not list(tmp_path.iterdir())


def test_beside_others_what_starts_from_a_file_is_left_out_and_says_why(
    tmp_path: Path, toy_data: Path, weights: Path
) -> None:
    result = run(tmp_path, toy_data, starting_from(weights), SHORT)
    unproven, proven = result.plan.experiments
    assert result.pool.unproven == {unproven.experiment_id}
    assert set(result.pool.oof) == {proven.experiment_id}
    assert result.score is not None
    assert result.to_json()["best_experiment"] == proven.name
    rows = {row.name: row for row in result.board.rows}
    assert rows[unproven.name].score is rows[unproven.name].score_std is None
    assert "trust_weights=true declares" in (rows[unproven.name].error or "")
    events = [envelope.event for envelope in read_events(FileDiary(result.run_dir / "events.jsonl"))]
    assert [event.topic for event in events if isinstance(event, RunWarned)] == ["unproven"]
    scores = {event.trial: event.score for event in events if isinstance(event, TrialEnded)}
    for fold in range(2):
        assert scores[Trial(experiment_id=unproven.experiment_id, fold=fold)] is None
        assert scores[Trial(experiment_id=proven.experiment_id, fold=fold)] is not None


def test_what_starts_from_a_file_has_no_score_anywhere_where_it_is_admitted(
    tmp_path: Path, toy_data: Path, weights: Path
) -> None:
    admitted = run(tmp_path, toy_data, starting_from(weights), admit_unproven=True)
    assert admitted.submission.exists()
    assert_no_honest_score(admitted)


def test_weights_that_are_declared_trusted_are_part_of_the_lineage(
    tmp_path: Path, toy_data: Path, weights: Path
) -> None:
    child = {**starting_from(weights), "trust_weights": True, "init_from": {"epochs": 2}}
    result = run(tmp_path, toy_data, child)
    assert result.score is not None
    assert not result.pool.unproven
    store, digest = open_run(result.run_dir), hashlib.sha256(weights.read_bytes()).hexdigest()
    for experiment in result.plan.experiments:
        of_trial = store.result(Trial(experiment_id=experiment.experiment_id, fold=0))
        assert of_trial is not None
        lineage = store.lineage(of_trial)
        assert lineage.is_proven
        assert dict(lineage.started_from) == {str(weights): digest}


# Folds whose rows have no others to learn from -----------------------------------------------------------------------

BY_TIME = """
import dataclasses

import numpy as np

from kaggle_ray import FoldScheme
from kaggle_ray.testing.toy import COMPETITION as TOY


def read(folder):
    samples = TOY.read(folder)
    return dataclasses.replace(samples, times=np.arange(len(samples.train_ids), dtype=float))


COMPETITION = dataclasses.replace(TOY, read=read, folds=FoldScheme({scheme}))
"""
TWO: list[dict[str, JsonValue]] = [{**BASE, "epochs": 2}, {**BASE, "epochs": 2, "lr": 1e-3}]


def run_with_folds(folder: Path, data: Path, scheme: str, **options: object) -> RunResult:
    file = folder / "competition.py"
    file.write_text(BY_TIME.format(scheme=scheme))
    return kaggle_ray.run(
        file, experiments=TWO, data=data, runs=folder / "runs", launcher="local", reporters=[], **options  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_run_by_time_learns_weights_from_earlier_spans(tmp_path: Path, toy_data: Path) -> None:
    result = run_with_folds(tmp_path, toy_data, "kind='time', num_folds=3")
    assert result.ensemble is not None
    assert result.score is not None
    of_spans = result.ensemble.by_part
    assert set(of_spans[0].fitted.weights.values()) == {0.5}, "nothing is earlier"
    folds = result.plan.folds
    rows = folds.scored_rows()
    again = select(
        result.pool.oof, result.plan.samples.target[rows], folds.fold_of[rows], result.plan.competition.metric,
        "auto", forward=True,
    )  # fmt: skip
    assert result.score == again.score_honest
    assert result.to_json()["best_score"] is not None


def test_a_holdout_by_time_says_that_what_is_submitted_has_no_score(tmp_path: Path, toy_data: Path) -> None:
    scheme = "kind='time', num_folds=3, holdout=True"
    result = run_with_folds(tmp_path, toy_data, scheme, ensemble="greedy")
    assert result.score is None
    rows = {row.name: row for row in result.board.rows}
    assert "there are no others to fit on" in (rows["ensemble (greedy)"].error or "")
    experiments = [row for row in result.board.rows if row.kind == "experiment"]
    assert all(row.score is not None for row in experiments), "nothing is fitted to them"
    mean = run_with_folds(tmp_path, toy_data, scheme, ensemble="mean")
    assert mean.num_epochs_trained == 0
    assert mean.score == rows["ensemble (mean)"].score is not None


def test_a_holdouts_score_is_that_of_what_is_submitted(tmp_path: Path, toy_data: Path) -> None:
    result = run_with_folds(tmp_path, toy_data, "num_folds=3, holdout=True")
    assert result.ensemble is not None
    assert result.score is not None
    assert len(result.ensemble.by_part) == 5


def test_that_near_duplicates_were_not_looked_for_is_told(tmp_path: Path, toy_data: Path) -> None:
    result = run(tmp_path, toy_data, SHORT, ignore_near_duplicates=True)
    events = [envelope.event for envelope in read_events(FileDiary(result.run_dir / "events.jsonl"))]
    (warning,) = (event for event in events if isinstance(event, RunWarned))
    assert "were not looked for" in warning.text
