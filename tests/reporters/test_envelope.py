from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from kaggle_ray.reporters.envelope import KINDS, Envelope
from kaggle_ray.reporters.events import EpochEnded, Event, RunEnded, TrialStarted
from kaggle_ray.testing.reporter_contract import KNOWN, addressed, every_kind_of_event
from kaggle_ray.types import EpochMetrics, Location


def test_story_has_every_kind_of_event() -> None:
    assert {envelope.kind for envelope in every_kind_of_event()} == KINDS.keys()


def test_a_kind_is_the_name_of_its_type_in_words() -> None:
    assert KINDS["epoch_ended"] is EpochEnded


@pytest.mark.parametrize("event_type", KINDS.values(), ids=list(KINDS))
def test_every_kind_is_frozen_and_says_what_it_is(event_type: type[Event]) -> None:
    assert event_type.__dataclass_params__.frozen  # type: ignore[union-attr]
    assert (event_type.__doc__ or "").endswith(".")


def test_epoch_and_trial_are_part_of_the_identity() -> None:
    metrics = EpochMetrics(epoch=3, train_loss=1.0, valid_loss=1.0, score=1.0, lr=0.1, duration_s=1.0)
    envelope = addressed(EpochEnded(trial=KNOWN, metrics=metrics), time=1.0)
    assert envelope.event_id == "toy/run-1:aaaaaaaaaaaa/fold0:epoch_ended:3:0"


def test_second_attempt_repeats_the_identity() -> None:
    first, second = (addressed(TrialStarted(trial=KNOWN), time=time) for time in (1.0, 2.0))
    assert first.event_id == second.event_id


@pytest.mark.parametrize("other", [{"run_id": "run-2"}, {"competition": "digits"}])
def test_events_of_two_runs_differ_in_their_identity(other: dict[str, Any]) -> None:
    def ids(envelopes: list[Envelope]) -> set[str]:
        return {envelope.event_id for envelope in envelopes}

    story = every_kind_of_event()
    assert not ids(story) & ids([dataclasses.replace(envelope, **other) for envelope in story])


def test_paths_are_artifacts_and_missing_ones_are_left_out() -> None:
    event = RunEnded(submission=Location("runs/best.csv"), report=None, seconds=1.0, board=())
    assert addressed(event, time=1.0).artifacts == {"submission": Location("runs/best.csv")}


def test_two_warnings_of_one_step_differ_in_their_identity() -> None:
    ids = [told.event_id for told in every_kind_of_event() if told.kind == "trial_warned"]
    assert ids == [
        "toy/run-1:aaaaaaaaaaaa/fold0:trial_warned/exploding_gradient:2:7",
        "toy/run-1:aaaaaaaaaaaa/fold0:trial_warned/constant_predictions:2:7",
    ]


def test_no_two_events_of_a_run_have_one_identity() -> None:
    ids = [told.event_id for told in every_kind_of_event()]
    assert len(set(ids)) == len(ids)
