"""Reading JSON into types: what fits is converted, and what does not is named by file and field."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaggle_ray.errors import JsonShapeError
from kaggle_ray.typed_json import from_json, is_number, parse_json
from kaggle_ray.types import JsonValue
from kaggle_ray.untrusted import AttemptFile, FoldNumber, PathPart


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    name: str
    epochs: tuple[int | None, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Whole:
    status: Literal["done", "failed"]
    score: float | None
    is_proven: bool = True
    parts: tuple[Part, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    anything: Mapping[str, JsonValue] = field(default_factory=dict)
    shape: tuple[int, str] = (0, "")
    columns: Sequence[str] | None = None


def test_a_dataclass_is_read_with_what_is_nested_in_it() -> None:
    text = """{"status": "done", "score": 1, "parts": [{"name": "a", "epochs": [null, 3]}], "weights": {"a": 1},
               "anything": {"x": [1, {"y": null}]}, "shape": [3, "rgb"], "columns": ["b"]}"""
    assert from_json(Whole, json.loads(text), where="x.json") == Whole(
        status="done",
        score=1.0,
        parts=(Part(name="a", epochs=(None, 3)),),
        weights={"a": 1.0},
        anything={"x": [1, {"y": None}]},
        shape=(3, "rgb"),
        columns=("b",),
    )


def test_an_integer_is_a_number_and_becomes_a_float() -> None:
    assert isinstance(from_json(float, 1, where="x"), float)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"score": None}, "x.json: the field 'status' is missing"),
        ({"status": "done", "score": None, "weigths": {}}, "x.json: unknown field 'weigths'. Did you mean 'weights'?"),
        ({"status": "lost", "score": None}, "x.json: status: expected one of 'done', 'failed', got 'lost'"),
        ({"status": "done", "score": True}, "x.json: score: expected a number, got True"),
        ({"status": "done", "score": "1"}, "x.json: score: expected a number, got '1'"),
        ({"status": "done", "score": None, "is_proven": 1}, "is_proven: expected true or false, got 1"),
        ({"status": "done", "score": None, "parts": "ab"}, "x.json: parts: expected a list, got 'ab'"),
        (
            {"status": "done", "score": None, "parts": [{"name": "a", "epochs": [1.5]}]},
            "x.json: parts[0]: epochs[0]: expected an integer, got 1.5",
        ),
        ({"status": "done", "score": None, "weights": {"a": "b"}}, "x.json: weights: a: expected a number, got 'b'"),
        ({"status": "done", "score": None, "weights": []}, "x.json: weights: expected an object, got []"),
        ({"status": "done", "score": None, "shape": [1]}, "x.json: shape: expected 2 items, got [1]"),
        ([], "x.json: expected an object, got []"),
    ],
)
def test_another_shape_is_named_by_file_and_field(given: JsonValue, said: str) -> None:
    assert said in refusal_of(given)


def test_an_error_shows_the_beginning_of_a_long_value() -> None:
    with pytest.raises(JsonShapeError) as raised:
        from_json(int, "a" * 10_000, where="x.json")
    assert len(str(raised.value)) < 200


def test_a_type_that_json_has_not_is_a_mistake_of_the_code() -> None:
    with pytest.raises(TypeError, match="is not read from JSON"):
        from_json(set, [], where="x.json")


def test_true_is_no_number() -> None:
    assert [is_number(value) for value in (1, 1.5, True, "1", None)] == [True, True, False, False, False]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


@given(json_values)
def test_any_json_is_read_or_refused_by_name(value: JsonValue) -> None:
    assert is_whole(value) or refusal_of(value).startswith("x.json")


def is_whole(value: JsonValue) -> bool:
    return isinstance(value, dict) and value.keys() >= {"status", "score"}


def refusal_of(value: JsonValue) -> str:
    with pytest.raises(JsonShapeError) as raised:
        from_json(Whole, value, where="x.json")
    return str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[" * 51 + "]" * 51,
        '{"a":' * 60 + "1" + "}" * 60,
        '{"a": "]' + '", "b": ' + "[" * 100 + "]" * 100 + "}",
        '"' + "[" * 100_000,
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": -1e400}',
        '{"a": ' + "9" * 400 + "}",
        '{"a": ' + "9" * 5000 + "}",
        '{"a": 1',
        "",
        "\x00",
        "{'a': 1}",
    ],
)
def test_a_text_that_is_no_json_too_deep_or_not_finite_is_refused(text: str) -> None:
    with pytest.raises(JsonShapeError, match=r"^x\.json: is not JSON: ") as raised:
        parse_json(text, where="x.json")
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("data", [b"\xff\xfe{}", b'{"a": "\xff"}', b"\x80"])
def test_bytes_that_are_no_utf_8_are_refused(data: bytes) -> None:
    with pytest.raises(JsonShapeError, match="is not JSON"):
        parse_json(data, where="x.json")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
                    | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_what_is_json_is_parsed_as_it_is(value: JsonValue) -> None:
    assert parse_json(json.dumps(value), where="x") == value


def test_brackets_within_texts_are_no_depth() -> None:
    value = ["[{" * 200, '"[\\"[' * 60]
    assert parse_json(json.dumps(value).encode(), where="x") == value


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounded:
    run_id: PathPart
    fold: FoldNumber = 0
    parent: PathPart | None = None
    blobs: Mapping[AttemptFile, str] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"run_id": "../.."}, "x.json: run_id: expected a name without slashes that does not begin with a dot, got '"),
        ({"run_id": "a", "fold": 127}, "x.json: fold: expected from -2 to 126, got 127"),
        ({"run_id": "a", "fold": 10**9}, "x.json: fold: expected from -2 to 126, got 1000000000"),
        ({"run_id": "a", "parent": ""}, "x.json: parent: expected a name"),
        ({"run_id": "a", "blobs": {"../x": ""}}, "x.json: blobs: expected the name of a file, or epoch<k>/ and one"),
        ({"run_id": "a", "blobs": {"epochs/x": ""}}, "x.json: blobs: expected the name of a file"),
        ({"run_id": "a", "blobs": {"epoch1/../x": ""}}, "x.json: blobs: expected the name of a file"),
        ({"run_id": 1}, "x.json: run_id: expected a text, got 1"),
    ],
)
def test_a_value_out_of_its_bounds_is_named_by_file_and_field(given: JsonValue, said: str) -> None:
    with pytest.raises(JsonShapeError) as raised:
        from_json(Bounded, given, where="x.json")
    assert said in str(raised.value)


def test_a_value_within_its_bounds_is_read() -> None:
    value: JsonValue = {"run_id": "a", "fold": -2, "parent": "b", "blobs": {"epoch3/valid.npy": "0"}}
    assert from_json(Bounded, value, where="x") == Bounded(
        run_id="a", fold=-2, parent="b", blobs={"epoch3/valid.npy": "0"}
    )


def test_a_name_of_millions_of_letters_is_shown_shortened() -> None:
    with pytest.raises(JsonShapeError) as raised:
        from_json(Bounded, {"run_id": "a", "x" * 10**6: 1}, where="x")
    assert len(str(raised.value)) < 300
