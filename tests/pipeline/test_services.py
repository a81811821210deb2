from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import kaggle_ray
from kaggle_ray.cli import commands
from kaggle_ray.errors import ConfigError, DeliveryError
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.reporters import by_name
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import RunKilled
from kaggle_ray.reporters.jsonl import read_events
from kaggle_ray.store.artifacts import read_artifact, save_artifact
from kaggle_ray.store.delivered import StoredCursor
from kaggle_ray.store.local import LocalBlobs
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.fake_service import FakeService
from kaggle_ray.testing.recorder import Recorder
from kaggle_ray.testing.toy import TOY_FILE

PASSWORD = "correct-horse-battery-staple"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> FakeService:
    """Return what is told under the name ``fake``."""
    service = FakeService()
    monkeypatch.setattr(by_name, "_of_others", lambda: {"fake": Loaded(service)})
    return service


class Loaded:
    """What an entry point is as far as it is used."""

    def __init__(self, service: FakeService) -> None:
        self.service = service

    def load(self) -> Any:
        return self.service.make_sink


class Inheriting(Recorder):
    """Keeps what a process would inherit that is started while the run goes on."""

    inherited = ""

    def emit(self, envelope: Envelope) -> None:
        super().emit(envelope)
        self.inherited += str(dict(os.environ))


def options(tmp_path: Path, toy_data: Path) -> dict[str, Any]:
    return {
        "competition": TOY_FILE,
        "data": toy_data,
        "runs": tmp_path / "runs",
        "launcher": "local",
        "device": "cpu",
        "threads": 1,
        "dtype": "float32",
    }


def delivered_by(run: Path, *options: str) -> str:
    command = ["deliver", str(run), "--reporter", "fake", *options]
    done = CliRunner().invoke(commands, command, catch_exceptions=False)
    return done.output.strip()


def test_a_service_that_was_down_is_told_of_a_run_afterwards_and_its_password_is_nowhere(
    service: FakeService,
    toy_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KAGGLE_RAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KAGGLE_RAY_FAKE_PASSWORD", PASSWORD)
    service.fail(ConnectionError(f"401 for me:{PASSWORD}"))
    own = Inheriting()
    result = kaggle_ray.run(**options(tmp_path, toy_data), reporters=["fake", own])
    assert service.settings == {"password": PASSWORD}
    assert not service.taken
    assert f"kaggle-ray deliver {result.run_dir} --reporter fake" in caplog.text
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    texts = [caplog.text, *capfd.readouterr(), own.inherited, str(own.envelopes)]
    assert len(written) > 10
    assert not any(PASSWORD.encode() in content for content in written)
    assert not any(PASSWORD in text for text in texts)

    with pytest.raises(DeliveryError, match=r"fake: ConnectionError: 401 for me:\*\*\*\. Run the same command again"):
        delivered_by(result.run_dir)
    service.fail(None)
    events = read_events(open_run(result.run_dir).diary)
    assert delivered_by(result.run_dir) == f"fake: {len(events)} events delivered"
    assert delivered_by(result.run_dir) == "fake: 0 events delivered"
    assert delivered_by(result.run_dir, "--again") == f"fake: {len(events)} events delivered"
    assert list(service.taken.values()) == events

    kaggle_ray.run(**options(tmp_path, toy_data), reporters=["fake"])
    assert {each.event_id: each for each in read_events(open_run(result.run_dir).diary)} == service.taken


def test_whoever_asks_for_the_status_of_a_killed_run_lets_services_know_once(
    service: FakeService, toy_data: Path, tmp_path: Path
) -> None:
    store = open_run(kaggle_ray.run(**options(tmp_path, toy_data)).run_dir)
    diary = Path(store.location) / "events.jsonl"
    told = diary.read_bytes().splitlines(keepends=True)
    diary.write_bytes(b"".join(line for line in told if b'"run_ended"' not in line))

    def asked() -> list[str]:
        command = ["status", store.location, "--reporter", "fake"]
        return CliRunner().invoke(commands, command, catch_exceptions=False).output.splitlines()

    with store.lease.held():
        assert asked()[-1] == f"fake: {len(told) - 1} events delivered"
    assert "run_killed" not in {each.kind for each in service.taken.values()}
    *status, delivered = asked()
    assert any("killed" in line for line in status)
    assert delivered == "fake: 1 event delivered"
    assert list(service.taken.values())[-1].event == RunKilled(how_to_resume=store.known_record().command)
    assert asked()[-1] == "fake: 0 events delivered"


def test_a_mistake_in_a_reporter_is_met_before_anything_is_read(
    service: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = options(tmp_path, tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"--reporter: there is no 'fakes'\. Did you mean 'fake'\?"):
        kaggle_ray.run(**nowhere, reporters=["fakes"])
    with pytest.raises(ConfigError, match=r"--reporter fake: is named twice\."):
        kaggle_ray.run(**nowhere, reporters=["fake", "fake"])
    monkeypatch.setenv("KAGGLE_RAY_FAKE_PORT", "80")
    with pytest.raises(ConfigError, match="fake: there is no setting 'port'"):
        kaggle_ray.run(**nowhere, reporters=["fake"])


def test_one_name_is_a_list_of_one(service: FakeService) -> None:
    assert RunOptions(competition="digits", reporters="fake").reporters == ("fake",)
    assert RunOptions(competition="digits", reporters=["console", "fake"]).reporters == ("console", "fake")


def test_a_command_that_delivers_to_nobody_is_refused() -> None:
    done = CliRunner().invoke(commands, ["deliver", "runs/digits/x"])
    assert done.exit_code == 2
    assert "name a service: --reporter NAME." in done.output


def test_a_cursor_that_cannot_be_read_costs_that_all_is_delivered_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blobs = LocalBlobs(tmp_path)
    cursor = StoredCursor(blobs, "fake")
    assert cursor.load() == 0
    cursor.save(7)
    assert StoredCursor(blobs, "fake").load() == 7
    blobs.put("delivered/fake.json", b'{"num_events": -1}')
    assert cursor.load() == 0
    assert "all events are delivered again" in caplog.text


def test_only_an_artifact_is_read_by_the_key_of_an_event(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    blobs.put("run.json", b"{}")
    key = save_artifact(blobs, "samples.png", b"png")
    assert read_artifact(blobs, key) == b"png"
    for other in ("run.json", "artifacts/../run.json", "/etc/passwd", "artifacts/gone.png", "artifacts/"):
        assert read_artifact(blobs, other) is None
