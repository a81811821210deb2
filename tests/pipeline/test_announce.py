from __future__ import annotations

from pathlib import Path

import pytest

from kaggle_ray.errors import DataError
from kaggle_ray.images import duplicate_rows
from kaggle_ray.pipeline import announce
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.progress import Counter
from kaggle_ray.reporters.events import PreparationProgressed, RunStarted
from kaggle_ray.testing.recorder import Recorder
from kaggle_ray.testing.toy import TOY_FILE


def options(runs: Path, data: Path) -> RunOptions:
    return RunOptions(
        competition=TOY_FILE, data=data, runs=runs, launcher="local", device="cpu", threads=1, dtype="float32"
    )


@pytest.fixture
def _unthrottled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announce, "throttled", lambda listener: listener)


@pytest.mark.usefixtures("_unthrottled")
def test_what_is_prepared_is_told_before_the_run_has_its_name_and_after(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_RAY_CACHE", str(tmp_path / "cache"))
    recorder = Recorder()
    execute(options(tmp_path / "runs", toy_data), reporters=[recorder])
    progress = [told for told in recorder.envelopes if isinstance(told.event, PreparationProgressed)]
    started = next(told for told in recorder.envelopes if isinstance(told.event, RunStarted))
    assert {told.run_id for told in progress} == {"", started.run_id}
    stages = {told.event.progress.stage for told in progress if isinstance(told.event, PreparationProgressed)}
    prepared = {"reading files", "checking images", "decoding images", "comparing images"}
    assert stages == {*prepared, "combining predictions"}


@pytest.mark.usefixtures("_unthrottled")
def test_reporters_are_closed_where_a_run_fails_before_it_has_a_name(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        Counter("comparing images", 7)
        raise DataError("a.png does not decode")

    monkeypatch.setattr(duplicate_rows, "find_near_duplicates", fails)
    recorder = Recorder()
    with pytest.raises(DataError, match="does not decode"):
        execute(options(tmp_path / "runs", toy_data), reporters=[recorder])
    assert recorder.kinds[-1] == "preparation_progressed"
    assert recorder.num_closed == 1
