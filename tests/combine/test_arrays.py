from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import kaggle_ray
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.metrics import F2

RNG = np.random.default_rng(0)
TARGET = RNG.integers(0, 2, 300)
FOLDS = np.arange(300) % 3
OOF = {name: 1 / (1 + np.exp(RNG.normal(size=300) - skill * (2 * TARGET - 1))) for name, skill in (("a", 1), ("b", 1))}


def test_arrays_are_blended_and_the_test_rows_by_the_same_weights() -> None:
    made = kaggle_ray.ensemble(OOF, TARGET, FOLDS, "log_loss", test={n: of[:7] for n, of in OOF.items()}, method="mean")
    assert made.oof[:, 0] == pytest.approx((OOF["a"] + OOF["b"]) / 2, abs=1e-6)
    assert made.test is not None
    assert made.test[:, 0] == pytest.approx((OOF["a"] + OOF["b"])[:7] / 2, abs=1e-6)
    assert dict(made.weights) == {"a": 0.5, "b": 0.5}
    assert made.score == kaggle_ray.metric_by_name("log_loss").score(TARGET, made.oof)
    assert made.standard_error is not None


def test_what_is_made_is_shown_in_a_line() -> None:
    made = kaggle_ray.ensemble(OOF, TARGET, FOLDS, "log_loss", method="mean")
    assert repr(made) == (
        f"<EnsembledArrays mean: honest score {made.score:.5g} ± {made.standard_error:.2g}; a 0.5, b 0.5; "
        "oof (300, 1), test None>"
    )
    of_one_fold = kaggle_ray.ensemble(OOF, TARGET, np.zeros(300, dtype=int), "log_loss", method="greedy")
    assert str(of_one_fold.ensemble.why_no_score) in repr(of_one_fold)


def test_labels_of_noise_are_worth_chance_whatever_is_chosen_among_them() -> None:
    noise = {f"e{number}": RNG.random(400) for number in range(30)}
    target = np.random.default_rng(5).integers(0, 2, 400)
    made = kaggle_ray.ensemble(noise, target, np.arange(400) % 5, "auc")
    assert made.score is not None
    assert made.standard_error is not None
    assert abs(made.score - 0.5) < 3 * made.standard_error


def test_the_answers_are_decided_as_the_metric_asks() -> None:
    target = np.stack([TARGET, 1 - TARGET], axis=1)
    values = np.clip(0.3 * target + 0.2, 0, 1)
    made = kaggle_ray.ensemble({"a": values}, target, FOLDS, F2, test={"a": values[:5]})
    assert made.answers is not None
    assert made.answers.tolist() == target[:5].tolist()


def test_arrays_that_do_not_fit_are_named() -> None:
    with pytest.raises(DataError, match=r"got others in \['b'\]"):
        kaggle_ray.ensemble({"a": OOF["a"], "b": OOF["b"][:9]}, TARGET, FOLDS, "log_loss")
    with pytest.raises(DataError, match=r"folds \(300,\) of whole numbers"):
        kaggle_ray.ensemble(OOF, TARGET, FOLDS / 2, "log_loss")
    with pytest.raises(DataError, match=r"oof\['a'\]"):
        kaggle_ray.ensemble({"a": np.full(300, np.nan)}, TARGET, FOLDS, "log_loss")
    with pytest.raises(ConfigError, match="Did you mean 'log_loss'"):
        kaggle_ray.ensemble(OOF, TARGET, FOLDS, "logloss")


def test_neither_torch_nor_ray_is_needed() -> None:
    code = "import sys, kaggle_ray; kaggle_ray.ensemble; assert not {'torch', 'ray'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
