from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Generator
from contextlib import closing
from typing import cast

import numpy as np
import pytest

from kaggle_ray.config import Hyperparameters, parse_hyperparameters
from kaggle_ray.data.head import Head
from kaggle_ray.errors import ConfigError
from kaggle_ray.images.augment import id_hashes
from kaggle_ray.images.cache import Images
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.testing.toy import TINY
from kaggle_ray.train.batches import Batch, EpochBatches
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.loading import made_ahead

NUM_ROWS = 40


@pytest.fixture(scope="module")
def data() -> FitData:
    pixels = np.random.default_rng(0).integers(0, 256, (NUM_ROWS, 20, 20, 3), dtype=np.uint8)
    rows = np.arange(NUM_ROWS)
    return FitData(
        inputs=Inputs(images=Images.of_array(pixels)), target=rows % 2, train_rows=rows, valid_rows=rows[:4], fold=0,
        heads=(Head(task="binary", classes=("cat", "dog"), metric=LOG_LOSS),), metric=LOG_LOSS,
        id_hashes=id_hashes(map(str, rows)),
    )  # fmt: skip


def batches_of(data: FitData, recipe: str) -> EpochBatches:
    return EpochBatches(data, hyperparameters_of(recipe), 1, uses_images=True)


def hyperparameters_of(recipe: str) -> Hyperparameters:
    return parse_hyperparameters({**TINY, "augment": recipe, "batch_size": 3}, where="here")


@pytest.mark.parametrize("recipe", ["none", "heavy", "medium"])
@pytest.mark.parametrize("num_threads", [1, 4])
def test_threads_change_no_bit(data: FitData, recipe: str, num_threads: int) -> None:
    batches = batches_of(data, recipe)
    numbers = range(2, len(batches))
    made = list(made_ahead(batches, numbers, num_threads=num_threads))
    assert [batch.step for batch in made] == list(numbers)
    for batch in made:
        for field in dataclasses.fields(Batch):
            np.testing.assert_equal(getattr(batch, field.name), getattr(batches[batch.step], field.name))


class Counted:
    """Pieces that are numbers, of which one may fail."""

    def __init__(self, *, fails_at: int = -1) -> None:
        self.made: list[int] = []
        self.made_by: set[str] = set()
        self._fails_at = fails_at

    def __getitem__(self, number: int) -> int:
        self.made.append(number)
        self.made_by.add(threading.current_thread().name)
        if number == self._fails_at:
            raise ConfigError("augmentation 'mine': no such file.")
        return number


def ahead(pieces: Counted, num: int, *, num_threads: int = 1) -> Generator[int]:
    return cast("Generator[int]", made_ahead(cast(EpochBatches, pieces), range(num), num_threads=num_threads))


def test_the_next_pieces_are_made_while_one_is_used() -> None:
    pieces = Counted()
    with closing(ahead(pieces, 100)) as numbers:
        assert next(numbers) == 0
        deadline = time.monotonic() + 10
        while len(pieces.made) < 3 and time.monotonic() < deadline:
            time.sleep(0.001)
    assert pieces.made == [0, 1, 2], "two more than were asked for, and no further ones"
    assert all(name.startswith("batches") for name in pieces.made_by)


def test_threads_end_with_the_iterator() -> None:
    numbers = ahead(Counted(), 100, num_threads=2)
    next(numbers)
    del numbers
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_what_a_piece_raises_comes_after_the_pieces_before_it() -> None:
    numbers = ahead(Counted(fails_at=3), 100, num_threads=4)
    assert [next(numbers) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ConfigError, match="augmentation 'mine'"):
        next(numbers)
