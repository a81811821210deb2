"""The mean of a fit's best epochs, and what batch normalisation counts under it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kaggle_ray.config import Hyperparameters, TrainingHyperparameters, parse_hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.head import Head
from kaggle_ray.errors import ConfigError
from kaggle_ray.images.augment import id_hashes
from kaggle_ray.images.cache import Images
from kaggle_ray.metrics import AUC, LOG_LOSS
from kaggle_ray.train.averaging import load_best, load_mean, mean_of_weights
from kaggle_ray.train.epoch_selection import ChosenEpoch, EpochSelection
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.loop import Fit
from kaggle_ray.types import JsonValue

SETTINGS = Settings(device="cpu", threads_per_trial=1, dtype="float32")


def made_up_data() -> FitData:
    rng = np.random.default_rng(0)
    target = np.arange(64) % 2
    pixels = rng.integers(0, 120, (64, 12, 12, 3)) + 10 * target[:, None, None, None]
    rows = rng.permutation(64)
    return FitData(
        inputs=Inputs(images=Images.of_array(pixels.astype(np.uint8))),
        target=target,
        heads=(Head(task="binary", classes=("no", "yes"), metric=LOG_LOSS),),
        metric=LOG_LOSS,
        train_rows=np.sort(rows[:40]),
        valid_rows=np.sort(rows[40:52]),
        inner_rows=np.sort(rows[52:]),
        fold=0,
        id_hashes=id_hashes(map(str, range(64))),
        sample_ids=np.array([f"s{row}" for row in range(64)]),
    )


def fitted(**values: JsonValue) -> Fit:
    given: dict[str, JsonValue] = {
        "model": "small_resnet", "model_args": {"width": 4, "blocks": [1]}, "image_size": 12, "batch_size": 8,
        "epochs": 6, "lr": 3e-2, "schedule": "constant", "epoch_rule": "inner", **values,
    }  # fmt: skip
    hyperparameters = parse_hyperparameters(given, where="here")
    fit = Fit(made_up_data(), hyperparameters, SETTINGS)
    list(fit.epochs())
    return fit


def averages(seed: int) -> Fit:
    """Return a fit whose mean of three epochs predicts."""
    fit = fitted(average_best=3, seed=seed)
    assert fit.averaged_epochs, "the data is such that the mean is the better one"
    return fit


def test_the_mean_of_the_best_epochs_predicts() -> None:
    fit = averages(seed=1)
    scores = [epoch.inner_score for epoch in fit.state.history if epoch.inner_score is not None]
    best = sorted(range(1, 7), key=lambda epoch: scores[epoch - 1])[:3]
    assert list(fit.averaged_epochs) == best
    assert fit.epoch == best[0]
    mean = mean_of_weights([each.weights for each in fit.state.epoch_selection.best])
    parameters = [name for name, _ in fit.state.model.named_parameters()]
    assert all(torch.equal(fit.weights[name], mean[name]) for name in parameters)
    inner = made_up_data().inner_rows
    assert inner is not None
    values = fit.predictor.values(made_up_data().inputs, inner)
    assert LOG_LOSS.score(made_up_data().target[inner], values) <= min(scores)


def test_batch_norm_counts_the_training_rows_anew_under_the_mean() -> None:
    fit = averages(seed=1)
    mean = mean_of_weights([each.weights for each in fit.state.epoch_selection.best])
    norms = [name for name, module in fit.predictor.model.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all(not torch.equal(fit.weights[f"{name}.running_var"], mean[f"{name}.running_var"]) for name in norms)
    seen: list[Tensor] = []
    first = next(module for module in fit.predictor.model.modules() if isinstance(module, nn.BatchNorm2d))
    first.register_forward_hook(lambda module, given, output: seen.append(given[0]))
    fit.predictor.values(made_up_data().inputs, made_up_data().train_rows)  # the epochs augment nothing
    rows = torch.cat(seen)
    assert first.running_mean is not None
    assert torch.allclose(first.running_mean, rows.mean(dim=(0, 2, 3)), atol=1e-5)
    assert not any(module.training for module in fit.predictor.model.modules())
    assert first.momentum is not None


def test_the_best_alone_predicts_where_the_mean_scores_worse() -> None:
    model = nn.Linear(1, 1)
    weights = [{"weight": torch.full((1, 1), value), "bias": torch.zeros(1)} for value in (1.0, 3.0)]
    best = [ChosenEpoch(epoch=4, score=0.5, weights=weights[0]), ChosenEpoch(epoch=2, score=0.6, weights=weights[1])]
    assert load_best(model, best, lambda norms, epoch: 0.51, LOG_LOSS) == ()
    assert model.weight.item() == 1.0
    assert load_best(model, best, lambda norms, epoch: 0.5, LOG_LOSS) == (4, 2)
    assert model.weight.item() == 2.0


def test_what_all_weights_share_stays_to_the_last_bit_and_is_not_counted_anew() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3))
    first = {
        name: torch.rand_like(each) if each.is_floating_point() else each for name, each in model.state_dict().items()
    }
    other = {**first, "1.running_mean": first["1.running_mean"] + 1}
    assert load_mean(model, [first, other, first]) == [model[1]]
    mean = model.state_dict()
    assert all(torch.equal(mean[name], first[name]) for name in first if name != "1.running_mean")
    assert torch.allclose(mean["1.running_mean"], first["1.running_mean"] + 1 / 3)


def test_the_best_are_kept_in_their_order_the_first_of_equals_before() -> None:
    training = TrainingHyperparameters(epoch_rule="inner", average_best=3, patience=3)
    selection = EpochSelection(training, AUC)
    for epoch, score in enumerate([0.5, 0.8, 0.8, 0.6, 0.9, 0.4, 0.85], start=1):
        selection.see(epoch, score, lambda epoch=epoch: {"w": torch.tensor(epoch)})  # type: ignore[misc]
    assert [each.epoch for each in selection.best] == [5, 7, 2]
    assert not selection.is_over
    resumed = EpochSelection(training, AUC)
    resumed.load(*selection.state())
    assert resumed.state() == selection.state()
    assert [(each.epoch, each.weights["w"].item()) for each in resumed.best] == [(5, 5), (7, 7), (2, 2)]
    resumed.see(8, 0.1, dict)
    assert resumed.is_over


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"epochs": 4, "evaluate_every": 2, "average_best": 3},
            "expected at most 2, the epochs that are evaluated, got 3",
        ),
        ({"average_best": 2, "swa_epochs": 2}, "expected 1 with swa_epochs: one average predicts, got 2"),
    ],
)
def test_what_cannot_be_averaged_is_refused(values: dict[str, JsonValue], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Hyperparameters(**{"epoch_rule": "inner", **values})
