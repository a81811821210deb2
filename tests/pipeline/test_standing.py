"""What was damaged since it was committed is made anew by the same command, and by nothing else used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kaggle_ray
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.reporters.events import RunWarned
from kaggle_ray.testing.recorder import Recorder
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import JsonValue

EPOCHS = 2
PARENT: dict[str, JsonValue] = {**TINY, "epochs": EPOCHS, "lr": 1e-2}
CHILD: dict[str, JsonValue] = {**PARENT, "lr": 1e-3, "init_from": {"lr": 1e-2}}


def run(runs: Path, data: Path, *reporters: Any, **options: Any) -> RunResult:
    return kaggle_ray.run(
        TOY_FILE, experiments=[PARENT, CHILD], data=data, runs=runs, launcher="local", device="cpu", threads=1,
        run_id="mine", reporters=reporters, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> RunResult:
    return run(tmp_path_factory.mktemp("standing"), toy_data)


@pytest.fixture
def runs(finished: RunResult, tmp_path: Path) -> Path:
    """A folder with a copy of the finished run, to be spoilt."""
    shutil.copytree(finished.run_dir, tmp_path / "runs" / "toy" / "mine")
    return tmp_path / "runs"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def warned_of(recorder: Recorder) -> list[str]:
    events = [envelope.event for envelope in recorder.envelopes]
    return [event.text for event in events if isinstance(event, RunWarned) and event.topic == "damaged_trial"]


@pytest.mark.parametrize("damage", [flip, shorten, empty, zero, Path.unlink])
@pytest.mark.parametrize("name", ["valid.npy", "test.npy", "manifest.json", "weights.safetensors"])
def test_a_trial_whose_file_was_damaged_is_trained_anew_and_named(
    name: str, damage: Callable[[Path], None], runs: Path, toy_data: Path, finished: RunResult
) -> None:
    (folder,) = (runs / "toy" / "mine" / "trials" / finished.plan.experiments[0].experiment_id).glob("fold1")
    (path,) = folder.glob(f"attempts/*/{name}")
    damage(path)
    recorder = Recorder()
    again = run(runs, toy_data, recorder)
    assert again.submission.read_bytes() == finished.submission.read_bytes()
    if name == "weights.safetensors" and damage is Path.unlink:  # those that nobody needs are removed
        assert (again.num_epochs_trained, warned_of(recorder)) == (0, [])
        return
    assert again.num_epochs_trained == EPOCHS
    (text,) = warned_of(recorder)
    assert f"fold1 is run again, as it was damaged: {path}: expected sha256 " in text
    assert run(runs, toy_data).num_epochs_trained == 0
    out = kaggle_ray.predict(again.run_dir, data=toy_data, out=runs / "new.csv")
    assert out.read_bytes() == finished.submission.read_bytes()


@pytest.mark.parametrize("text", ["", "{", '{"schema_version": 3}'])
def test_a_trial_whose_result_cannot_be_read_is_trained_anew(
    text: str, runs: Path, toy_data: Path, finished: RunResult
) -> None:
    path = runs / "toy" / "mine" / "trials" / finished.plan.experiments[1].experiment_id / "fold0" / "result.json"
    path.write_text(text)
    recorder = Recorder()
    again = run(runs, toy_data, recorder)
    assert (again.num_epochs_trained, len(warned_of(recorder))) == (EPOCHS, 1)
    assert str(path) in warned_of(recorder)[0]
    assert again.submission.read_bytes() == finished.submission.read_bytes()


def test_a_result_of_another_fold_is_not_taken_for_a_folds_own(runs: Path, toy_data: Path, finished: RunResult) -> None:
    folder = runs / "toy" / "mine" / "trials" / finished.plan.experiments[0].experiment_id
    shutil.rmtree(folder / "fold0")
    shutil.copytree(folder / "fold1", folder / "fold0")
    again = run(runs, toy_data)
    assert again.num_epochs_trained == EPOCHS
    assert again.submission.read_bytes() == finished.submission.read_bytes()


def test_a_damaged_trial_of_all_rows_is_trained_anew_too(runs: Path, toy_data: Path) -> None:
    first = run(runs, toy_data, refit=True)
    assert first.refit is not None
    before = first.refit.read_bytes()
    flip(next((runs / "toy" / "mine").glob("trials/*/full/attempts/*/test.npy")))
    recorder = Recorder()
    again = run(runs, toy_data, recorder, refit=True)
    assert (again.num_epochs_trained, len(warned_of(recorder))) == (EPOCHS, 1)
    assert again.refit is not None
    assert again.refit.read_bytes() == before


def test_a_failure_stands_whatever_became_of_its_files(tmp_path: Path, toy_data: Path) -> None:
    diverging: dict[str, JsonValue] = {**PARENT, "lr": 1e30}
    for _ in range(2):
        result = kaggle_ray.run(
            TOY_FILE, experiments=[PARENT, diverging], data=toy_data, runs=tmp_path, launcher="local", device="cpu",
            threads=1, reporters=[],
        )  # fmt: skip
        for folder in result.run_dir.glob(f"trials/{result.plan.experiments[1].experiment_id}/fold*"):
            assert json.loads((folder / "result.json").read_text())["status"] == "failed"
            shutil.rmtree(folder / "attempts", ignore_errors=True)
    assert result.num_epochs_trained == 0
