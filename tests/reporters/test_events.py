from __future__ import annotations

import json
import math
from pathlib import Path
from typing import get_args

import pytest

from kaggle_ray.errors import SchemaVersionError, StoreError
from kaggle_ray.reporters import events
from kaggle_ray.testing.reporter_contract import KNOWN, every_kind_of_event
from kaggle_ray.types import EpochMetrics, Event, EventKind


def test_story_has_every_kind_of_event() -> None:
    assert {event.kind for event in every_kind_of_event()} == set(get_args(EventKind))


@pytest.mark.parametrize("event", every_kind_of_event(), ids=lambda event: event.event_id)
def test_event_survives_json(event: Event) -> None:
    data = json.loads(json.dumps(events.event_to_json(event), allow_nan=False))
    assert events.event_from_json(data) == event
    assert data["event_id"] == event.event_id


def test_numbers_that_json_lacks_become_none() -> None:
    metrics = EpochMetrics(epoch=1, train_loss=math.nan, valid_loss=math.inf, score=-math.inf, lr=0.1, duration_s=1.0)
    values = events.epoch(KNOWN, metrics).values
    assert [values[name] for name in ("train_loss", "valid_loss", "score", "lr")] == [None, None, None, 0.1]
    rows = [{"name": "a", "score": math.nan}]
    finished = events.run_finished(submission=None, report=None, seconds=1.0, board=rows)
    assert finished.values["board"] == [{"name": "a", "score": None}]


def test_epoch_is_part_of_the_identity_and_not_of_the_values() -> None:
    metrics = EpochMetrics(epoch=3, train_loss=1.0, valid_loss=1.0, score=1.0, lr=0.1, duration_s=1.0)
    event = events.epoch(KNOWN, metrics)
    assert event.event_id == "aaaaaaaaaaaa/fold0:epoch:3:0"
    assert "epoch" not in event.values


def test_second_attempt_repeats_the_identity() -> None:
    first = events.trial_started(KNOWN, time=1.0)
    assert first.event_id == events.trial_started(KNOWN, time=2.0).event_id


def test_paths_are_artifacts_and_missing_ones_are_left_out() -> None:
    event = events.run_finished(submission=Path("runs/best.csv"), report=None, seconds=1.0, board=[])
    assert event.artifacts == {"submission": "runs/best.csv"}


def test_time_is_now_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "now", lambda: 123.0)
    assert events.baseline(score=None, submission=None).time == 123.0
    assert events.baseline(score=None, submission=None, time=5.0).time == 5.0


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_unknown_schema_version_is_refused_by_name(version: object) -> None:
    data = {**events.event_to_json(every_kind_of_event()[0]), "schema_version": version}
    with pytest.raises(SchemaVersionError, match=f"expected schema_version 1, got {version!r}"):
        events.event_from_json(data)


@pytest.mark.parametrize("missing", ["kind", "trial", "values"])
def test_event_that_lacks_a_field_is_refused(missing: str) -> None:
    data = events.event_to_json(every_kind_of_event()[0])
    del data[missing]
    with pytest.raises(StoreError, match="expected the fields of an event"):
        events.event_from_json(data)
