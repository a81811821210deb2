"""The sink in front of a real server; the page itself is looked at in ``test_page``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from kaggle_ray.cli import commands
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.sink import Sink
from kaggle_ray.reporters.visdom import client, make_sink
from kaggle_ray.testing.sink_contract import check_sink
from kaggle_ray.testing.told import told_run
from kaggle_ray.testing.toy import TOY_FILE
from kaggle_ray.testing.visdom_server import VisdomServer, visdom_served

pytest.importorskip("visdom")
pytestmark = pytest.mark.service

NAMES = {"0" * 12: "resnet-a", "1" * 12: "resnet-b"}
WINDOWS = ["summary", "board", "running", "score", "loss", "metric-accuracy", "lr", "gradient", "throughput", "memory"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisdomServer]:
    with visdom_served(tmp_path_factory.mktemp("visdom")) as started:
        yield started


@pytest.fixture
def run_id(request: pytest.FixtureRequest) -> str:
    """A run of the test's own, so that tests share the server."""
    return str(abs(hash(request.node.name)))


def sink_of(server: VisdomServer, **settings: str) -> Sink:
    return make_sink({"port": str(server.port), "base_url": server.base_url, **settings}, lambda key: None)


def story(run_id: str) -> list[Envelope]:
    return list(told_run(names=NAMES, num_folds=2, num_epochs=3, run_id=run_id))


def shown(server: VisdomServer, run_id: str) -> dict[str, object]:
    """Return what each window shows, as the server has saved it."""
    return {name: window["content"] for name, window in server.saved(f"toy_{run_id}").items()}


def test_a_run_has_an_environment_of_its_own_whose_windows_are_replaced(server: VisdomServer, run_id: str) -> None:
    told = story(run_id)
    sink = sink_of(server)
    for start in range(0, len(told), 7):
        sink.send(told[start : start + 7])
    piece_by_piece = shown(server, run_id)
    assert list(piece_by_piece) == WINDOWS

    another = sink_of(server)  # as of a process that goes on
    another.recall(told[:-5])
    another.send(told[-5:])
    assert shown(server, run_id) == piece_by_piece


def test_a_burst_of_events_costs_one_update_for_each_window_and_what_is_unchanged_none(
    server: VisdomServer, run_id: str
) -> None:
    sink, told = sink_of(server), story(run_id)
    before = server.log.count("POST /events")
    sink.send(told)
    assert server.log.count("POST /events") - before == len(WINDOWS)
    sink.send(told)
    assert server.log.count("POST /events") - before == len(WINDOWS)


def test_whatever_a_run_can_bring_is_taken(server: VisdomServer) -> None:
    check_sink(make_sink, {"port": str(server.port)})


def test_a_run_whose_server_was_down_is_shown_once_it_is_delivered(
    server: VisdomServer, toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KAGGLE_RAY_VISDOM_PORT", "1")
    where = ["--data", str(toy_data), "--runs", "runs", "--launcher", "local", "--device", "cpu"]
    command = ["run", str(TOY_FILE), *where, "--reporter", "visdom"]
    done = CliRunner().invoke(commands, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (run,) = (tmp_path / "runs" / "toy").iterdir()
    monkeypatch.setenv("KAGGLE_RAY_VISDOM_PORT", str(server.port))
    CliRunner().invoke(commands, ["deliver", str(run), "--reporter", "visdom"], catch_exceptions=False)
    windows = server.saved(f"toy_{run.name}")
    assert set(windows) >= {"summary", "board", "running", "score", "loss", "lr"}
    assert "submission:" in windows["summary"]["content"]


def test_a_server_that_was_killed_shows_all_of_a_run_when_it_is_back_even_if_it_saved_nothing(
    server: VisdomServer, run_id: str, capfd: pytest.CaptureFixture[str]
) -> None:
    sink, told = sink_of(server), story(run_id)
    sink.send(told[:10])
    server.kill()
    with pytest.raises(ConnectionError, match=server.url):
        sink.send(told[10:20])
    (server.folder / f"toy_{run_id}.json").unlink()
    server.start()
    sink.send(told[10:])
    after_the_fault = shown(server, run_id)
    sink_of(server).send(told)
    assert shown(server, run_id) == after_the_fault

    server.kill()  # and again, between two deliveries
    (server.folder / f"toy_{run_id}.json").unlink()
    server.start()
    sink.send(told[-1:])
    assert shown(server, run_id) == after_the_fault
    assert capfd.readouterr() == ("", "")


def test_a_frozen_server_is_waited_for_no_longer_than_the_time_out(
    server: VisdomServer, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "TIMEOUT_S", (1.0, 1.0))
    sink, told = sink_of(server), story(run_id)
    sink.send(told[:10])
    server.freeze()
    try:
        began = time.monotonic()
        with pytest.raises(ConnectionError, match=r"imed out"):
            sink.send(told[10:])
        assert time.monotonic() - began < 30
    finally:
        server.thaw()
    monkeypatch.setattr(client, "TIMEOUT_S", (60.0, 60.0))
    sink.send(told[10:])
    thawed = shown(server, run_id)
    sink_of(server).send(told)
    assert shown(server, run_id) == thawed


def test_a_server_below_a_path_that_asks_for_a_password_is_told_it(tmp_path: Path) -> None:
    with visdom_served(tmp_path, base_url="/plots", login=("me", "secret")) as server:
        with pytest.raises(ConnectionError, match="400"):
            sink_of(server).send(story("run-1"))
        with pytest.raises(ConnectionError, match="400") as refused:
            sink_of(server, username="me", password="wrong").send(story("run-1"))
        assert "wrong" not in str(refused.value)
        sink_of(server, username="me", password="secret").send(story("run-1"))
        assert list(shown(server, "run-1")) == WINDOWS


def test_what_is_prepared_before_a_run_has_its_name_is_not_shown() -> None:
    nowhere = make_sink({"port": "1"}, lambda key: None)
    nowhere.send(story(""))
