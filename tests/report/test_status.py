from __future__ import annotations

import dataclasses
import io
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import kaggle_ray
from kaggle_ray.errors import ConfigError, NothingToSubmitError
from kaggle_ray.progress import Progress
from kaggle_ray.report.runs import find_run
from kaggle_ray.report.status import RunStatus, status_of
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import EpochEnded, RunStarted, TrialProgressed
from kaggle_ray.reporters.jsonl import JsonlReporter, read_events
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import EVENTS_FILE, RunStore
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import Trial

EXPERIMENTS = [{**TINY, "epochs": 2, "lr": lr} for lr in (0.05, 0.01)]


@dataclass
class Onlooker:
    """Looks at a run from outside at each of its epochs, as another shell does."""

    run_dir: Path = Path()
    seen: list[RunStatus] = field(default_factory=list)

    def emit(self, envelope: Envelope) -> None:
        if isinstance(envelope.event, RunStarted):
            self.run_dir = Path(envelope.event.run_dir)
        if isinstance(envelope.event, EpochEnded):
            self.seen.append(status_of(open_run(self.run_dir)))

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def watched(toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Onlooker:
    """A run of two experiments, each of two folds of two epochs, that was watched to its end."""
    onlooker = Onlooker()
    kaggle_ray.run(
        TOY_FILE, data=toy_data, runs=tmp_path_factory.mktemp("runs"), launcher="local", device="cpu", threads=1,
        reporters=[onlooker], experiments=EXPERIMENTS,
    )  # fmt: skip
    return onlooker


def shown(status: RunStatus) -> str:
    console = Console(width=300, file=io.StringIO(), record=True)
    console.print(status.view())
    return console.export_text()


def cut_diary(run_dir: Path, folder: Path, *, after: str, number: int) -> RunStore:
    """Return a copy of a run whose driver was killed right after its ``number``th event of the kind ``after``."""
    shutil.copytree(run_dir, folder)
    lines = (folder / EVENTS_FILE).read_text().splitlines(keepends=True)
    places = [place for place, line in enumerate(lines) if json.loads(line)["kind"] == after]
    (folder / EVENTS_FILE).write_text("".join(lines[: places[number - 1] + 1]))
    return open_run(folder)


def test_a_run_that_goes_on_tells_what_runs_what_waits_and_when_it_ends(watched: Onlooker) -> None:
    third = watched.seen[2]  # the first epoch of the second trial
    assert third.state == "running"
    told: dict[str, Any] = third.to_json()
    assert (told["num_trials"], told["num_committed"], told["num_waiting"]) == (4, 1, 2)
    (running,) = told["running"]
    assert (running["fold"], running["epoch"], running["num_epochs"]) == (1, 1, 2)
    assert told["num_epochs_left"] == 5
    assert isinstance(told["ends_at"], float)
    assert told["ends_at"] > third.progress.now
    text = shown(third)
    assert "running, by process" in text
    assert "trials 1/4 done · 1 running · 2 waiting" in text
    assert ", ends about " in text


def test_a_trial_between_two_epochs_tells_what_it_is_at(watched: Onlooker, tmp_path: Path) -> None:
    store = cut_diary(watched.run_dir, tmp_path / "now", after="trial_started", number=2)
    envelopes = read_events(store.diary)
    (trial,) = {envelope.trial for envelope in envelopes[-1:]}
    assert trial is not None
    event = TrialProgressed(trial=trial, progress=Progress(stage="computing features", num_done=3, num_total=4))
    diary = JsonlReporter(store.diary)
    diary.emit(dataclasses.replace(envelopes[-1], event=event))
    diary.close()
    store.remove(trial)
    with store.lease.held():
        status = status_of(open_run(store.location))
    told: dict[str, Any] = status.to_json()
    (running,) = told["running"]
    assert running["doing"] == {"stage": "computing features", "num_done": 3, "num_total": 4}
    assert "computing features 75%" in shown(status)


def test_a_complete_run_has_no_driver_and_nothing_to_go_on_with(watched: Onlooker) -> None:
    status = status_of(open_run(watched.run_dir))
    assert (status.state, status.to_json()["eta_s"]) == ("complete", None)
    assert "trials 4/4 done · best" in shown(status)
    assert "go on" not in shown(status)


def test_a_killed_run_tells_what_was_cut_short_and_how_to_go_on(watched: Onlooker, tmp_path: Path) -> None:
    store = cut_diary(watched.run_dir, tmp_path / "killed", after="epoch_ended", number=3)
    first, *others = (Trial(experiment_id=e.experiment_id, fold=fold) for e in store.experiments() for fold in (0, 1))
    for trial in others:
        store.remove(trial)
    status = status_of(store)
    assert status.state == "killed"
    assert [trial.trial for trial in status.progress.ended("committed")] == [first]
    told: dict[str, Any] = status.to_json()
    assert (told["num_committed"], told["num_waiting"], told["running"]) == (1, 2, [])
    assert len(told["stopped"]) == 1
    assert told["preparation"] is None
    text = shown(status)
    assert "its driver ended without a word" in text
    assert "after 1 of 2 epochs; it goes on from there" in text
    assert "go on:  call run() again with run_id=" in text


def test_a_run_that_gave_up_tells_its_error(toy_data: Path, tmp_path: Path) -> None:
    own = {**TINY, "lr": 1e30}
    with pytest.raises(NothingToSubmitError) as caught:
        kaggle_ray.run(
            TOY_FILE, data=toy_data, runs=tmp_path, run_id="x", launcher="local", device="cpu", threads=1,
            experiments=[own],
        )  # fmt: skip
    (folder,) = tmp_path.glob("*/x")
    status = status_of(open_run(folder))
    assert (status.state, status.to_json()["error"]) == ("failed", str(caught.value))
    assert "failed: no experiment is complete" in shown(status)
    assert "go on:  call run() again" in shown(status)


def test_what_is_in_the_store_counts_where_the_diary_lacks_it(watched: Onlooker, tmp_path: Path) -> None:
    store = cut_diary(watched.run_dir, tmp_path / "killed", after="trial_started", number=2)
    assert status_of(store).to_json()["num_committed"] == 4
    (Path(store.location) / EVENTS_FILE).unlink()
    assert status_of(store).to_json()["num_committed"] == 4


def test_a_trial_that_failed_in_an_earlier_session_waits_again(watched: Onlooker, tmp_path: Path) -> None:
    store = cut_diary(watched.run_dir, tmp_path / "again", after="trial_ended", number=1)
    failed = watched.seen[0].progress.running[0].trial
    lines = (Path(store.location) / EVENTS_FILE).read_text().splitlines(keepends=True)
    lines[-1] = lines[-1].replace('"committed"', '"failed"')
    start = next(line for line in lines if json.loads(line)["kind"] == "run_started")
    store.remove(failed)
    (Path(store.location) / EVENTS_FILE).write_text("".join(lines))
    assert [trial.trial for trial in status_of(store).progress.ended("failed")] == [failed]
    (Path(store.location) / EVENTS_FILE).write_text("".join([*lines, start]))
    assert status_of(store).progress.ended("failed") == []


def test_looking_at_a_run_does_not_keep_a_driver_out(tmp_path: Path, watched: Onlooker) -> None:
    with open_run(watched.run_dir).lease.held():
        assert status_of(open_run(watched.run_dir)).state == "running"
    with open_run(watched.run_dir).lease.held():
        pass


def test_a_run_is_found_by_its_folder_its_id_its_competition_or_as_the_latest(watched: Onlooker) -> None:
    root = watched.run_dir.parent.parent
    for named in (None, str(watched.run_dir), watched.run_dir.name, watched.run_dir.parent.name):
        assert find_run(named, root).location == str(watched.run_dir)
    with pytest.raises(ConfigError, match=f"Did you mean '{watched.run_dir.name}'"):
        find_run(watched.run_dir.name[:-1] + "x", root)
    with pytest.raises(ConfigError, match=r"there is no run\. .* --runs"):
        find_run(None, root / "empty")
    with pytest.raises(ConfigError, match=f"--runs {watched.run_dir}: is a run itself, where the .* expected, {root}"):
        find_run(None, watched.run_dir)
    with pytest.raises(ConfigError, match=f"has the runs of one competition, where .* expected, {root}"):
        find_run(None, watched.run_dir.parent)
