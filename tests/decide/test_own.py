"""A rule of one's own: fitted, applied and kept as ours are."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from kaggle_ray.data.head import Head
from kaggle_ray.decide import Decision, decided, default_decision, fit_decision, register_decision
from kaggle_ray.errors import ConfigError
from kaggle_ray.metrics import RMSE, Metric
from kaggle_ray.registry import registrations_undone
from kaggle_ray.testing.decision_contract import check_decision
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import Float64Array, FloatArray, JsonValue, Target


class Scaled:
    """Multiplies by the ratio of the means."""

    def fit(self, metric: Metric, target: Target, values: FloatArray) -> Mapping[str, JsonValue]:
        return {"factor": float(target.mean() / values.mean())}

    def default(self, num_columns: int) -> Mapping[str, JsonValue]:
        return {"factor": 1.0}

    def apply(self, values: FloatArray | Float64Array, parameters: Mapping[str, JsonValue]) -> Float64Array:
        factor = from_json(float, parameters["factor"], where="scaled")
        return np.asarray(values * factor, dtype=np.float64)


@pytest.fixture
def metric() -> Iterator[Metric]:
    with registrations_undone():
        register_decision("scaled")(Scaled)
        yield dataclasses.replace(RMSE, decision="scaled")


def test_a_rule_of_ones_own_is_fitted_applied_and_read_back(metric: Metric) -> None:
    values = np.array([[1.0], [2.0], [3.0]], dtype=np.float32)
    target = np.array([2.0, 4.0, 6.0])
    fitted = fit_decision(metric, target, values)
    assert fitted == Decision(kind="scaled", parameters={"factor": 2.0})
    assert decided(metric, fitted).score(target, values) == 0
    assert decided(metric, default_decision(metric, 1)).score(target, values) > 2
    again = Decision.from_json(json.loads(json.dumps(fitted.to_json())))
    assert np.array_equal(again.apply(values), fitted.apply(values))
    assert fitted.whole_columns(1).tolist() == [False]


def test_a_record_is_read_without_the_rule_which_is_missed_where_it_is_applied() -> None:
    decision = Decision.from_json({"kind": "scaled", "factor": 2.0})
    with pytest.raises(ConfigError, match="decision 'scaled': no rule of this name is known here"):
        decision.apply(np.ones((1, 1), dtype=np.float32))


def test_a_head_whose_metric_asks_for_no_known_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown decision 'cutpoint'\. Did you mean 'cutpoints'\?"):
        Head(task="regression", metric=dataclasses.replace(RMSE, decision="cutpoint"))


def test_the_contract_tells_a_rule_that_looks_at_other_rows() -> None:
    check_decision(Scaled(), RMSE, num_columns=1)

    class Ranked(Scaled):
        def apply(self, values: FloatArray | Float64Array, parameters: Mapping[str, JsonValue]) -> Float64Array:
            return np.asarray(values - values.mean(), dtype=np.float64)

    with pytest.raises(AssertionError, match="depends on other rows"):
        check_decision(Ranked(), RMSE, num_columns=1)
