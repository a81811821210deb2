"""A run of made-up predictions of masks, as large as a test wants it: nothing is trained and no image is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kaggle_ray.data.competition import Competition, MaskSize
from kaggle_ray.rows import LazyRows, blocks
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import RunStore
from kaggle_ray.testing.tasks import toy_of
from kaggle_ray.types import ByteArray, Experiment, Folds, IntArray, Lineage, StrArray, Trial, TrialResult

_NOISE = 100
"""Largest noise of 255: an edge of the predictions is blurred, and no more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskRun:
    """What is to be made up."""

    num_train: int
    num_test: int
    height: int
    width: int
    num_experiments: int = 2
    num_folds: int = 2

    @property
    def num_pixels(self) -> int:
        """P."""
        return self.height * self.width

    @property
    def num_bytes(self) -> int:
        """What all predictions take together."""
        rows = self.num_experiments * (self.num_train + self.num_folds * self.num_test)
        return rows * self.num_pixels

    @property
    def folds(self) -> Folds:
        """The fold plan."""
        return Folds(
            sample_ids=np.array([f"a{number:05d}" for number in range(self.num_train)]),
            fold_of=(np.arange(self.num_train) % self.num_folds).astype(np.int8),
            num_folds=self.num_folds,
            seed=0,
            digest="f" * 12,
        )

    @property
    def test_ids(self) -> StrArray:
        """(T,) ids of the rows to predict."""
        return np.array([f"b{number:05d}" for number in range(self.num_test)])

    @property
    def experiments(self) -> tuple[Experiment, ...]:
        """Experiments that the predictions are of."""
        names = [f"e{number}" for number in range(self.num_experiments)]
        return tuple(Experiment(experiment_id=name, name=name, hyperparameters={"model": name}) for name in names)

    @property
    def target(self) -> LazyRows:
        """(N, P) masks: a rectangle in each image, elsewhere in each."""
        return LazyRows((self.num_train, self.num_pixels), self._truth)

    @property
    def competition(self) -> Competition:
        """The competition that the predictions are for; its files are not there."""
        size = MaskSize(full_height=self.height, full_width=self.width, height=self.height, width=self.width)
        toy = toy_of("masks")
        return Competition(
            name=toy.name, heads=toy.heads, read=toy.read, submission=toy.submission,
            default_space=toy.default_space, mask=size,
        )  # fmt: skip

    def write(self, run_dir: Path) -> RunStore:
        """Commit every trial of the run, its predictions written as they are made up."""
        store, folds = open_run(run_dir), self.folds
        for number, experiment in enumerate(self.experiments):
            for fold in range(self.num_folds):
                trial = Trial(experiment_id=experiment.experiment_id, fold=fold)
                attempt, seed = store.attempt(trial), number * self.num_folds + fold
                valid_rows = folds.valid_rows(fold)
                attempt.put_values("valid", self._predicted(valid_rows, seed), num_rows=len(valid_rows))
                test_rows = np.arange(self.num_test)
                attempt.put_values("test", self._predicted(test_rows, seed), num_rows=self.num_test)
                lineage = Lineage(folds_digest=folds.digest, trained_rows=folds.fold_of != fold)
                attempt.put_manifest(folds.sample_ids[valid_rows], self.test_ids, lineage)
                attempt.commit(TrialResult(trial=trial, status="committed", attempt_id="", score=0.5))
        return store

    def _truth(self, rows: IntArray) -> ByteArray:
        masks = np.zeros((len(rows), self.height, self.width), dtype=np.uint8)
        for mask, row in zip(masks, rows.tolist(), strict=True):
            top, left = row % (self.height // 2), 3 * row % (self.width // 2)
            mask[top : top + self.height // 2, left : left + self.width // 2] = 1
        return masks.reshape(len(rows), -1)

    def _predicted(self, rows: IntArray, seed: int) -> Iterator[ByteArray]:
        """Yield the truth with noise, and the left edge of each rectangle blurred in another way by each seed."""
        rng = np.random.default_rng(seed)
        wanted = LazyRows((len(rows), self.num_pixels), lambda positions: self._truth(rows[positions]))
        for block in blocks(wanted):
            noise = rng.integers(0, _NOISE, (block.stop - block.start, self.num_pixels), dtype=np.uint8)
            shift = int(rng.integers(0, 3))
            yield np.roll(wanted[block], shift, axis=1) * np.uint8(255 - _NOISE) + noise
