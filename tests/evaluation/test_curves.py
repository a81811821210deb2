"""Curves of the report, against scikit-learn's areas and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from kaggle_ray.evaluation.answers import LabelAnswers
from kaggle_ray.evaluation.curves import label_curves, reliability_of
from kaggle_ray.evaluation.members import analyse_members
from kaggle_ray.metrics import LOG_LOSS


def test_a_thinned_curve_has_the_area_of_the_whole_one_and_its_ends() -> None:
    rng = np.random.default_rng(0)
    there = rng.random((2000, 2)) < 0.3
    said = np.clip(0.5 * rng.random((2000, 2)) + [0.2, 0.05] * there, 0, 1).astype(np.float32)
    answers = LabelAnswers(
        names=("a", "b"), is_there=there, probabilities=said, is_answered=said > 0.5, is_exclusive=False
    )
    first, second = label_curves(answers, most=2)
    assert (first.label, second.label) == ("b", "a"), "the harder one first"
    assert second.roc.area == pytest.approx(roc_auc_score(there[:, 0], said[:, 0]))
    assert second.precision_recall.area == pytest.approx(average_precision_score(there[:, 0], said[:, 0]))
    assert len(second.roc.x) <= 48
    assert np.trapezoid(second.roc.y, second.roc.x) == pytest.approx(second.roc.area, abs=0.01)
    assert (second.roc.x[0], second.roc.y[-1]) == (0, 1)


def test_reliability_sets_what_came_true_beside_what_was_said() -> None:
    there = np.array([[True], [False], [True], [True]])
    said = np.array([[0.55], [0.55], [0.95], [0.95]], dtype=np.float32)
    answers = LabelAnswers(names=("a",), is_there=there, probabilities=said, is_answered=said > 0.5, is_exclusive=False)
    found = reliability_of(answers)
    assert found.said == pytest.approx((0.55, 0.95))
    assert found.true == pytest.approx((0.5, 1.0))
    assert found.counts == (2, 2)
    assert found.error == pytest.approx(0.05)


def test_a_member_that_knows_something_gains_and_a_copy_is_told_by_its_correlation() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 400)
    knows, knows_too, noise = (
        (1 / (1 + np.exp(rng.normal(size=(400, 1)) - skill * (2 * target[:, np.newaxis] - 1)))).astype(np.float32)
        for skill in (1.0, 1.0, 0.0)
    )
    members = {"a": knows, "b": knows_too, "c": noise, "d": knows.copy()}
    found = analyse_members(
        members, dict(zip(members, members, strict=True)), target, np.arange(400) % 5, LOG_LOSS, "greedy", forward=False
    )
    gain = dict(zip(found.names, found.gains, strict=True))
    assert gain["b"] is not None
    assert gain["c"] is not None
    assert gain["b"] > 0.01
    assert abs(gain["c"]) < gain["b"]
    at = {name: number for number, name in enumerate(found.names)}
    assert found.correlation[at["a"]][at["d"]] == pytest.approx(1)
    assert all(in_sample <= honest + 1e-9 for in_sample, honest in zip(found.in_sample, found.honest, strict=True))
