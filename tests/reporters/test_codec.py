from __future__ import annotations

import json
import math
from typing import Any

import pytest

from kaggle_ray.errors import SchemaVersionError, StoreError
from kaggle_ray.reporters.codec import envelope_from_json, envelope_to_json
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import EpochEnded, RunEnded, RunStarted
from kaggle_ray.testing.reporter_contract import KNOWN, addressed, every_kind_of_event
from kaggle_ray.types import EpochMetrics, JsonValue


def there_and_back(envelope: Envelope) -> Envelope:
    return envelope_from_json(json.loads(json.dumps(envelope_to_json(envelope), allow_nan=False)))


def started() -> dict[str, Any]:
    return json.loads(json.dumps(envelope_to_json(every_kind_of_event()[0])))  # type: ignore[no-any-return]


@pytest.mark.parametrize("envelope", every_kind_of_event(), ids=lambda envelope: envelope.event_id)
def test_event_survives_json(envelope: Envelope) -> None:
    assert there_and_back(envelope) == envelope
    assert envelope_to_json(envelope)["event_id"] == envelope.event_id


def test_numbers_that_json_lacks_become_null_and_come_back_as_nan() -> None:
    metrics = EpochMetrics(epoch=1, train_loss=math.nan, valid_loss=math.inf, score=-math.inf, lr=0.1, duration_s=1.0)
    envelope = addressed(EpochEnded(trial=KNOWN, metrics=metrics), time=1.0)
    written = json.loads(json.dumps(envelope_to_json(envelope)))["event"]["metrics"]
    assert [written[name] for name in ("train_loss", "valid_loss", "score", "lr")] == [None, None, None, 0.1]
    read = there_and_back(envelope).event
    assert isinstance(read, EpochEnded)
    assert math.isnan(read.metrics.train_loss)
    assert math.isnan(read.metrics.valid_loss)
    assert read.metrics.inner_score is None


def test_a_number_written_without_a_point_is_read_as_a_float() -> None:
    ended = RunEnded(submission=None, report=None, seconds=1.0, board=())
    data = json.loads(json.dumps(envelope_to_json(addressed(ended, time=1.0))))
    data["event"]["seconds"] = 2
    read = envelope_from_json(data).event
    assert isinstance(read, RunEnded)
    assert type(read.seconds) is float


def test_an_event_of_an_earlier_version_has_no_hyperparameters() -> None:
    data = started()
    del data["event"]["hyperparameters"]
    read = envelope_from_json(data).event
    assert isinstance(read, RunStarted)
    assert read.hyperparameters == {}


@pytest.mark.parametrize("version", [0, 1, 3, "2", None])
def test_unknown_schema_version_is_refused_by_name(version: JsonValue) -> None:
    with pytest.raises(SchemaVersionError, match=f"expected schema_version 2, got {version!r}"):
        envelope_from_json({**started(), "schema_version": version})


def test_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(StoreError, match=r"unknown kind 'run_startd'\. Did you mean 'run_started'\?"):
        envelope_from_json({**started(), "kind": "run_startd"})


@pytest.mark.parametrize("missing", ["event", "time", "run_id", "host"])
def test_envelope_that_lacks_a_field_is_refused(missing: str) -> None:
    data = started()
    del data[missing]
    with pytest.raises(StoreError, match=f"event: the field '{missing}' is missing"):
        envelope_from_json(data)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("num_folds", "2", "run_started: num_folds: expected an integer, got '2'"),
        ("run_dir", None, "run_started: run_dir: expected a path, got None"),
        ("ended", [{"colour": "red"}], r"run_started: ended\[0\]: unknown field 'colour'"),
        ("colour", "red", "run_started: unknown field 'colour'"),
    ],
)
def test_field_of_another_type_is_refused_with_what_is_expected(field: str, value: object, told: str) -> None:
    data = started()
    data["event"][field] = value
    with pytest.raises(StoreError, match=told):
        envelope_from_json(data)
