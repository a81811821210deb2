"""Every place for checkpoints keeps the contract, and the contract refuses those that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.checkpoints_contract import check_checkpoints
from kaggle_ray.train.checkpoint import NoCheckpoints, StoredCheckpoints
from kaggle_ray.types import Trial

TRIAL = Trial(experiment_id="a" * 12, fold=0)


def test_the_checkpoint_in_the_store_keeps_the_contract(tmp_path: Path) -> None:
    check_checkpoints(lambda: StoredCheckpoints(open_run(tmp_path), TRIAL))


def test_a_fit_that_nobody_goes_on_with_keeps_the_contract() -> None:
    check_checkpoints(NoCheckpoints, keeps=False)


class InMemory:
    """Is gone with the process."""

    def __init__(self) -> None:
        self._data: bytes | None = None

    def load(self) -> bytes | None:
        return self._data

    def save(self, data: bytes) -> None:
        self._data = data


class InPlace:
    """Writes over the checkpoint before, a part at a time."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def load(self) -> bytes | None:
        return self._file.read_bytes() if self._file.exists() else None

    def save(self, data: bytes) -> None:
        with self._file.open("wb") as file:
            for start in range(0, len(data), 10_000):
                file.write(data[start : start + 10_000])
                file.flush()


class NeverCut(InPlace):
    """Leaves what was beyond the end."""

    def save(self, data: bytes) -> None:
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(data)


def test_a_place_that_breaks_the_contract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="another attempt does not find the checkpoint"):
        check_checkpoints(InMemory)
    with pytest.raises(AssertionError, match="not written as a whole"):
        check_checkpoints(lambda: InPlace(tmp_path / "in place"))
    with pytest.raises(AssertionError, match="something of the longer one is left"):
        check_checkpoints(lambda: NeverCut(tmp_path / "never cut"))
    with pytest.raises(AssertionError, match="the checkpoint is not what was saved"):
        check_checkpoints(NoCheckpoints)
