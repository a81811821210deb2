"""What ids of experiments are made of: hyperparameters that differ from their defaults, and content."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kaggle_ray.config import Hyperparameters, OptimizerHyperparameters, parse_hyperparameters
from kaggle_ray.config.part import flat_values
from kaggle_ray.pipeline.experiments import make_experiments
from kaggle_ray.pipeline.identity import differing, experiment_id, training_id
from kaggle_ray.testing.past_runs import copy_past_run
from kaggle_ray.testing.toy import TINY
from kaggle_ray.train.content import Content
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import Experiment, JsonValue

CONTENT = Content(parts={"folds": "0" * 12})

FLOAT_FIELDS = sorted(name for name, default in Hyperparameters().to_dict().items() if isinstance(default, float))

hyperparameter_sets = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["resnet18", "small_resnet"]),
        "model_args": st.dictionaries(st.sampled_from(["width", "dropout", "blocks"]), st.integers(0, 9), max_size=3),
        "lr": st.integers(1, 3) | st.floats(1e-6, 10),
        "weight_decay": st.integers(0, 3) | st.floats(0, 10),
        "mixup": st.integers(0, 3) | st.floats(0, 10),
        "epochs": st.integers(1, 100),
        "seed": st.integers(0, 2**31 - 1),
        "augment": st.sampled_from(["none", "shift"]),
        "pretrained": st.booleans(),
    },
)


def id_of(values: dict[str, JsonValue], content: Content = CONTENT) -> str:
    return experiment_id(parse_hyperparameters(values, where="here"), content)


# Hyperparameters ----------------------------------------------------------------------------------------------------


@given(values=hyperparameter_sets, random=st.randoms(use_true_random=False))
def test_the_id_ignores_the_order_of_keys(values: dict[str, Any], random: random.Random) -> None:
    keys = list(values)
    random.shuffle(keys)
    shuffled = {key: values[key] for key in keys}
    if "model_args" in shuffled:
        shuffled["model_args"] = dict(reversed(shuffled["model_args"].items()))
    assert id_of(shuffled) == id_of(values)


@given(values=hyperparameter_sets)
def test_the_id_ignores_whether_a_float_is_written_as_an_int(values: dict[str, Any]) -> None:
    as_floats = {name: float(value) if name in FLOAT_FIELDS else value for name, value in values.items()}
    as_ints = {
        name: int(value) if name in FLOAT_FIELDS and value == int(value) else value for name, value in values.items()
    }
    assert id_of(as_floats) == id_of(as_ints) == id_of(values)


@given(values=hyperparameter_sets)
def test_the_id_ignores_whether_a_default_is_written_out(values: dict[str, JsonValue]) -> None:
    assert id_of({**Hyperparameters().to_dict(), **values}) == id_of(values)


@given(one=hyperparameter_sets, other=hyperparameter_sets)
@settings(max_examples=60)
def test_the_id_tells_different_hyperparameters_apart(one: dict[str, JsonValue], other: dict[str, JsonValue]) -> None:
    same = parse_hyperparameters(one, where="") == parse_hyperparameters(other, where="")
    assert (id_of(one) == id_of(other)) == same


@given(values=hyperparameter_sets)
@settings(max_examples=30)
def test_the_id_survives_json(values: dict[str, JsonValue]) -> None:
    (experiment,) = make_experiments([parse_hyperparameters(values, where="here")], CONTENT)
    read = from_json(Experiment, json.loads(json.dumps(dataclasses.asdict(experiment))), where="here")
    assert read == experiment
    assert id_of(dict(read.hyperparameters)) == experiment.experiment_id


def test_the_id_depends_on_the_content_and_has_twelve_hex_digits() -> None:
    ids = {id_of({}), id_of({}, Content(parts={"folds": "1" * 12})), id_of({}, Content())}
    assert len(ids) == 3
    assert all(len(experiment_id) == 12 and int(experiment_id, 16) >= 0 for experiment_id in ids)


def test_a_new_hyperparameter_with_a_default_changes_no_old_id() -> None:
    later: Any = dataclasses.make_dataclass(
        "Later", [("sharpness", float, 0.5)], bases=(OptimizerHyperparameters,), frozen=True, kw_only=True
    )
    values, defaults = (flat_values(part) for part in (later(lr=0.1, momentum=0.5), later()))
    assert values["sharpness"] == 0.5
    now = differing(Hyperparameters(lr=0.1, momentum=0.5).to_dict(), Hyperparameters().to_dict())
    assert differing(values, defaults) == now == {"lr": 0.1, "momentum": 0.5}
    assert set(differing(flat_values(later(sharpness=0.7)), defaults)) == {"sharpness"}


def test_defaults_are_those_that_ids_stand_for(tmp_path: Path) -> None:
    """Whoever changes a default has to raise the version in kaggle_ray.pipeline.identity, and this test with it."""
    record = json.loads((copy_past_run(2, tmp_path) / "run.json").read_text())
    (experiment,) = record["experiments"]
    named = {*TINY, "epochs"}
    then = {name: value for name, value in experiment["hyperparameters"].items() if name not in named}
    now = Hyperparameters().to_dict()
    assert {name: now[name] for name in then} == then
    assert [now[name] for name in sorted(named)] == [64, 10, 64, "resnet18", {}]


def test_an_id_is_what_it_was_when_it_was_made() -> None:
    assert id_of({}) == "e50383df8745"


def test_a_parent_counts_by_what_it_is_and_not_by_how_it_is_named() -> None:
    child: dict[str, JsonValue] = {"lr": 0.1, "image_size": 64, "init_from": {"image_size": 32}}
    same: dict[str, JsonValue] = {**child, "init_from": {"image_size": 32, "lr": 0.1}}
    other: dict[str, JsonValue] = {**child, "init_from": {"image_size": 16}}
    assert id_of(child) == id_of(same)
    assert len({id_of(child), id_of(other), id_of({"lr": 0.1, "image_size": 64})}) == 3


def test_a_file_of_weights_counts_by_its_content() -> None:
    values: dict[str, JsonValue] = {"pretrained": True, "model_args": {"weights": "/somewhere/resnet.pth"}}
    ids = {id_of(values, Content(weights={"/somewhere/resnet.pth": digest})) for digest in ("a" * 64, "b" * 64, None)}
    assert len(ids) == 3


# What is trained alike -----------------------------------------------------------------------------------------------


def trained(values: dict[str, JsonValue]) -> str:
    return training_id(parse_hyperparameters(values, where="here"), CONTENT)


def test_what_changes_only_the_prediction_is_trained_alike() -> None:
    assert trained({"tta": "hflip"}) == trained({}) != trained({"lr": 0.1})
    child: dict[str, JsonValue] = {"init_from": {"epochs": 3}}
    assert trained({**child, "tta": "hflip"}) == trained(child) != trained({})


def test_students_of_teachers_that_predict_otherwise_are_trained_otherwise() -> None:
    student: dict[str, JsonValue] = {"distill_from": {"model": "resnet50"}}
    assert trained({**student, "tta": "hflip"}) != trained(student)
