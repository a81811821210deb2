"""Images and masks are decoded once, whatever the number of processes, folds, experiments, epochs and sizes."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kaggle_ray.config.settings import Machine
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import EpochEnded
from kaggle_ray.testing.crash import descendants
from kaggle_ray.testing.tasks import NUM_TEST, NUM_TRAIN, SIZE, toy_of
from kaggle_ray.types import JsonValue

pytestmark = [pytest.mark.slow, pytest.mark.ray]

NUM_EPOCHS = 2
UNIQUE_MASKS = 2
"""A square on the left or on the right."""
UNIQUE = NUM_TRAIN + NUM_TEST + UNIQUE_MASKS
THUMBNAILS = NUM_TRAIN + NUM_TEST
"""Side of the small grey images that the search for near-duplicates compares: a stored size of their own, decoded by
the driver."""


@dataclass
class MappedPages:
    """Looks at what the trials' processes have mapped of the cache, whenever an epoch ends."""

    cache_dir: Path
    inodes: dict[int, dict[str, int]] = field(default_factory=dict)
    """Process -> file -> inode."""
    anonymous_kib: dict[int, int] = field(default_factory=dict)
    """Process -> resident pages of those mappings that are its own copies, not the page cache's, at the most."""

    def emit(self, envelope: Envelope) -> None:
        if isinstance(envelope.event, EpochEnded):
            for process_id, command in descendants(os.getpid()).items():
                if "FoldTrial" in command:
                    self._look(process_id)

    def close(self) -> None:
        """Nothing to close."""

    def _look(self, process_id: int) -> None:
        try:
            text = Path(f"/proc/{process_id}/smaps").read_text()
        except OSError:  # it has ended
            return
        for mapping in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", text):
            head, *lines = mapping.splitlines()
            if str(self.cache_dir) in head:
                permissions, inode, file = (head.split()[column] for column in (1, 4, 5))
                assert permissions.startswith("r--"), head
                self.inodes.setdefault(process_id, {})[file] = int(inode)
                kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith(" kB")}
                self.anonymous_kib[process_id] = max(self.anonymous_kib.get(process_id, 0), kib["Anonymous"])


def run_masks(
    folder: Path, hyperparameter_sets: list[dict[str, JsonValue]], monkeypatch: pytest.MonkeyPatch
) -> tuple[RunResult, MappedPages]:
    monkeypatch.setenv("KAGGLE_RAY_CACHE", str(folder / "cache"))
    file = folder / "toy_masks.py"
    file.write_text("from kaggle_ray.testing.tasks import toy_of\n\nCOMPETITION = toy_of('masks')\n")
    base = toy_of("masks").default_space(Machine(num_cpus=1, num_gpus=0).settings()).base
    pages = MappedPages(folder / "cache")
    result = execute(
        RunOptions(
            competition=file, experiments=[{**base, "epochs": NUM_EPOCHS, **each} for each in hyperparameter_sets],
            data=folder / "data", runs=folder / "runs", device="cpu", threads=1, dtype="float32", num_slots=2,
        ),
        reporters=[pages],
    )  # fmt: skip
    assert result.num_epochs_trained == len(hyperparameter_sets) * 2 * NUM_EPOCHS
    return result, pages


def check_shared(pages: MappedPages, *, num_sizes: int) -> None:
    """Check that two processes or more mapped the same files, once each: train, test and masks of every size."""
    files = {str(file): file.stat().st_ino for file in pages.cache_dir.glob("images/*/pixels.npy")}
    assert len(files) == 3 * num_sizes + 2  # and the thumbnails of train and test
    assert len(pages.inodes) >= 2
    for mapped in pages.inodes.values():
        assert mapped.items() <= files.items()
        assert len(mapped) >= 3
    assert set(pages.anonymous_kib.values()) == {0}, "the page cache holds one copy for all processes"


def test_processes_of_ray_decode_each_image_and_mask_once_and_map_the_same_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, pages = run_masks(tmp_path, [{"lr": 1e-2}, {"lr": 1e-3}], monkeypatch)
    assert result.decoded_images == UNIQUE + THUMBNAILS
    check_shared(pages, num_sizes=1)


def test_processes_of_ray_decode_each_image_and_mask_once_per_stored_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hyperparameter_sets: list[dict[str, JsonValue]] = [{"image_size": SIZE}, {"image_size": SIZE + 8}]
    result, pages = run_masks(tmp_path, hyperparameter_sets, monkeypatch)
    assert result.decoded_images == 2 * UNIQUE + THUMBNAILS
    check_shared(pages, num_sizes=2)
