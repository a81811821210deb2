from __future__ import annotations

import json

import numpy as np
import pytest

from kaggle_ray.combine import select
from kaggle_ray.data.head import Head, metric_of
from kaggle_ray.decide import Decision, decided, default_decision, default_score, fit_decision
from kaggle_ray.errors import JsonShapeError
from kaggle_ray.metrics import AUC, F2, LOG_LOSS, QUADRATIC_KAPPA, Metric, over_folds, per_fold
from kaggle_ray.types import FloatArray, Target

RNG = np.random.default_rng(0)
SICK = Head(name="sick", task="binary", classes=("no", "yes"), metric=AUC)
TAGS = Head(name="tags", task="multilabel", classes=("x", "y"), metric=F2)
GRADE = Head(name="grade", task="regression", metric=QUADRATIC_KAPPA)


def rows(num_rows: int = 600) -> tuple[Target, FloatArray]:
    """Return targets of SICK, TAGS and GRADE side by side, and predictions whose best cuts are not the default ones."""
    sick = RNG.integers(0, 2, num_rows)
    tags = RNG.random((num_rows, 2)) < 0.2
    grade = RNG.integers(0, 4, num_rows)
    target = np.column_stack([sick, tags, grade]).astype(np.float64)
    values = np.column_stack(
        [
            0.2 * sick + 0.8 * RNG.random(num_rows),
            0.05 * tags + RNG.uniform(0, 0.06, tags.shape),
            0.4 * grade + RNG.uniform(0, 0.5, num_rows),
        ]
    )
    return target, values.astype(np.float32)


def test_the_rule_of_several_heads_is_each_heads_own() -> None:
    target, values = rows()
    both = fit_decision(metric_of([SICK, TAGS, GRADE]), target, values)
    of_tags = fit_decision(F2, target[:, 1:3].astype(np.int64), values[:, 1:3])
    of_grade = fit_decision(QUADRATIC_KAPPA, target[:, 3].astype(np.int64), values[:, 3:])
    answers = both.apply(values)
    assert [rule for _, rule in both.of_heads()] == [Decision(kind="none"), of_tags, of_grade]
    np.testing.assert_array_equal(answers[:, :1], values[:, :1])
    np.testing.assert_array_equal(answers[:, 1:3], of_tags.apply(values[:, 1:3]))
    np.testing.assert_array_equal(answers[:, 3:], of_grade.apply(values[:, 3:]))


def test_the_score_of_several_decided_heads_is_the_mean_of_their_own() -> None:
    target, values = rows()
    metric = metric_of([SICK, TAGS, GRADE])
    rule = fit_decision(metric, target, values)
    tags, grade = target[:, 1:3].astype(np.int64), target[:, 3].astype(np.int64)
    alone = [
        AUC.score(target[:, 0].astype(np.int64), values[:, :1]),
        F2.score(tags, fit_decision(F2, tags, values[:, 1:3]).apply(values[:, 1:3])),
        QUADRATIC_KAPPA.score(grade, fit_decision(QUADRATIC_KAPPA, grade, values[:, 3:]).apply(values[:, 3:])),
    ]
    assert decided(metric, rule).score(target, values) == pytest.approx(np.mean(alone))
    assert metric.score(target, rule.apply(values)) == pytest.approx(np.mean(alone))
    assert default_score(metric, target, values) < np.mean(alone) - 0.1


def test_without_a_fit_each_head_is_cut_at_its_own_default() -> None:
    metric = metric_of([SICK, TAGS])
    ((_, of_sick), (num_tags, of_tags)) = default_decision(metric, 3).of_heads()
    assert of_sick == Decision(kind="none")
    assert num_tags == 2
    assert of_tags.parameters["thresholds"] == [0.2, 0.2]


def test_the_rule_of_several_heads_survives_json_and_is_held_to_its_columns() -> None:
    target, values = rows()
    rule = fit_decision(metric_of([SICK, TAGS, GRADE]), target, values)
    again = Decision.from_json(json.loads(json.dumps(rule.to_json())))
    np.testing.assert_array_equal(again.apply(values), rule.apply(values))
    with pytest.raises(JsonShapeError, match="expected rules for 3 columns, got"):
        again.apply(values[:, :3])


def test_heads_that_need_no_rule_have_none() -> None:
    other = Head(name="kind", task="multiclass", classes=("a", "b", "c"), metric=AUC)
    assert default_decision(metric_of([SICK, other]), 4) == Decision(kind="none")


@pytest.mark.parametrize("num_members", [1, 2])
@pytest.mark.parametrize("of_sick", [AUC, per_fold(AUC)])
def test_an_ensemble_of_several_heads_is_scored_by_each_ones_folds_and_rule(num_members: int, of_sick: Metric) -> None:
    target, values = rows()
    target, values, fold_of = target[:, :3], values[:, :3], np.arange(600) % 3
    # A fold whose ranks are shifted spoils a pooled AUC, and none by fold.
    values[fold_of == 1, 0] += 2.0
    head = Head(name="sick", task="binary", classes=("no", "yes"), metric=of_sick)
    members = {f"m{number}": values for number in range(num_members)}
    honest = select(members, target, fold_of, metric_of([head, TAGS]), "greedy").score_honest
    tags, oof = target[:, 1:].astype(np.int64), np.empty((600, 2), dtype=np.float32)
    for fold in range(3):
        rule = fit_decision(F2, tags[fold_of != fold], values[fold_of != fold, 1:])
        oof[fold_of == fold] = rule.apply(values[fold_of == fold, 1:])
    auc = over_folds(of_sick, fold_of).score(target[:, 0].astype(np.int64), values[:, :1])
    assert honest == pytest.approx((auc + F2.score(tags, oof)) / 2)


def test_a_pooled_log_loss_beside_one_by_fold_stays_pooled() -> None:
    heads = [Head(name=name, task="binary", classes=("no", "yes"), metric=LOG_LOSS) for name in ("a", "b")]
    assert metric_of(heads).pooled
