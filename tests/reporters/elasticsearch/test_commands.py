"""The commands that list, show and delete what is in Elasticsearch, against a real one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kaggle_ray.cli import commands
from kaggle_ray.errors import ConfigError, ServiceError
from kaggle_ray.reporters.elasticsearch.sink import make_sink
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import BoardRow, Event, RunEnded, RunStarted, TrialEnded
from kaggle_ray.types import Location, Trial

pytestmark = pytest.mark.service

NUM_FOLDS = 2


def run_of(user: str, competition: str, run_id: str, scores: dict[str, float], *, accuracy: bool) -> list[Envelope]:
    """Return a run that is complete, with experiments of these names and scores."""
    ids = {name: f"{name:0<12}" for name in scores}
    events: list[Event] = [
        RunStarted(
            metric="accuracy" if accuracy else "log_loss",
            greater_is_better=accuracy,
            experiments={ids[name]: name for name in scores},
            epochs={ids[name]: 3 for name in scores},
            hyperparameters={ids[name]: {"lr": 0.1, "model": "resnet9"} for name in scores},
            num_folds=NUM_FOLDS,
            launcher="local",
            num_slots=1,
            run_dir=Location(f"runs/{competition}/{run_id}"),
        ),
        *(
            TrialEnded(
                trial=Trial(experiment_id=ids[name], fold=fold), status="committed", score=score, duration_s=60.0
            )
            for name, score in scores.items()
            for fold in range(NUM_FOLDS)
        ),
        RunEnded(
            submission=Location("submission.csv"),
            report=None,
            seconds=100.0,
            board=tuple(BoardRow(name=name, kind="experiment", score=score) for name, score in scores.items()),
        ),
    ]
    return [
        Envelope(event=event, competition=competition, run_id=run_id, host="box", user=user, time=1e9 + number)
        for number, event in enumerate(events)
    ]


@pytest.fixture
def shared(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of two users in two competitions, and the settings of where they are."""
    for name, text in settings.items():
        monkeypatch.setenv(f"KAGGLE_RAY_ELASTICSEARCH_{name.upper()}", text)
    sink = make_sink(settings, lambda key: None)
    anns = run_of("ann", "leaf", "run-a", {"small": 0.4, "large": 0.2}, accuracy=False)
    sink.send(anns)
    sink.send(run_of("bob", "leaf", "run-b", {"large": 0.3}, accuracy=False))
    sink.send(run_of("bob", "cats", "run-c", {"wide": 0.9, "deep": 0.95}, accuracy=True))
    sink.close()


def call(*words: str, said: str | None = None) -> Result:
    return CliRunner().invoke(commands, ["elasticsearch", *words], input=said, env={"COLUMNS": "80"})


def listed(*words: str) -> Any:
    return json.loads(call(*words, "--json").stdout)


@pytest.mark.usefixtures("shared")
def test_experiments_of_all_users_are_listed_best_first_filtered_shown_and_deleted() -> None:
    delete_nobody = call("delete", "run-z")
    assert isinstance(delete_nobody.exception, ConfigError)

    best_first = [(each["user"], each["name"], each["score"]) for each in listed("list")]
    cats = [("bob", "deep", 0.95), ("bob", "wide", 0.9)]
    leaf = [("ann", "large", 0.2), ("bob", "large", 0.3), ("ann", "small", 0.4)]
    assert best_first == cats + leaf
    assert [each["name"] for each in listed("list", "--user", "bob", "--competition", "leaf")] == ["large"]
    assert [each["score"] for each in listed("list", "--at-least", "0.3", "--at-most", "0.9")] == [0.9, 0.3, 0.4]
    assert len(listed("list", "--limit", "2", "--sort", "time")) == 2
    table = call("list").stdout
    assert max(map(len, table.splitlines())) <= 80
    assert all(word in table for word in ("0.95000", "deep", "cats", "bob", "run-c"))

    of_run = listed("show", "run-a")["runs"]
    assert [each["name"] for each in of_run[0]["experiments"]] == ["large", "small"]
    of_experiment = listed("show", "large", "--user", "ann")["experiments"]
    assert [trial["rows"] for trial in of_experiment[0]["trials"]] == ["fold0", "fold1"]
    shown = call("show", "large").stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert '"resnet9"' in shown
    assert "complete" in call("show", "run-a").stdout

    several = call("delete", f"{'large':0<12}", "--yes")
    assert str(several.exception) == f"'{'large':0<12}' is in runs of ann, bob: name one of them with --user."
    kept = call("delete", f"{'large':0<12}", "--user", "ann", said="n\n")
    assert "ann/leaf/run-a: 3 documents" in kept.stdout
    assert len(listed("list")) == 5
    gone = call("delete", f"{'large':0<12}", "--user", "ann", "--yes", "--json")
    assert json.loads(gone.stdout) == {"num_deleted": 3}
    assert call("delete", "run-c", said="y\n").stdout.endswith("deleted 8 documents\n")
    assert [(each["user"], each["name"]) for each in listed("list")] == [("bob", "large"), ("ann", "small")]


def test_nothing_is_listed_where_nothing_was_stored(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in settings.items():
        monkeypatch.setenv(f"KAGGLE_RAY_ELASTICSEARCH_{name.upper()}", text)
    assert call("list").stdout == "No experiments.\n"


def test_a_server_that_is_down_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_RAY_ELASTICSEARCH_URL", "http://127.0.0.1:9")
    error = call("list").exception
    assert isinstance(error, ServiceError)
    assert str(error).startswith("Elasticsearch at http://127.0.0.1:9 does not answer: ConnectionError")
    assert str(error).endswith("Check url, and that the server is up.")
