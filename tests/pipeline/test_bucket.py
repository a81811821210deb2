"""A run whose store is a bucket, on a real server: killed, resumed, listed, reported, and predicted with."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("boto3")

import kaggle_ray
from kaggle_ray.cli import main
from kaggle_ray.errors import DeliveryError, LeaseError
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.pipeline.services import deliver_to
from kaggle_ray.report.collect import board_of, report_of
from kaggle_ray.reporters import by_name
from kaggle_ray.reporters.events import RunEnded, RunStarted
from kaggle_ray.reporters.jsonl import read_events
from kaggle_ray.store.lease import HOLDER_FILE
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.crash import KillPoint, RunProcesses
from kaggle_ray.testing.fake_service import FakeService
from kaggle_ray.testing.recorder import of_type
from kaggle_ray.testing.s3 import requests_counted, s3_served
from kaggle_ray.testing.toy import TINY, TOY_FILE

pytestmark = pytest.mark.service

EXPERIMENTS = [{**TINY, "epochs": 1, "lr": 1e-2}, {**TINY, "epochs": 2, "lr": 1e-3}]
RUNS = "s3://runs/below"


@pytest.fixture(scope="module", autouse=True)
def _server() -> Iterator[None]:
    with s3_served("runs"):
        yield


def options(runs: str | Path, data: Path, *, num_experiments: int = 2) -> RunOptions:
    return RunOptions(
        competition=TOY_FILE, experiments=EXPERIMENTS[:num_experiments], data=data, runs=runs, run_id="x",
        device="cpu", threads=1, dtype="float32", launcher="local", reporters=[],
    )  # fmt: skip


def run(given: RunOptions) -> RunResult:
    return kaggle_ray.run(**{field.name: getattr(given, field.name) for field in dataclasses.fields(given)})


@pytest.fixture(scope="module")
def in_a_folder(toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run(options(tmp_path_factory.mktemp("runs"), toy_data))


@pytest.fixture(scope="module")
def in_a_bucket(toy_data: Path, in_a_folder: RunResult) -> RunResult:
    return run(options(RUNS, toy_data))


def test_a_run_in_a_bucket_gives_the_bytes_of_one_in_a_folder(
    in_a_bucket: RunResult, in_a_folder: RunResult, toy_data: Path
) -> None:
    assert in_a_bucket.location == f"{RUNS}/toy/x"
    assert in_a_bucket.submission.name == "submission.csv"
    assert in_a_bucket.submission.read_bytes() == in_a_folder.submission.read_bytes()
    again = run(options(RUNS, toy_data))
    assert again.num_epochs_trained == 0
    assert again.submission.read_bytes() == in_a_folder.submission.read_bytes()
    assert not Path("s3:").exists(), "nobody took the URI for a path"


def test_its_diary_tells_all_that_one_in_a_folder_does(in_a_bucket: RunResult, in_a_folder: RunResult) -> None:
    kinds = [
        [(envelope.kind, envelope.trial, envelope.epoch) for envelope in read_events(open_run(each.location).diary)]
        for each in (in_a_folder, in_a_bucket)
    ]
    assert set(kinds[0]) <= set(kinds[1])
    events = [envelope.event for envelope in read_events(open_run(in_a_bucket.location).diary)]
    assert of_type(events, RunStarted)[-1].run_dir == in_a_bucket.location
    assert of_type(events, RunEnded)[-1].submission == f"{in_a_bucket.location}/submissions/submission.csv"


def test_commands_look_at_a_run_in_a_bucket(
    in_a_bucket: RunResult,
    tmp_path: Path,
    toy_data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def said(*words: str) -> str:
        main(list(words))
        return capsys.readouterr().out

    monkeypatch.setenv("COLUMNS", "300")

    assert "4/4" in said("list", "--runs", RUNS)
    assert "ensemble (greedy)" in said("board", in_a_bucket.location)
    assert "complete" in said("status", in_a_bucket.location)
    assert said("report", in_a_bucket.location) == f"{in_a_bucket.location}/report.html\n"
    out = tmp_path / "again.csv"
    said("predict", in_a_bucket.location, "--data", str(toy_data), "--out", str(out))
    assert out.read_bytes() == in_a_bucket.submission.read_bytes()


def test_a_run_that_is_killed_and_resumed_gives_the_same_bytes(
    in_a_folder: RunResult, toy_data: Path, tmp_path: Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    processes = RunProcesses(environment={**environment, "KAGGLE_RAY_CACHE": os.environ["KAGGLE_RAY_CACHE"]})
    for number, when in ((20, "before"), (27, "after")):
        given = options(f"s3://runs/killed/{number}", toy_data)
        point = KillPoint(owner="kaggle_ray.store.s3", names=("upload",), number=number, when=when)  # type: ignore[arg-type]
        assert processes.run(given, point=point) is None
        store = open_run(f"{given.runs}/toy/x")
        num_committed = len([key for key in store.blobs.list("trials/") if key.endswith("/result.json")])
        assert 0 < num_committed < 4
        store.blobs.delete_file(HOLDER_FILE)  # as if its time were over
        survivor = processes.run(given)
        assert survivor is not None
        assert survivor.submission == in_a_folder.submission.read_bytes()
        assert survivor.num_epochs_trained < 6


def test_what_a_service_lacks_of_a_run_in_a_bucket_is_delivered_whole_and_once(
    in_a_bucket: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = FakeService()
    monkeypatch.setattr(by_name, "_of_others", lambda: {"fake": SimpleNamespace(load=lambda: service.make_sink)})

    def deliver() -> list[str]:
        return list(deliver_to(["fake"], open_run(in_a_bucket.location)))

    service.fail(ConnectionError("down"))
    with pytest.raises(DeliveryError, match="fake: ConnectionError: down"):
        deliver()
    service.fail(None)
    diary = open_run(in_a_bucket.location).diary
    num_lines = len(diary.lines())  # a run that is gone on with tells some of its events again
    assert deliver() == [f"fake: {num_lines} events delivered"]
    assert service.taken.keys() == {envelope.event_id for envelope in read_events(diary)}
    assert (deliver(), service.num_sent) == (["fake: 0 events delivered"], num_lines)


def test_a_second_driver_is_refused(in_a_bucket: RunResult, toy_data: Path) -> None:
    lease = open_run(in_a_bucket.location).lease
    lease._renew_every_s = 0.2  # type: ignore[attr-defined]
    with lease.held(), pytest.raises(LeaseError, match="another driver is at work on this run"):
        run(options(RUNS, toy_data))


def test_requests_grow_by_a_bounded_number_for_each_trial(toy_data: Path, in_a_folder: RunResult) -> None:
    counts, of_board = [], []
    for num_experiments in (1, 2):
        with requests_counted() as counted:
            result = run(options(f"s3://runs/counted/{num_experiments}", toy_data, num_experiments=num_experiments))
        counts.append(sum(counted.values()))
        with requests_counted() as counted:
            board_of(open_run(result.location))
        of_board.append(sum(counted.values()))
    per_trial = (counts[1] - counts[0]) / 2
    assert per_trial <= 35, counts
    assert of_board[0] == of_board[1], "a run is listed without a request for each trial"


@pytest.mark.slow
def test_a_run_in_a_bucket_is_averaged_and_predicts_otherwise_afterwards(
    in_a_bucket: RunResult, toy_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (each.experiment_id for each in open_run(in_a_bucket.location).experiments())
    more = ["--data", str(toy_data), "--launcher", "local"]
    main(["soup", in_a_bucket.location, first, second, "--method", "uniform", *more])
    main(["augment", in_a_bucket.location, first, "--tta", "hflip", *more])
    assert "mirrored" in capsys.readouterr().out
    store = open_run(in_a_bucket.location)
    scores = {row.name: row.score for row in board_of(store).rows if row.kind == "experiment"}
    assert len(scores) == 4
    assert None not in scores.values()
    assert [len(views) for views in report_of(store).views.values()] == [2]
    assert not Path("s3:").exists(), "nobody took the URI for a path"
