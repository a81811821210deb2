"""Targets that are a share for each class: of a table's probabilities, or of annotators' votes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax

import kaggle_ray
from kaggle_ray.data.assign_folds import stratified_by
from kaggle_ray.data.auxiliary import canonical_auxiliary
from kaggle_ray.data.baseline import constant_predictions, perfect_predictions, target_of
from kaggle_ray.data.head import Head, metric_of, place_heads, without_shares
from kaggle_ray.data.target import canonical_target
from kaggle_ray.data.votes import vote_shares
from kaggle_ray.decide import default_score
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.metrics import LOG_LOSS, RMSE, Metric, metric_by_name
from kaggle_ray.testing.toy import TINY
from kaggle_ray.train.losses import Outputs
from kaggle_ray.train.losses.class_weights import count_classes
from kaggle_ray.train.sampling import SAMPLERS, RowsToSample
from kaggle_ray.types import JsonValue

CLASSES = ("a", "b", "c")
IDS = np.array(["p", "q", "r", "s"])
KIND = Head(name="kind", task="multiclass", classes=CLASSES, metric=LOG_LOSS, soft=True)
IS_DOG = Head(name="is_dog", task="binary", classes=("cat", "dog"), metric=LOG_LOSS, soft=True)
TAGS = Head(name="tags", task="multilabel", classes=("x", "y"), metric=LOG_LOSS, soft=True)
AGE = Head(name="age", task="regression", metric=RMSE)
SHARES = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.1, 0.2, 0.7], [0.4, 0.4, 0.2]])
CHANCES = np.array([0.9, 0.5, 0.1, 0.6])
LABELS = np.array([[0.9, 0.2], [0.4, 0.0], [1.0, 0.8], [0.6, 0.3]])

TOY = """
import numpy as np
from dataclasses import replace
from kaggle_ray import Head, metric_by_name
from kaggle_ray.testing.toy import COMPETITION as TOY

def read(folder):
    samples = TOY.read(folder)
    votes = np.random.default_rng(0).binomial(5, 0.1 + 0.8 * samples.target)
    return replace(samples, target=np.stack([5 - votes, votes], axis=1))

