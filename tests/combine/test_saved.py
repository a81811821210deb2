from __future__ import annotations

import pytest

from kaggle_ray.combine.saved import SavedEnsemble
from kaggle_ray.decide import Decision
from kaggle_ray.metrics import ACCURACY, LOG_LOSS, QUADRATIC_KAPPA, Metric
from kaggle_ray.types import JsonValue


def saved(decision: dict[str, JsonValue]) -> SavedEnsemble:
    return SavedEnsemble(
        method="mean",
        chosen=True,
        weights={},
        decision=decision,
        score_honest=None,
        score_in_sample=None,
        score_full_size=None,
        members=(),
        scores={},
    )


@pytest.mark.parametrize(("metric", "kind"), [(ACCURACY, "argmax"), (QUADRATIC_KAPPA, "argmax"), (LOG_LOSS, "none")])
def test_an_ensemble_of_before_rules_had_names_is_decided_as_its_metric_is(metric: Metric, kind: str) -> None:
    assert saved({"kind": "none"}).decide(metric, 3).kind == kind


def test_a_rule_that_was_fitted_is_the_one_that_was_kept() -> None:
    rule = Decision(kind="cutpoints", parameters={"cuts": [0.25, 1.5]})
    assert saved(rule.to_json()).decide(QUADRATIC_KAPPA, 1) == rule
