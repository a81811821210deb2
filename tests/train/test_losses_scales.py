"""Numbers whose loss is computed on a scale of their own, and that are predicted in the unit of the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import kaggle_ray
from kaggle_ray.config import LossHyperparameters
from kaggle_ray.data.head import Head, Scale
from kaggle_ray.metrics import LOG_LOSS, RMSE
from kaggle_ray.testing.toy import TINY
from kaggle_ray.train.losses import Outputs
from kaggle_ray.train.losses.auxiliary import AuxiliaryOutputs

PRICES = np.exp(np.random.default_rng(0).normal(12, 2, size=64))
KIND = Head(name="kind", task="binary", classes=("a", "b"), metric=LOG_LOSS)
TOY = """
from dataclasses import replace
from kaggle_ray import Head, Samples, metric_by_name
from kaggle_ray.testing.tasks import toy_of

TOY = toy_of("regression")

def read(folder):
    samples = TOY.read(folder)
    return replace(samples, target=1e5 * 10 ** (2 * samples.target))

COMPETITION = replace(
    TOY, name="prices", read=read, heads=(Head(task="regression", metric=metric_by_name("rmsle"), scale="log"),)
)
"""


def price(scale: Scale) -> Head:
    return Head(name="price", task="regression", metric=RMSE, scale=scale)


@pytest.mark.parametrize(("scale", "function"), [("log", np.log), ("log1p", np.log1p)])
def test_a_number_is_trained_on_its_scale_and_read_back_in_its_unit(scale: Scale, function: np.ufunc) -> None:
    outputs = Outputs([price(scale)], PRICES)
    on_scale = function(PRICES)
    targets_N1 = outputs.soft_targets(torch.from_numpy(PRICES))
    np.testing.assert_allclose(targets_N1[:, 0], (on_scale - on_scale.mean()) / on_scale.std(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs.values(targets_N1)[:, 0], PRICES, rtol=1e-5)
    again = outputs.targets_of_values(torch.from_numpy(PRICES)[:, None])
    np.testing.assert_allclose(again, targets_N1, rtol=1e-4, atol=1e-5)
    loss = outputs.sample_losses(targets_N1 + 0.5, targets_N1).mean()
    assert loss.item() == pytest.approx(0.25, rel=1e-4)


@pytest.mark.parametrize("scale", ["log", "log1p"])
def test_every_answer_has_a_target_and_every_value_a_scale(scale: Scale) -> None:
    outputs = Outputs([price(scale)], np.array([1e-9, 1.0, 5.0]))
    values_N1 = outputs.values(torch.tensor([[-1e4], [-3.0], [0.0], [3.0]]))
    assert torch.isfinite(values_N1).all()
    assert (values_N1 >= 0).all()
    assert torch.isfinite(outputs.targets_of_values(values_N1)).all()


def test_the_scale_of_one_head_is_none_of_the_others() -> None:
    target = np.stack([np.arange(64) % 2, PRICES, PRICES], axis=1)
    outputs = Outputs([KIND, price("log"), Head(name="plain", task="regression", metric=RMSE)], target)
    assert outputs.mean.tolist() == pytest.approx([0, np.log(PRICES).mean(), PRICES.mean()])
    values_NC = outputs.values(outputs.soft_targets(torch.from_numpy(target)))
    np.testing.assert_allclose(values_NC[:, 1:], target[:, 1:], rtol=1e-4)


def test_an_auxiliary_number_has_its_scale_where_it_is_known() -> None:
    target = PRICES[:, np.newaxis].copy()
    target[::2] = np.nan
    auxiliary = AuxiliaryOutputs([price("log")], target, np.arange(64), LossHyperparameters())
    soft = auxiliary.soft_targets(torch.from_numpy(target))
    assert np.array_equal(soft.isnan()[:, 0], np.isnan(target[:, 0]))
    losses = auxiliary.sample_losses(torch.zeros(64, 1), soft)
    assert torch.isfinite(losses).all()
    np.testing.assert_allclose(auxiliary.values(soft.nan_to_num(0.0))[1::2], target[1::2], rtol=1e-5)


def test_scores_predictions_and_the_submission_are_in_the_unit_of_the_files(tmp_path: Path) -> None:
    file = tmp_path / "prices.py"
    file.write_text(TOY)
    result = kaggle_ray.run(
        file,
        experiments=[{**TINY, "model_args": {"width": 8, "blocks": [1, 1]}, "image_size": 16, "epochs": 6, "lr": 2e-2}],
        data=tmp_path / "data", runs=tmp_path / "runs", launcher="local", reporters=[], device="cpu", dtype="float32",
    )  # fmt: skip
    submitted = kaggle_ray.read_table(result.submission, columns=["id", "light"])["light"].astype(float).to_numpy()
    assert (submitted > 1e4).all()  # prices lie between 1e5 and 1e7; their logarithms below 17
    assert submitted.max() < 1e8
    images = sorted((tmp_path / "data/images").glob("b*.png"))
    np.testing.assert_allclose(kaggle_ray.predict_proba(result.run_dir, images)["target"][:, 0], submitted, rtol=1e-4)
    assert result.score is not None
    assert result.score < 1.0, "RMSLE of the best constant is 1.33"