COMPETITION = replace(
    TOY, name="votes", read=read,
    heads=(Head(task="multiclass", classes=("dark", "bright"), soft=True, metrics=("accuracy", "kl_divergence"),
                metric=metric_by_name("log_loss")),),
    submission=replace(TOY.submission, columns=("dark", "bright"), sample_file="sample.csv"),
)
"""


def canonical(head: Head, given: Any) -> Any:
    return canonical_target((head,), given, IDS, where="pets")


def test_votes_and_probabilities_become_shares_of_sum_one() -> None:
    np.testing.assert_allclose(canonical(KIND, [[2, 1, 1], [0, 3, 0], [1, 2, 7], [2, 2, 1]]), SHARES)
    np.testing.assert_allclose(canonical(KIND, SHARES * 0.999), SHARES)
    assert canonical(IS_DOG, CHANCES).tolist() == CHANCES.tolist()
    assert canonical(TAGS, LABELS).tolist() == LABELS.tolist()
    several = canonical_target((KIND, AGE), np.column_stack([SHARES * 0.999, [1, 2, 3, 4]]), IDS, where="pets")
    np.testing.assert_allclose(several, np.column_stack([SHARES, [1, 2, 3, 4]]))


@pytest.mark.parametrize(
    ("head", "given", "message"),
    [
        (KIND, [[1, 0, 0], [0, 0, 0], [1, 1, 0], [0, 0, 1]], r"'q' has the shares 0 0 0 of head 'kind'.*1 of 4"),
        (KIND, [[0.5, 0.5, 0], [0.5, 0.2, 0], [1, 0, 0], [0, 0, 1]], r"'q' has the shares 0\.5 0\.2 0 .*sum 1"),
        (KIND, [[1.5, -0.5, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1]], r"'p' has the shares 1\.5 -0\.5 0 "),
        (IS_DOG, [0.5, 1.5, 0.1, 0.2], r"'q' has the shares 1\.5 of head 'is_dog', expected from 0 to 1"),
        (TAGS, [[0, 1], [1, np.nan], [0, 0], [1, 1]], r"'q' has the shares 1 nan of head 'tags'"),
        (KIND, [0, 1, 2, 0], r"expected 3 target columns, got 1"),
    ],
)
def test_what_are_no_shares_is_refused_with_its_row(head: Head, given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        canonical(head, given)


def test_numbers_and_masks_have_no_soft_targets() -> None:
    with pytest.raises(ConfigError, match=r"soft targets are shares of classes, got those of a regression task"):
        Head(task="regression", metric=RMSE, soft=True)


def test_votes_are_counted_and_a_row_without_one_is_named() -> None:
    votes = [("a", "b", "b"), ("c", "", " ")]
    found = vote_shares(votes, CLASSES, ids=["p", "q"], where="t.csv")
    np.testing.assert_allclose(found, np.array([[1 / 3, 2 / 3, 0.0], [0.0, 0.0, 1.0]]))
    with pytest.raises(DataError, match=r"t\.csv: sample 'q' has no vote"):
        vote_shares([("a",), ("",)], CLASSES, ids=["p", "q"], where="t.csv")
    with pytest.raises(DataError, match=r"sample 'p' has the label 'd'"):
        vote_shares([("d",)], CLASSES, ids=["p"], where="t.csv")


def test_the_loss_is_the_cross_entropy_with_the_shares() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    outputs = Outputs([KIND], SHARES)
    of_torch = torch.nn.functional.cross_entropy(logits, torch.from_numpy(SHARES).float())
    for targets in (outputs.targets(torch.from_numpy(SHARES)), outputs.soft_targets(torch.from_numpy(SHARES))):
        assert outputs.sample_losses(logits, targets).mean().item() == pytest.approx(of_torch.item(), rel=1e-6)
    values = outputs.values(logits).double().numpy()
    assert KIND.metric.score(SHARES, values) == pytest.approx(of_torch.item(), rel=1e-5)
    binary = Outputs([IS_DOG], CHANCES)
    loss = binary.sample_losses(logits[:, :1], binary.targets(torch.from_numpy(CHANCES))).mean()
    assert IS_DOG.metric.score(CHANCES, binary.values(logits[:, :1]).numpy()) == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("head", "shares"), [(KIND, SHARES), (IS_DOG, CHANCES), (TAGS, LABELS)], ids=["classes", "2", "labels"]
)
@pytest.mark.parametrize("name", ["log_loss", "brier", "kl_divergence"])
def test_metrics_of_shares_are_best_where_the_shares_are_said(head: Head, shares: Any, name: str) -> None:
    metric = replace(head, metric=metric_by_name(name)).metric
    perfect, rng = perfect_predictions(head, shares).astype(np.float64), np.random.default_rng(0)
    best = metric.score(shares, perfect)
    assert best == pytest.approx(0, abs=1e-9) or name == "log_loss"
    for _ in range(20):
        other = np.clip(perfect + rng.normal(0, 0.1, perfect.shape), 0.001, 0.999)
        other = other / other.sum(axis=1, keepdims=True) if head is KIND else other
        assert metric.score(shares, other) > best


def test_certain_shares_are_scored_as_classes_are() -> None:
    values = softmax(np.random.default_rng(0).normal(size=(4, 3)), axis=1)
    hard, one_hot = np.array([0, 2, 1, 2]), np.eye(3)[[0, 2, 1, 2]]
    for name in ("log_loss", "brier", "accuracy", "auc_ovr", "macro_f1", "kl_divergence", "top_3_accuracy"):
        metric = metric_by_name(name)
        soft = replace(KIND, metric=metric).metric
        assert default_score(soft, one_hot, values) == pytest.approx(default_score(metric, hard, values), rel=1e-9), (
            name
        )


def test_a_metric_of_ones_own_is_given_the_shares_where_it_says_so() -> None:
    seen: list[Any] = []

    def score(target: Any, values: Any) -> float:
        seen.append(target)
        return 0.0

    own = Metric(name="own", score_fn=score, greater_is_better=True)
    replace(KIND, metric=own).metric.score(SHARES, SHARES)
    replace(KIND, metric=replace(own, takes_shares=True)).metric.score(SHARES, SHARES)
    assert seen[0].tolist() == [0, 1, 2, 0]
    assert np.array_equal(seen[1], SHARES)
    again = replace(replace(KIND, metric=own), name="renamed")  # made anew of what was made once
    assert again.metric.score(SHARES, SHARES) == 0
    assert seen[2].tolist() == [0, 1, 2, 0]


def test_all_that_needs_a_class_takes_the_likeliest() -> None:
    assert stratified_by([KIND], SHARES).tolist() == [0, 1, 2, 0]
    assert stratified_by([IS_DOG], CHANCES).tolist() == [1, 0, 0, 1]
    assert without_shares([TAGS], LABELS).tolist() == [[1, 0], [0, 0], [1, 1], [1, 0]]
    heads, joined = [KIND, AGE, IS_DOG], np.column_stack([SHARES, [7, 8, 9, 10], CHANCES])
    assert without_shares(heads, joined)[:, :].tolist() == [[0, 7, 1], [1, 8, 0], [2, 9, 0], [0, 10, 1]]
    placed = place_heads(heads)
    assert target_of(placed[0], joined)[:].tolist() == SHARES.tolist()
    assert target_of(placed[2], joined)[:].tolist() == CHANCES.tolist()
    values = np.column_stack([SHARES, [7, 8, 9, 10], CHANCES])
    metric = metric_of([KIND, replace(AGE, score_weight=0.0), replace(IS_DOG, score_weight=0.0)])
    assert metric.score(joined, values) == pytest.approx(KIND.metric.score(SHARES, SHARES))
    np.testing.assert_allclose(constant_predictions([KIND], SHARES, 1)[0], SHARES.mean(axis=0), rtol=1e-6)
    counts = count_classes(place_heads([KIND])[0], SHARES, np.arange(4))
    np.testing.assert_allclose(counts, SHARES.sum(axis=0)[np.newaxis])
    np.testing.assert_allclose(count_classes(place_heads([IS_DOG])[0], CHANCES, np.arange(4)), [[1.9, 2.1]])
    rows = RowsToSample(heads=(KIND,), target=SHARES, weights=np.ones(4), epoch=1)
    assert len(SAMPLERS["balanced"](rows, np.random.default_rng(0))) == 4


def test_an_auxiliary_head_may_be_soft_where_it_is_known() -> None:
    given = np.where(np.arange(4)[:, None] == 1, np.nan, SHARES * 20)
    known = canonical_auxiliary([KIND], given, IDS, where="pets")
    assert known is not None
    np.testing.assert_allclose(known[[0, 2, 3]], SHARES[[0, 2, 3]])
    assert np.isnan(known[1]).all()


def test_a_run_learns_votes_and_is_scored_by_them(tmp_path: Path, toy_data: Path) -> None:
    file = tmp_path / "votes.py"
    file.write_text(TOY)
    data = shutil.copytree(toy_data, tmp_path / "data")
    ids = [line.split(",")[0] for line in (data / "sample_submission.csv").read_text().splitlines()[1:]]
    (data / "sample.csv").write_text("\n".join(["id,dark,bright", *(f"{each},0.5,0.5" for each in ids)]) + "\n")
    weighted: dict[str, JsonValue] = {"seed": 1, "loss_args": {"class_weights": "balanced"}}
    result = kaggle_ray.run(
        file, experiments=[{**TINY, "epochs": 2}, {**TINY, "epochs": 2, **weighted}],
        data=data, runs=tmp_path / "runs", launcher="local", reporters=[], device="cpu", dtype="float32",
    )  # fmt: skip
    shares = result.plan.samples.target
    assert shares.shape == (len(result.plan.samples.train_ids), 2)
    of_truth = result.plan.competition.metric.score(shares, shares)
    assert result.score is not None
    assert of_truth < result.score < 1.0
    history = kaggle_ray.open_run(result.run_dir).history()
    assert history["valid_accuracy"].between(0, 1).all()
    assert (history["valid_kl_divergence"] > 0).all()
    table = kaggle_ray.open_run(result.run_dir).evaluation()
    assert set(table["truth"]) <= {"dark", "bright"}
