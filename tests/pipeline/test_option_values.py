"""Values of options as people write them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaggle_ray.errors import ConfigError
from kaggle_ray.pipeline.option_values import parse_deadline, parse_duration, parse_metrics, parse_overrides

NOW = datetime(2024, 2, 28, 13, 30, tzinfo=timezone(timedelta(hours=2)))


# Durations and deadlines ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1h30m20s", 5420),
        ("1d", 86400),
        ("90", 90),
        ("1.5h", 5400),
        (" 2H ", 7200),
        ("0s", 0),
        ("0", 0),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "m", "h30m", "ten", "1x", "-5m", "-5", "1h-30m", "1:30", "nan", "inf", "nans", "infinity"]
)
def test_what_is_no_duration_is_an_error_that_shows_some(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--budget .*: expected a duration such as 90s, 15m, 2h or 1h30m"):
        parse_duration(text)


@given(st.text("0123456789dhms. -naife", max_size=8))
def test_a_duration_is_a_finite_number_of_seconds_or_an_error(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ConfigError:
        return
    assert 0 <= seconds < float("inf")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("13:31", NOW.replace(minute=31)),
        ("23:59", NOW.replace(hour=23, minute=59)),
        ("13:30", NOW.replace(day=29)),
        ("9:05", NOW.replace(day=29, hour=9, minute=5)),
        ("2024-02-28T13:30:01+02:00", NOW.replace(second=1)),
        ("2024-03-01T09:00+00:00", datetime(2024, 3, 1, 11, 0, tzinfo=NOW.tzinfo)),
    ],
)
def test_a_deadline_is_the_next_such_time(text: str, expected: datetime) -> None:
    assert parse_deadline(text, now=NOW) == expected.timestamp()


def test_a_date_without_a_time_zone_is_local() -> None:
    now = datetime.now().astimezone()
    local = (now + timedelta(days=3)).replace(tzinfo=None, microsecond=0)
    assert parse_deadline(local.isoformat(), now=now) == local.timestamp()


@pytest.mark.parametrize("text", ["2024-02-28T13:30+02:00", "2023-01-01T00:00", "2024-02-27"])
def test_a_deadline_in_the_past_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="is in the past"):
        parse_deadline(text, now=NOW)


@pytest.mark.parametrize("text", ["", "noon", "25:00", "12:60", "12", "2024-02-30T00:00", "tomorrow"])
def test_what_is_no_deadline_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected HH:MM or YYYY-MM-DDTHH:MM"):
        parse_deadline(text, now=NOW)


# Overrides ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x=1", 1),
        ("x=1e-3", 1e-3),
        ("x=true", True),
        ("x=resnet18", "resnet18"),
        ("x=a=b", "a=b"),
        ('x={"width": 4}', {"width": 4}),
        ("x=", ""),
    ],
)
def test_the_value_of_an_override_is_read_as_json_or_else_as_text(text: str, value: object) -> None:
    assert parse_overrides([text]) == {"x": value}


@pytest.mark.parametrize("text", ["lr", "=1", ""])
def test_an_override_needs_a_name_and_an_equals_sign(text: str) -> None:
    with pytest.raises(ConfigError, match="expected name=value"):
        parse_overrides([text])


@pytest.mark.parametrize("given", ["accuracy,f1", "accuracy, f1, accuracy", ["accuracy", "f1"], ["accuracy,f1"]])
def test_metrics_are_named_with_commas_between_or_one_by_one(given: str | list[str]) -> None:
    assert parse_metrics(given) == parse_metrics(parse_metrics(given)) == ("accuracy", "f1")


def test_a_metric_without_a_name_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"--metrics accuracy,: expected names with commas between"):
        parse_metrics("accuracy,")
