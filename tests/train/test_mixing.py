from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from kaggle_ray.config import Hyperparameters
from kaggle_ray.data.head import Head
from kaggle_ray.errors import ConfigError
from kaggle_ray.images.augment import id_hashes
from kaggle_ray.images.cache import Images
from kaggle_ray.metrics import LOG_LOSS, RMSE
from kaggle_ray.testing.toy import TINY
from kaggle_ray.train.batches import EpochBatches
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.losses.objective import Objective
from kaggle_ray.train.on_device import Finisher
from kaggle_ray.types import FloatArray

NUM, SIDE = 12, 8
KIND = Head(name="kind", task="multiclass", classes=tuple("abcdefghijkl"), metric=LOG_LOSS)
AGE = Head(name="age", task="regression", metric=RMSE)


def fit_data(*, num_views: int = 1, table: FloatArray | None = None, heads: tuple[Head, ...] = (KIND,)) -> FitData:
    """Return rows that each are a class of their own; a row's pixels say its number, those of a second view add 100."""
    numbers = np.repeat(np.arange(NUM), num_views) + 100 * (np.arange(NUM * num_views) % num_views)
    pixels = np.broadcast_to(numbers[:, None, None, None], (len(numbers), SIDE, SIDE, 3)).astype(np.uint8)
    ids = [f"a{row}/{view}" for row in range(NUM) for view in range(num_views)]
    return FitData(
        inputs=Inputs(images=Images.of_array(pixels), num_views=num_views, table=table),
        target=np.arange(NUM) if len(heads) == 1 else np.column_stack([np.arange(NUM), np.arange(NUM) / 10]),
        heads=heads,
        metric=LOG_LOSS,
        train_rows=np.arange(NUM),
        valid_rows=np.arange(0),
        fold=0,
        id_hashes=id_hashes(ids),
    )


def batches(data: FitData, *, accumulate: int = 1, **values: float) -> list[tuple[Tensor, Tensor | None, Tensor]]:
    """Return images, table and targets of an epoch's pieces."""
    hyperparameters = Hyperparameters(**{**TINY, "batch_size": NUM // 2, "accumulate": accumulate, **values})
    finish = Finisher(data, Objective(data, hyperparameters.loss), "none", torch.device("cpu"))
    pieces = EpochBatches(data, hyperparameters, 1, uses_images=True)
    finished = [finish(pieces[number]) for number in range(len(pieces))]
    return [(_there(images), table, targets.main) for (images, table), targets in finished]


def _there(images: Tensor | None) -> Tensor:
    assert images is not None
    return images


def number_of(targets: Tensor) -> Tensor:
    """Return (N,) the mean of the rows' numbers by the shares that soft targets (N, NUM) have of them."""
    return targets[:, :NUM] @ torch.arange(NUM).float()


def test_all_views_of_a_sample_are_mixed_by_the_share_of_its_target() -> None:
    for images, _, targets in batches(fit_data(num_views=2), mixup=1.0):
        assert images.shape == (NUM // 2, 2, 3, SIDE, SIDE)
        assert (targets.max(dim=1).values < 1).any()
        for view in range(2):
            expected = (number_of(targets) + 100 * view) / 255
            assert torch.allclose(images[:, view].mean(dim=(1, 2, 3)), expected, atol=1e-5)


def test_all_views_of_a_sample_are_cut_in_the_same_place() -> None:
    for images, _, targets in batches(fit_data(num_views=2), cutmix=1.0):
        first, second = images[:, 0] * 255, images[:, 1] * 255 - 100
        assert torch.allclose(first, second, atol=1e-3)
        assert torch.allclose(first.mean(dim=(1, 2, 3)), number_of(targets), atol=1e-3)


@pytest.mark.parametrize("num_views", [1, 2])
def test_a_table_is_mixed_by_the_share_of_its_images(num_views: int) -> None:
    table = np.column_stack([np.arange(NUM), 10.0 - np.arange(NUM)]).astype(np.float32)
    for images, mixed, targets in batches(fit_data(num_views=num_views, table=table), mixup=0.5):
        assert mixed is not None
        first = images if num_views == 1 else images[:, 0]
        assert torch.allclose(mixed[:, 0], number_of(targets), atol=1e-5)
        assert torch.allclose(mixed[:, 1], 10 - number_of(targets), atol=1e-5)
        assert torch.allclose(first.mean(dim=(1, 2, 3)) * 255, number_of(targets), atol=1e-3)


def test_as_many_values_are_missing_after_a_table_is_mixed_as_before() -> None:
    table = np.arange(NUM, dtype=np.float32)[:, None].copy()
    table[::3] = np.nan
    for _, mixed, targets in batches(fit_data(table=table), mixup=1.0):
        assert mixed is not None
        own = targets.argsort(dim=1)[:, -2:]
        for row in range(len(mixed)):
            missing = {number for number in own[row].tolist() if number % 3 == 0 and targets[row, number] > 0}
            if not missing:
                assert mixed[row, 0] == pytest.approx(float(number_of(targets)[row]), abs=1e-5)
            elif not mixed[row].isnan():
                assert float(mixed[row, 0]) in set(own[row].tolist()) - missing
    assert (
        sum(int(mixed.isnan().sum()) for _, mixed, _ in batches(fit_data(table=table), mixup=1.0) if mixed is not None)
        == 4
    )


def test_the_numbers_of_another_head_are_mixed_as_well() -> None:
    table = np.arange(NUM, dtype=np.float32)[:, None].copy()
    for _, mixed, targets in batches(fit_data(table=table, heads=(KIND, AGE)), mixup=1.0):
        ages = np.arange(NUM) / 10
        assert mixed is not None
        assert torch.allclose(targets[:, NUM] * ages.std() + ages.mean(), mixed[:, 0] / 10, atol=1e-5)


@pytest.mark.parametrize("num_views", [1, 2])
def test_a_batch_in_pieces_is_mixed_as_it_is_in_the_whole(num_views: int) -> None:
    data = fit_data(num_views=num_views, table=np.arange(NUM, dtype=np.float32)[:, None].copy())
    whole, pieces = batches(data, mixup=1.0), batches(data, accumulate=3, mixup=1.0)
    for part in range(3):
        assert torch.equal(
            torch.cat([piece[part] for piece in pieces if piece[part] is not None]),  # type: ignore[misc]
            torch.cat([batch[part] for batch in whole if batch[part] is not None]),  # type: ignore[misc]
        )


def test_a_table_is_never_cut() -> None:
    data = fit_data(table=np.zeros((NUM, 1), dtype=np.float32))
    with pytest.raises(ConfigError, match="'cutmix': expected 0 for images that come with a table"):
        batches(data, cutmix=1.0)
