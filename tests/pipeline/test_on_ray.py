"""Whole runs on Ray, which all join one: the bytes of one process, what Tune keeps of them, what is decoded."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kaggle_ray import SearchSpace, choice, log_uniform
from kaggle_ray.config.settings import Machine
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.registry import registrations_undone
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import EpochEnded
from kaggle_ray.testing.crash import descendants
from kaggle_ray.testing.own_parts import FILE
from kaggle_ray.testing.tasks import NUM_TEST, NUM_TRAIN, SIZE, toy_of
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import JsonValue

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.usefixtures("shared_ray")]

BASE: dict[str, JsonValue] = {**TINY, "epochs": 3, "lr": 2e-2}
EXPERIMENTS: list[dict[str, JsonValue]] = [
    BASE,
    {**BASE, "lr": 5e-3, "tta": "hflip"},
    {**BASE, "lr": 5e-3, "seed": 1},
    {**BASE, "epochs": 2, "init_from": {"epochs": 3}},
]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of this module's own, that of Ray's processes, too: they are started after it."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAGGLE_RAY_CACHE", str(folder))
        yield folder


def options_of(runs: Path, data: Path, **others: object) -> RunOptions:
    return RunOptions(
        competition=TOY_FILE, data=data, runs=runs, run_id="x", device="cpu", threads=1, dtype="float32",
        **others,  # type: ignore[arg-type]
    )  # fmt: skip


@dataclass
class Titles:
    """Looks at the titles of all processes at each epoch."""

    seen: set[str] = field(default_factory=set)

    def emit(self, envelope: Envelope) -> None:
        if isinstance(envelope.event, EpochEnded):
            self.seen |= set(subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout.splitlines())

    def close(self) -> None:
        pass


def test_two_slots_train_ensemble_and_refit_to_the_bytes_of_one_process_and_tunes_own_tools_find_each_trial_by_its_name(
    toy_data: Path, tmp_path: Path
) -> None:
    from ray.tune import ExperimentAnalysis

    options = options_of(tmp_path / "here", toy_data, experiments=EXPERIMENTS, refit=True, launcher="local")
    here = execute(options)
    titles, results = Titles(), tmp_path / "results"
    on_ray = execute(
        dataclasses.replace(options, runs=tmp_path / "ray", launcher="ray", num_slots=2, tune_results=results),
        reporters=[titles],
    )
    assert on_ray.num_epochs_trained == here.num_epochs_trained
    assert on_ray.submission.read_bytes() == here.submission.read_bytes()
    assert here.refit is not None
    assert on_ray.refit is not None
    assert on_ray.refit.read_bytes() == here.refit.read_bytes()

    names = [f"small_resnet-init_from-lr0.005-seed0-fold{fold}" for fold in (0, 1)]
    session, of_refit = sorted(results.iterdir())
    folders = {folder.name for folder in session.iterdir() if folder.is_dir()}
    assert len(folders) == len(EXPERIMENTS) * 2
    assert folders >= set(names), folders
    assert {f"ray::{name}" for name in folders} & titles.seen, "Ray's dashboard shows processes by their titles"
    assert [folder for folder in of_refit.iterdir() if folder.name.endswith("-full")]
    for name in names:
        assert list((session / name).glob("events.out.tfevents.*")), "TensorBoard's"
    analysis = ExperimentAnalysis(str(session))
    table = analysis.dataframe(metric="epoch", mode="max")
    assert set(table["config/trial"]) == folders
    assert sorted(table["epoch"]) == [2] * 2 + [3] * 6
    assert table["score"].notna().all()
    assert {tuple(frame["epoch"].unique()) for frame in analysis.trial_dataframes.values()} == {(1, 2), (1, 2, 3)}
    assert not any("kaggle_ray_message" in column for column in table.columns)


def test_two_slots_propose_and_submit_what_one_process_does_by_parts_of_the_competitions_own_file(
    toy_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "own_parts.py").write_text(FILE)
    space = SearchSpace(
        base={**TINY, "epochs": 1, "loss": "squared"},
        search={"lr": log_uniform(1e-4, 1e-1), "augment": choice(["none", "light"])},
    )
    options = options_of(
        tmp_path / "alone", toy_data, space=space, search="tpe", num_experiments=5, round_size=2, launcher="local"
    )
    options = dataclasses.replace(
        options, competition=tmp_path / "own_parts.py", ensemble="last_two", reporters=["chat"]
    )
    with registrations_undone():
        alone = execute(options)
    with registrations_undone():
        at_once = execute(dataclasses.replace(options, runs=tmp_path / "ray", launcher="ray", num_slots=2))
    assert at_once.ensemble is not None
    assert len(at_once.ensemble.weights) == 2
    assert (tmp_path / "chat.txt").read_text().split().count("RunEnded") == 2
    assert at_once.tried == alone.tried
    assert at_once.submission.read_bytes() == alone.submission.read_bytes()


# Images and masks are decoded once, whatever the number of processes, folds, experiments, epochs ----------------------

NUM_EPOCHS, NUM_SIZES = 2, 2
UNIQUE_MASKS = 2
"""A square on the left or on the right."""
UNIQUE = NUM_TRAIN + NUM_TEST + UNIQUE_MASKS
THUMBNAILS = NUM_TRAIN + NUM_TEST
"""Small grey images that the search for near-duplicates compares: a stored size of their own, decoded by the driver."""


def stored_pixels(cache: Path) -> dict[str, int]:
    """Return the inode of each file of decoded images."""
    return {str(file): file.stat().st_ino for file in cache.glob("images/*/pixels.npy")}


@dataclass
class MappedPages:
    """Looks at what the trials' processes have mapped of the cache, whenever an epoch ends."""

    cache: Path
    inodes: dict[int, dict[str, int]] = field(default_factory=dict)
    """Process -> file -> inode."""
    anonymous_kib: dict[int, int] = field(default_factory=dict)
    """Process -> resident pages of those mappings that are its own copies, not the page cache's, at the most."""

    def emit(self, envelope: Envelope) -> None:
        if isinstance(envelope.event, EpochEnded):
            for process_id, command in descendants(os.getpid()).items():
                if command.startswith("ray::"):
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
            if str(self.cache) in head:
                permissions, inode, file = (head.split()[column] for column in (1, 4, 5))
                assert permissions.startswith("r--"), head
                self.inodes.setdefault(process_id, {})[file] = int(inode)
                kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith(" kB")}
                self.anonymous_kib[process_id] = max(self.anonymous_kib.get(process_id, 0), kib["Anonymous"])


