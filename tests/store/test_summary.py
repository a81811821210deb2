"""results.json: what it tells holds for the files that are as they were, and no further."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kaggle_ray.errors import CorruptBlobError
from kaggle_ray.store.local import LocalBlobs
from kaggle_ray.store.opening import open_run
from kaggle_ray.types import Trial, TrialResult

TRIALS = [Trial(experiment_id="e" * 12, fold=fold) for fold in range(3)]


def commit(run: Path, trial: Trial, score: float) -> TrialResult:
    attempt = open_run(run).attempt(trial)
    return attempt.commit(TrialResult(trial=trial, status="committed", attempt_id="", score=score))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two trials that have ended, summed up, and one that has not."""
    open_run(tmp_path).save_summary([commit(tmp_path, trial, 0.5) for trial in TRIALS[:2]])
    return tmp_path


def scores(run: Path) -> list[float | None]:
    return [result.score for result in open_run(run).results(TRIALS).values()]


def test_results_are_read_without_a_file_for_each(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    get = LocalBlobs.get

    def counted(blobs: LocalBlobs, key: str, **how: int) -> bytes | None:
        read.append(key)
        return get(blobs, key, **how)

    monkeypatch.setattr(LocalBlobs, "get", counted)
    assert scores(run) == [0.5, 0.5]
    assert read == ["results.json"]


def test_without_a_summary_each_is_read(run: Path) -> None:
    (run / "results.json").unlink()
    assert scores(run) == [0.5, 0.5]


def test_what_was_committed_since_is_read_and_what_was_removed_is_gone(run: Path) -> None:
    commit(run, TRIALS[2], 0.75)
    open_run(run).remove(TRIALS[0])
    assert scores(run) == [0.5, 0.75]
    commit(run, TRIALS[0], 0.25)
    assert scores(run) == [0.25, 0.5, 0.75]


def test_a_result_that_was_changed_since_is_read(run: Path) -> None:
    file = run / "trials" / str(TRIALS[0]) / "result.json"
    told = json.loads(file.read_text())
    del told["sha256"]  # as earlier versions wrote it
    file.write_text(json.dumps(told | {"score": 0.125}))
    assert scores(run) == [0.125, 0.5]
    file.write_text(json.dumps(told | {"trial": {"experiment_id": "f" * 12, "fold": 0}}))
    with pytest.raises(CorruptBlobError, match="is the result of trial f"):
        scores(run)


@pytest.mark.parametrize(
    ("good", "damaged"), [('"score": 0.5', '"score": 0.4'), ('"stamp"', '"stmap"'), ("{", ""), ("3", "4")]
)
def test_a_damaged_summary_is_passed_over(good: str, damaged: str, run: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = run / "results.json"
    text = file.read_text()
    assert good in text
    file.write_text(text.replace(good, damaged, 1))
    assert scores(run) == [0.5, 0.5]
    assert "results.json: is passed over, and each result is read: " in caplog.text
