"""Auxiliary heads: learnt and scored beside what is predicted, and no part of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from kaggle_ray.config import Hyperparameters, LossHyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.head import Head
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.images.cache import Images
from kaggle_ray.metrics import LOG_LOSS, metric_by_name
from kaggle_ray.models import Shapes, build_model
from kaggle_ray.train.batches import EpochBatches
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.loop import Fit
from kaggle_ray.train.losses.auxiliary import AuxiliaryOutputs, split_by_head
from kaggle_ray.train.losses.objective import Objective, Targets
from kaggle_ray.types import Float64Array, JsonValue

NUM, SIDE = 24, 16
ROWS = np.arange(NUM)
LIGHT = Head(task="binary", classes=("dark", "light"), metric=LOG_LOSS)
KIND = Head(
    name="kind", task="multiclass", classes=("a", "b", "c"), metric=metric_by_name("accuracy"), loss_weight=0.5,
    metrics=("log_loss",),
)  # fmt: skip
AGE = Head(name="age", task="regression", metric=metric_by_name("rmse"), loss_weight=0.25)
MASKS = Head(name="square", task="segmentation", classes=("square",), metric=metric_by_name("dice"))
SETTINGS = Settings(device="cpu", threads_per_trial=1, dtype="float32")
PLAIN: dict[str, JsonValue] = {
    "model": "small_resnet", "model_args": {"width": 8, "blocks": [1]}, "image_size": SIDE, "batch_size": 8,
    "epochs": 8, "lr": 2e-2,
}  # fmt: skip
SEGMENTER: dict[str, JsonValue] = {**PLAIN, "model": "unet", "model_args": {"width": 4, "depth": 2}}


def target_of_heads() -> Float64Array:
    """Return a class and a number of each row: every third class is not known, and every fourth number."""
    kinds = np.where(ROWS % 3 == 1, np.nan, ROWS % 2)
    return np.column_stack([kinds, np.where(ROWS % 4 == 2, np.nan, 100.0 + ROWS)])


def fold(*, auxiliary: tuple[Head, ...] = (KIND, AGE), segments: bool = False) -> FitData:
    """Return rows whose even ones are dark and have a square on the left."""
    is_odd = ROWS % 2 == 1
    pixels = np.random.default_rng(0).integers(0, 80, (NUM, SIDE, SIDE, 3), dtype=np.uint8)
    pixels[is_odd] += 120
    masks = np.zeros((NUM, SIDE, SIDE, 1), dtype=np.uint8)
    masks[:, 4:12, 2:8] = 255
    pixels[:, 4:12, 2:8] += 50
    of_masks = any(head.task == "segmentation" for head in (*auxiliary, *([MASKS] if segments else [])))
    return FitData(
        inputs=Inputs(images=Images.of_array(pixels)),
        target=(masks.reshape(NUM, -1) > 0).astype(np.uint8) if segments else is_odd.astype(np.int64),
        heads=(MASKS,) if segments else (LIGHT,),
        metric=(MASKS if segments else LIGHT).metric,
        train_rows=ROWS[:16],
        valid_rows=ROWS[16:],
        fold=0,
        id_hashes=ROWS.astype(np.uint64),
        masks=Images.of_array(masks) if of_masks else None,
        mask_size=(SIDE, SIDE) if segments else None,
        auxiliary_heads=auxiliary,
        auxiliary_target=None if not auxiliary or MASKS in auxiliary else target_of_heads()[:, : len(auxiliary)],
    )


def outputs_of(target: Float64Array) -> AuxiliaryOutputs:
    return AuxiliaryOutputs((KIND, AGE), target, np.arange(len(target)), LossHyperparameters())


def test_each_auxiliary_head_is_scored_in_each_epoch_and_none_is_predicted() -> None:
    data = fold()
    fit = Fit(data, Hyperparameters(**PLAIN), SETTINGS)
    *_, last = fit.epochs()
    assert last.metrics.keys() == {"kind.accuracy", "kind.log_loss", "age.rmse"}
    assert last.metrics["kind.accuracy"] > 0.9
    values = fit.predictor.values(data.inputs, data.valid_rows)
    assert values.shape == (8, 1)
    assert last.score == pytest.approx(LOG_LOSS.score(data.target[data.valid_rows], values), rel=1e-5)
    assert last.valid_loss == pytest.approx(last.score, rel=1e-5)  # of what is predicted alone


def test_rows_whose_truth_is_not_known_have_no_loss_and_no_gradient() -> None:
    target = np.array([[0.0, 1.0], [np.nan, 3.0], [2.0, np.nan], [np.nan, np.nan]])
    outputs = outputs_of(target)
    logits = torch.randn(4, 4, requires_grad=True)
    losses = outputs.sample_losses(logits, outputs.soft_targets(torch.from_numpy(target)))
    losses.sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    known = (logits.grad.abs() > 0).int().tolist()
    assert known == [[1, 1, 1, 1], [0, 0, 0, 1], [1, 1, 1, 0], [0, 0, 0, 0]]
    said = logits.detach()
    entropy = torch.nn.functional.cross_entropy(said[[0, 2], :3], torch.tensor([0, 2]), reduction="none")
    squares = (said[[0, 1], 3] - torch.tensor([-1.0, 1.0])).square()
    # Half of the rows are known: they count twice, so that the head has the weight that it was given.
    expected = torch.tensor([0.5 * 2 * entropy[0] + 0.25 * 2 * squares[0], 0.25 * 2 * squares[1], entropy[1], 0.0])
    assert torch.allclose(losses, expected)


def test_the_heads_share_the_loss_by_their_weights() -> None:
    data = fold(auxiliary=(KIND,))
    objective = Objective(data, LossHyperparameters())
    assert objective.auxiliary is not None
    output = (torch.randn(NUM, 1), torch.randn(NUM, 3))
    auxiliary = objective.auxiliary.soft_targets(torch.from_numpy(data.auxiliary_target))
    main = objective.outputs.targets(torch.from_numpy(np.asarray(data.target)))
    found = objective.sample_losses(output, Targets(main=main, auxiliary=auxiliary))
    parts = objective.outputs.sample_losses(output[0], main) + objective.auxiliary.sample_losses(output[1], auxiliary)
    assert torch.allclose(found, parts / 1.5)


def test_mixing_with_a_row_that_is_not_known_makes_a_target_that_is_not_known() -> None:
    *_, last = Fit(fold(), Hyperparameters(**PLAIN, mixup=0.4), SETTINGS).epochs()
    assert np.isfinite(last.train_loss)


@pytest.mark.parametrize("model", ["unet", "smp/unet"])
def test_a_mask_is_predicted_and_a_class_learnt_beside_it(model: str) -> None:
    if model.startswith("smp"):
        pytest.importorskip("segmentation_models_pytorch")
        arguments: JsonValue = {
            "encoder": "tu-test_resnet.r160_in1k",
            "encoder_depth": 3,
            "decoder_channels": [8, 8, 8],
        }
        hyperparameters = Hyperparameters(**{**SEGMENTER, "model": model, "model_args": arguments, "epochs": 1})
    else:
        hyperparameters = Hyperparameters(**SEGMENTER)
    data = fold(auxiliary=(KIND,), segments=True)
    fit = Fit(data, hyperparameters, SETTINGS)
    *_, last = fit.epochs()
    assert last.metrics.keys() == {"kind.accuracy", "kind.log_loss"}
    assert fit.predictor.values(data.inputs, data.valid_rows).shape == (8, SIDE * SIDE)
    if model == "unet":
        assert last.score > 0.5  # of the whole image it would be 0.3
        assert last.metrics["kind.accuracy"] > 0.9


def test_a_class_is_predicted_and_a_mask_learnt_beside_it() -> None:
    data = fold(auxiliary=(MASKS,))
    fit = Fit(data, Hyperparameters(**SEGMENTER, augment="light", cutmix=0.5), SETTINGS)
    *_, last = fit.epochs()
    assert last.metrics["square.dice"] > 0.6
    assert fit.predictor.values(data.inputs, data.valid_rows).shape == (8, 1)


def test_a_mask_is_moved_along_with_all_images_of_its_id() -> None:
    data = fold(auxiliary=(MASKS,))
    assert data.masks is not None
    masks = data.masks.read(ROWS)
    images = Images.of_array(masks.repeat(3, axis=3).repeat(2, axis=0))
    twice = dataclasses.replace(
        data, inputs=Inputs(images=images, num_views=2), id_hashes=np.arange(2 * NUM, dtype=np.uint64)
    )
    batches = EpochBatches(twice, Hyperparameters(**SEGMENTER, augment="light"), 1, uses_images=True)
    for batch in (batches[0], batches[1]):
        pixels, moved = batch.pixels.reshape(-1, 2, SIDE, SIDE, 3), batch.auxiliary
        assert moved is not None
        assert all(np.array_equal(pixels[:, view, ..., :1], moved) for view in (0, 1))
        assert not np.array_equal(moved, masks[batch.rows])


def test_a_model_of_whole_images_has_no_auxiliary_masks() -> None:
    with pytest.raises(ConfigError, match="does not segment"):
        build_model("small_resnet", Shapes(num_outputs=1, num_auxiliary_outputs=1, auxiliary_segments=True))


def test_a_loss_by_name_is_that_of_the_heads_and_by_head_names_those_of_auxiliary_ones() -> None:
    assert split_by_head(LossHyperparameters(name="focal", args={"gamma": 1.5}), [KIND])[1].name == "default"
    given = LossHyperparameters(name="by_head", args={"target": {"loss": "bce"}, "kind": {"loss": "focal"}})
    of_heads, of_auxiliary = split_by_head(given, [KIND])
    assert (dict(of_heads.args), dict(of_auxiliary.args)) == ({"target": {"loss": "bce"}}, {"kind": {"loss": "focal"}})


def test_an_auxiliary_head_that_no_training_row_knows_is_refused() -> None:
    data = dataclasses.replace(fold(auxiliary=(KIND,)), auxiliary_target=np.full((NUM, 1), np.nan))
    with pytest.raises(DataError, match="'kind' is known of none of the rows to train on"):
        Objective(data, LossHyperparameters())


def test_a_weight_scales_the_loss_of_its_row() -> None:
    data = fold(auxiliary=())
    objective = Objective(data, LossHyperparameters())
    main = objective.outputs.targets(torch.from_numpy(np.asarray(data.target)))
    logits, weights = torch.randn(NUM, 1), torch.linspace(0, 2, NUM)
    found = objective.sample_losses(logits, Targets(main=main, weights_N=weights))
    assert torch.equal(found, weights * objective.sample_losses(logits, Targets(main=main)))


def test_rows_of_weight_0_teach_nothing() -> None:
    data = fold(auxiliary=())
    wrong = np.asarray(data.target).copy()
    wrong[:8] = 1 - wrong[:8]
    weights = np.where(ROWS < 8, 0.0, 2.0).astype(np.float32)
    taught = dataclasses.replace(data, target=wrong, weights=weights, train_rows=ROWS[:16])
    *_, last = Fit(taught, Hyperparameters(**PLAIN, mixup=0.0), SETTINGS).epochs()
    assert last.score < 0.4