def test_processes_decode_each_image_and_mask_once_per_stored_size_and_map_the_same_pages(
    cache: Path, tmp_path: Path
) -> None:
    file = tmp_path / "toy_masks.py"
    file.write_text("from kaggle_ray.testing.tasks import toy_of\n\nCOMPETITION = toy_of('masks')\n")
    base = toy_of("masks").default_space(Machine(num_cpus=1, num_gpus=0).settings()).base
    differing: list[dict[str, JsonValue]] = [{"lr": 1e-2}, {"lr": 1e-3}, {"image_size": SIZE + 8}]
    assert base["image_size"] == SIZE
    before, pages = stored_pixels(cache), MappedPages(cache)
    options = dataclasses.replace(
        options_of(tmp_path / "runs", tmp_path / "data", launcher="ray", num_slots=2),
        competition=file,
        experiments=[{**base, "epochs": NUM_EPOCHS, **each} for each in differing],
    )
    result = execute(options, reporters=[pages])
    assert result.num_epochs_trained == len(differing) * 2 * NUM_EPOCHS
    assert result.decoded_images == NUM_SIZES * UNIQUE + THUMBNAILS

    files = {name: inode for name, inode in stored_pixels(cache).items() if name not in before}
    assert len(files) == 3 * NUM_SIZES + 2, "train, test and masks of each size, and the thumbnails of train and test"
    assert len(pages.inodes) >= 2, "two processes or more"
    for mapped in pages.inodes.values():
        assert mapped.items() <= files.items()
        assert len(mapped) >= 3
    assert set(pages.anonymous_kib.values()) == {0}, "the page cache holds one copy for all processes"
