"""Documents are a function of events: which there are, what they say, and that a repetition says the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace

import pytest

from kaggle_ray.reporters.elasticsearch.documents import Document, RunDocuments
from kaggle_ray.reporters.elasticsearch.templates import FIELDS, KINDS, properties_of
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import (
    BoardRow,
    EpochEnded,
    Event,
    RunEnded,
    RunFailed,
    RunInterrupted,
    RunStarted,
    TrialEnded,
    TrialStarted,
)
from kaggle_ray.testing.reporter_contract import addressed, every_kind_of_event, scenarios
from kaggle_ray.types import EpochMetrics, Location, Trial

IDS = ("a" * 12, "b" * 12)
STARTED = RunStarted(
    metric="log_loss",
    greater_is_better=False,
    experiments=dict(zip(IDS, ("small", "large"), strict=True)),
    epochs=dict.fromkeys(IDS, 3),
    hyperparameters={
        IDS[0]: {"lr": 0.1, "epochs": 3, "pretrained": True, "model": "resnet9", "model_args": {"width": 8}}
    },
    num_folds=2,
    launcher="local",
    num_slots=1,
    run_dir=Location("runs/toy/run-1"),
    how_to_resume="kaggle-ray run toy",
)


def trial(fold: int, *, of: str = IDS[0]) -> Trial:
    return Trial(experiment_id=of, fold=fold)


def ended(fold: int, score: float | None = None, *, status: str = "committed", error: str | None = None) -> TrialEnded:
    assert status in ("committed", "failed")
    return TrialEnded(
        trial=trial(fold), status="failed" if error else "committed", score=score, duration_s=10.0, error=error
    )


def told(*events: Event) -> list[Envelope]:
    """Return the events of a run, a second apart."""
    return [addressed(event, time=1000.0 + number) for number, event in enumerate(events)]


def stored(envelopes: Sequence[Envelope]) -> dict[str, Document]:
    """Return what a store that overwrites by id has in the end."""
    documents = RunDocuments(envelopes[0])
    return {each.document_id: each for envelope in envelopes for each in documents.update(envelope)}


def of(kind: str, key: str, *events: Event) -> dict[str, object]:
    """Return the fields of one document after the events."""
    return dict(stored(told(*events))[f"me/toy/run-1:{kind}{key}"].fields)


@pytest.mark.parametrize("scenario", [pytest.param(events, id=name) for name, events in scenarios().items() if events])
def test_every_document_holds_fields_of_its_kind_s_mapping_alone_and_is_json(scenario: list[Envelope]) -> None:
    for document in stored(scenario).values():
        assert document.fields.keys() <= properties_of(document.kind).keys()
        json.dumps(document.fields, allow_nan=False)


def test_a_run_makes_documents_of_every_kind_with_whose_and_what_they_are() -> None:
    documents = stored(every_kind_of_event()).values()
    assert {document.kind for document in documents} == set(KINDS)
    for document in documents:
        assert {
            "user": "me",
            "host": "here",
            "competition": "toy",
            "run_id": "run-1",
        }.items() <= document.fields.items()
        assert document.fields["event_id"] in {envelope.event_id for envelope in every_kind_of_event()}


def test_every_measurement_of_an_epoch_has_a_field_of_its_type() -> None:
    assert {spec.name for spec in fields(EpochMetrics)} <= FIELDS["epoch"].keys()
    types = {name: FIELDS["epoch"][name]["type"] for name in ("lr", "duration_s", "inner_score", "resident_bytes")}
    assert types == {"lr": "double", "duration_s": "double", "inner_score": "double", "resident_bytes": "long"}


def test_a_repetition_makes_the_same_documents() -> None:
    story = every_kind_of_event()
    once, twice = stored(story), stored(story + story)
    assert once.keys() == twice.keys()
    assert {key: each.fields for key, each in once.items()} == {key: each.fields for key, each in twice.items()}


def test_two_users_runs_of_the_same_name_are_two_and_a_run_that_another_user_resumes_is_one() -> None:
    mine = told(STARTED, TrialStarted(trial=trial(0)))
    theirs = [replace(envelope, user="you") for envelope in mine]
    assert not stored(mine).keys() & stored(theirs).keys()
    assert stored(mine + theirs).keys() == stored(mine).keys()


def test_an_experiment_s_score_is_the_mean_of_its_folds_until_the_run_has_ended() -> None:
    of_experiment = f":{IDS[0]}"
    one_fold = of("experiment", of_experiment, STARTED, ended(0, 0.2))
    assert (one_fold["score"], one_fold["folds_done"]) == (None, 1)
    both = of("experiment", of_experiment, STARTED, ended(0, 0.2), ended(1, 0.4))
    assert both["score"] == pytest.approx(0.3)
    assert both["score_std"] == pytest.approx(0.1)
    assert (both["score_of"], both["rank_by"], both["duration_s"]) == ("mean of folds", pytest.approx(-0.3), 20.0)
    row = BoardRow(name="small", kind="experiment", score=0.31, weight=1.0, folds_done=2, num_folds=2)
    over = RunEnded(submission=None, report=None, seconds=30.0, board=(row,))
    known = of("experiment", of_experiment, STARTED, ended(0, 0.2), ended(1, 0.4), over)
    assert (known["score"], known["score_of"], known["rank_by"], known["weight"]) == (0.31, "all rows", -0.31, 1.0)


def test_an_experiment_without_honest_scores_gets_none() -> None:
    known = of("experiment", f":{IDS[0]}", STARTED, ended(0), ended(1))
    assert (known["score"], known["rank_by"], known["folds_done"]) == (None, None, 2)


def test_hyperparameters_are_stored_whole_and_those_for_charts_as_numbers_and_words_too() -> None:
    known = of("experiment", f":{IDS[0]}", STARTED)
    assert known["hyperparameters"] == STARTED.hyperparameters[IDS[0]]
    assert known["numeric_hyperparameters"] == {"lr": 0.1, "epochs": 3.0}
    assert known["categorical_hyperparameters"] == {"model": "resnet9", "pretrained": "true"}


def test_a_trial_that_is_begun_again_has_nothing_of_the_attempt_before() -> None:
    key = f":{trial(0)}"
    failed = of("trial", key, STARTED, TrialStarted(trial=trial(0)), ended(0, error="out of memory"))
    assert (failed["status"], failed["error"]) == ("failed", "out of memory")
    again = of("trial", key, STARTED, TrialStarted(trial=trial(0)), ended(0, error="x"), TrialStarted(trial=trial(0)))
    assert (again["status"], again["error"], again["ended_at"]) == ("running", None, None)


@pytest.mark.parametrize(
    "stop",
    [
        RunInterrupted(reason="ctrl-c", num_committed=0, num_trials=4, how_to_resume="x", how_to_ensemble="y"),
        RunFailed(error="no space left", how_to_resume="x"),
        STARTED,  # of the next session, after a kill
    ],
    ids=["interrupted", "failed", "killed"],
)
def test_trials_under_way_are_stopped_with_their_run(stop: Event) -> None:
    known = of("trial", f":{trial(0)}", STARTED, TrialStarted(trial=trial(0)), stop)
    assert (known["status"], known["name"], known["epochs"]) == ("stopped", "small", 3)


def test_an_epoch_is_a_document_of_its_own_and_moves_its_trial_on() -> None:
    metrics = EpochMetrics(epoch=2, train_loss=0.5, valid_loss=float("nan"), score=float("nan"), lr=0.1, duration_s=1.0)
    metrics = replace(metrics, metrics={"auc": 0.75})
    events = (STARTED, TrialStarted(trial=trial(1)), EpochEnded(trial=trial(1), metrics=metrics))
    epoch = of("epoch", f":{trial(1)}:2", *events)
    assert (epoch["train_loss"], epoch["valid_loss"], epoch["fold"], epoch["name"]) == (0.5, None, 1, "small")
    assert epoch["metrics"] == {"auc": 0.75}
    assert FIELDS["epoch"]["metrics"]["dynamic"] == "true"  # whatever a competition's metrics are called
    assert of("trial", f":{trial(1)}", *events)["epoch"] == 2


def test_a_trial_that_an_earlier_driver_committed_and_never_told_of_is_stored() -> None:
    resumed = replace(STARTED, ended=(ended(0, 0.2),))
    known = of("trial", f":{trial(0)}", resumed)
    assert (known["status"], known["score"]) == ("committed", 0.2)
