"""The sink of MLflow: its content in MLflow's file store, which is quick, and told twice to MLflow's own server."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from kaggle_ray.reporters.events import EpochEnded, TrialEnded
from kaggle_ray.reporters.mlflow import MlflowSink, make_sink
from kaggle_ray.testing.reporter_contract import every_kind_of_event, sample_pictures
from kaggle_ray.testing.sink_contract import check_sink

pytest.importorskip("mlflow")

STORY = every_kind_of_event()
EPOCHS = [each for each in STORY if isinstance(each.event, EpochEnded)]
PARTS = ("oof", "test")
UNTIL_END = STORY[: STORY.index(next(each for each in STORY if isinstance(each.event, TrialEnded)))]


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """MLflow's file store, which it has set aside: its database takes seconds to be made."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    return (tmp_path / "mlruns").as_uri()


def sink_of(uri: str) -> MlflowSink:
    return make_sink({"tracking_uri": uri}, sample_pictures().get)


def runs_at(uri: str) -> dict[str, Any]:
    """Return the name of each run of the competition, and the run."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    runs = {run.info.run_name: run for run in found}
    assert len(runs) == len(found), "a run is there twice"
    return runs


def curve(uri: str, name: str, tag: str) -> list[tuple[int, float, int]]:
    from mlflow import MlflowClient

    history = MlflowClient(uri).get_metric_history(runs_at(uri)[name].info.run_id, tag)
    return [(point.step, point.value, point.timestamp) for point in history]


def pictures(uri: str, run_id: str) -> dict[str, bytes]:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    paths = [each.path for each in client.list_artifacts(run_id, "samples")]
    return {path: Path(client.download_artifacts(run_id, path)).read_bytes() for path in paths}


def check_story(uri: str) -> None:
    """Assert that MLflow has the story once."""
    times = [round(each.time * 1000) for each in EPOCHS]
    assert curve(uri, "resnet [a] fold0", "loss/train") == [(1, 0.5, times[0]), (2, 0.25, times[1])]
    runs = runs_at(uri)
    assert {name: run.info.status for name, run in runs.items()} == {
        "run-1": "FINISHED",
        "resnet [a] fold0": "FINISHED",
        "resnet [a] fold1": "FAILED",
    }
    assert runs["run-1"].data.metrics == {"score/log_loss_ ensemble": 0.25}
    trial = runs["resnet [a] fold0"].data
    assert trial.tags["mlflow.parentRunId"] == runs["run-1"].info.run_id
    assert (trial.params["lr"], trial.params["fold"]) == ("0.001", "fold0")
    assert trial.metrics["final/score"] == 0.25
    for name, key in {"resnet [a] fold0": "a", "run-1": "e"}.items():
        jpegs = {f"samples/{of}-samples.jpg": sample_pictures()[f"artifacts/samples/{key}-{of}.jpg"] for of in PARTS}
        assert pictures(uri, runs[name].info.run_id) == jpegs


def test_a_trial_is_a_run_within_that_of_its_run_with_its_curves_and_hyperparameters(uri: str) -> None:
    sink = sink_of(uri)
    sink.send(STORY)
    sink.close()
    check_story(uri)


def test_the_next_process_finds_the_run_and_an_epoch_that_is_trained_again_keeps_its_first_numbers(uri: str) -> None:
    sink_of(uri).send(UNTIL_END)
    following = sink_of(uri)
    following.recall(UNTIL_END)
    following.send([replace(EPOCHS[1], time=5000.0), *STORY[len(UNTIL_END) :]])
    check_story(uri)


def test_it_takes_what_a_sink_has_to_take(uri: str) -> None:
    check_sink(make_sink, {"tracking_uri": uri})


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Start MLflow's own tracking server, with a database in ``folder``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder)]
    words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (folder / "server.log").open("w") as log, subprocess.Popen([*words, *store], stdout=log, stderr=log) as server:
        try:
            deadline = monotonic() + 240
            while not is_up(f"http://127.0.0.1:{port}/health"):
                assert server.poll() is None, (folder / "server.log").read_text()
                assert monotonic() < deadline
                sleep(0.5)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def is_up(url: str) -> bool:
    try:
        with urlopen(url, timeout=10):
            return True
    except (URLError, OSError):
        return False


@pytest.mark.slow
@pytest.mark.service
def test_its_own_server_keeps_once_what_is_told_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    with served(tmp_path) as url:
        for _ in range(2):  # as by a driver that was killed before it had noted what it delivered, and the next one
            sink = sink_of(url)
            sink.send(STORY)
            sink.close()
        check_story(url)
