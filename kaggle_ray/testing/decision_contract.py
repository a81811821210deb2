"""The contract of a decision: call ``check_decision`` in a test of each one of your own.

Shape legend: N rows, C columns of a prediction.
"""

from __future__ import annotations

import json

import numpy as np

from kaggle_ray.decide import Rule
from kaggle_ray.metrics import LOG_LOSS, Metric
from kaggle_ray.types import FloatArray, IntArray

_NUM_ROWS = 60


def check_decision(rule: Rule, metric: Metric = LOG_LOSS, *, num_columns: int = 3) -> None:
    """Check what scores, resumed runs and submissions rely on.

    Args:
        rule: is given probabilities of classes.
        metric: scores the answers.
        num_columns: C: 1 for the second of two classes.

    Raises:
        AssertionError: it does not keep to it; or whatever the rule raised.
    """
    target, values = _rows(num_columns)
    fitted, before = rule.fit(metric, target.copy(), values.copy()), values.copy()
    assert fitted == rule.fit(metric, target.copy(), values.copy()), (
        "the same rows are fitted otherwise: what is random?"
    )
    for parameters in (fitted, rule.default(num_columns)):
        again = json.loads(json.dumps(dict(parameters)))
        answers = np.asarray(rule.apply(values, again))
        assert answers.shape == values.shape, f"expected answers of shape {values.shape}, got {answers.shape}"
        assert np.isfinite(answers).all()
        assert np.array_equal(values, before), "the predictions are not the rule's to change"
        some = np.asarray(rule.apply(values[::7], again))
        assert np.allclose(some, answers[::7], rtol=1e-6, atol=0), "a row's answer depends on other rows"


def _rows(num_columns: int) -> tuple[IntArray, FloatArray]:
    generator = np.random.default_rng(0)
    target = generator.permutation(np.arange(_NUM_ROWS) % max(2, num_columns))
    truth = target[:, np.newaxis] == (np.arange(num_columns) if num_columns > 1 else 1)
    values = generator.uniform(0.05, 0.6, truth.shape) + 0.4 * truth
    return target, (values / values.sum(axis=1, keepdims=True) if num_columns > 1 else values).astype(np.float32)
