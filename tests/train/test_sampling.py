from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kaggle_ray.config import Hyperparameters
from kaggle_ray.data.head import Head
from kaggle_ray.errors import ConfigError
from kaggle_ray.images.cache import Images
from kaggle_ray.metrics import LOG_LOSS, metric_by_name
from kaggle_ray.registry import registrations_undone
from kaggle_ray.testing.sampler_contract import check_sampler
from kaggle_ray.train.batches import Batch, EpochBatches
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.sampling import SAMPLERS, RowsToSample, check_samplable, register_sampler, repeats_of
from kaggle_ray.types import IntArray, JsonValue

NUM = 40
KIND = Head(task="multiclass", classes=("common", "rare"), metric=LOG_LOSS)
TAGS = Head(task="multilabel", classes=("x", "y"), metric=metric_by_name("f2"))
TARGET = (np.arange(NUM) % 10 == 0).astype(np.int64)  # every tenth row is rare


def fold(**changed: object) -> FitData:
    pixels = np.random.default_rng(0).integers(0, 256, (NUM, 8, 8, 3), dtype=np.uint8)
    data = FitData(
        inputs=Inputs(images=Images.of_array(pixels)), target=TARGET, heads=(KIND,), metric=LOG_LOSS,
        train_rows=np.arange(NUM), valid_rows=np.arange(0), fold=0, id_hashes=np.arange(NUM).astype(np.uint64),
        weights=np.where(np.arange(NUM) < 10, 4.0, 0.0).astype(np.float32),
    )  # fmt: skip
    return dataclasses.replace(data, **changed)  # type: ignore[arg-type]


def pieces(
    data: FitData, sampler: str, *, epoch: int = 1, rank: int = 0, world_size: int = 1, **changed: JsonValue
) -> list[Batch]:
    hyperparameters = Hyperparameters(image_size=8, batch_size=8, sampler=sampler, **changed)
    batches = EpochBatches(data, hyperparameters, epoch, uses_images=True, rank=rank, world_size=world_size)
    return [batches[number] for number in range(len(batches))]


def rows_of(batches: list[Batch]) -> IntArray:
    return np.concatenate([batch.rows for batch in batches])


def test_balanced_draws_each_class_equally_often_and_each_of_its_rows() -> None:
    counts = np.bincount(rows_of(pieces(fold(), "balanced")), minlength=NUM)
    assert counts[TARGET == 1].tolist() == [5] * 4
    assert counts[TARGET == 0].sum() == NUM // 2
    assert counts[TARGET == 0].max() == 1


def test_balanced_draws_a_row_of_labels_as_its_rarest_one() -> None:
    labels = np.stack([np.ones(NUM, dtype=np.int64), TARGET], axis=1)
    counts = np.bincount(rows_of(pieces(fold(heads=(TAGS,), target=labels), "balanced")), minlength=NUM)
    assert counts[TARGET == 1].tolist() == [5] * 4, "half of all, by the rarer label; what has the other alone is half"


def test_weighted_draws_by_the_weights_and_leaves_the_loss_alone() -> None:
    batches = pieces(fold(), "weighted")
    assert np.bincount(rows_of(batches)).tolist() == [4] * 10
    assert all(batch.weights is None for batch in batches)
    assert all(batch.weights is not None for batch in pieces(fold(), "uniform"))


@pytest.mark.parametrize("sampler", ["balanced", "weighted"])
def test_what_is_drawn_is_a_function_of_seed_fold_and_epoch_on_any_number_of_ranks(sampler: str) -> None:
    alone = pieces(fold(), sampler, epoch=2)
    assert np.array_equal(rows_of(alone), rows_of(pieces(fold(), sampler, epoch=2)))
    assert not np.array_equal(rows_of(alone), rows_of(pieces(fold(), sampler, epoch=3)))
    ranks = [pieces(fold(), sampler, epoch=2, rank=rank, world_size=2) for rank in range(2)]
    for batch, *parts in zip(alone, *ranks, strict=True):
        assert np.array_equal(batch.rows, np.concatenate([part.rows for part in parts]))
        assert np.array_equal(batch.keys, np.concatenate([part.keys for part in parts]))


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_a_row_that_comes_again_is_augmented_otherwise(mixup: float) -> None:
    batches = pieces(fold(), "weighted", mixup=mixup)
    own = np.concatenate([batch.keys[: len(batch.rows)] for batch in batches])
    assert len(np.unique(own)) == NUM
    assert len({batch.seed for batch in pieces(fold(), "weighted", accumulate=4)}) == 20


def test_how_often_a_row_came_before_is_counted_over_the_steps() -> None:
    found = repeats_of([np.array([3, 1, 3]), np.array([1, 1]), np.array([0])])
    assert [each.tolist() for each in found] == [[0, 0, 1], [1, 2], [0]]


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_every_sampler_of_ours_keeps_to_the_contract(name: str) -> None:
    check_sampler(SAMPLERS[name])


def test_a_registered_sampler_is_held_to_the_rows() -> None:
    def beyond(rows: RowsToSample, generator: np.random.Generator) -> IntArray:
        return np.arange(len(rows.weights)) + 1

    with registrations_undone():
        register_sampler("beyond")(beyond)
        with pytest.raises(ConfigError, match=r"expected 40 positions of rows, whole numbers of 0\.\.39, got .* to 40"):
            pieces(fold(), "beyond")
        with pytest.raises(AssertionError):
            check_sampler(beyond)


def test_a_sampler_that_has_nothing_to_go_by_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown sampler 'balance'\. Did you mean 'balanced'"):
        check_samplable("balance", [KIND], has_weights=False)
    with pytest.raises(ConfigError, match="expected uniform where no class or label is predicted"):
        check_samplable("balanced", [Head(task="regression", metric=metric_by_name("rmse"))], has_weights=False)
    with pytest.raises(ConfigError, match="weighted draws by Samples"):
        check_samplable("weighted", [KIND], has_weights=False)
    check_samplable("uniform", [KIND], has_weights=False)
