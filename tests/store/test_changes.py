from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaggle_ray.store.changes import changes
from kaggle_ray.store.record import RunIdentity
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import JsonValue

SETTINGS = {"device": "cpu", "threads_per_trial": 1, "dtype": "float32"}
RUN: dict[str, Any] = {
    "competition": "toy",
    "experiments": [{"experiment_id": "a" * 12, "name": "net", "hyperparameters": {"lr": 0.1, "tta": "none"}}],
    "folds_digest": "f" * 12,
    "settings": SETTINGS,
    "content": {
        "labels": "1",
        "training images": "2",
        "masks": "3",
        "competition file": {"toy.py": "4", "common.py": "5"},
        "competition": {"name": "toy", "heads": [{"name": "target", "metric": {"name": "auc"}}]},
        "weights": {"/w.pth": "6"},
        "folds": "f" * 12,
    },
}
FILES = {f"train/{number}.png": str(number) for number in range(6)}


def identity(value: dict[str, Any]) -> RunIdentity:
    return from_json(RunIdentity, value, where="run.json")


def told(now: dict[str, Any], files: dict[str, str] = FILES, then: dict[str, Any] = RUN) -> list[str]:
    return [str(change) for change in changes(identity(then), identity(now), files_then=FILES, files_now=files)]


def with_content(**parts: JsonValue) -> dict[str, Any]:
    named = {name.replace("_", " "): value for name, value in parts.items()}
    experiments = [{**RUN["experiments"][0], "experiment_id": "b" * 12}]
    return {**RUN, "experiments": experiments, "content": {**RUN["content"], **named}}


def test_nothing_is_told_of_the_same_run() -> None:
    assert told(RUN) == []


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ({**RUN, "competition": "pets"}, ["competition: expected 'toy', got 'pets'"]),
        ({**RUN, "settings": {**SETTINGS, "threads_per_trial": 2}}, ["settings threads_per_trial: expected 1, got 2"]),
        ({**RUN, "folds_digest": "0" * 12}, [f"folds: expected '{'f' * 12}', got '{'0' * 12}'"]),
        ({**RUN, "experiments": []}, ["experiments: expected 1, got 0, without net"]),
        (with_content(labels="9"), ["labels: other values than before"]),
        (with_content(labels=None), ["labels: expected '1', got nothing"]),
        (with_content(folds="9"), ["folds: rows are assigned to folds otherwise"]),
        (with_content(weights={"/w.pth": None}), ["file of weights /w.pth: expected '6', got nothing"]),
        (
            with_content(competition_file={"toy.py": "4", "common.py": "9", "new.py": "1"}),
            [
                "competition file: common.py changed (toy.py imports it)",
                "competition file: new.py is new (toy.py imports it)",
            ],
        ),
        (
            with_content(competition={"name": "toy", "heads": [{"name": "target", "metric": {"name": "f2"}}]}),
            ["competition heads.metric.name: expected 'auc', got 'f2'"],
        ),
    ],
)
def test_what_differs_is_told_in_words(now: dict[str, Any], expected: list[str]) -> None:
    assert told(now) == expected


def test_files_are_counted_and_the_first_are_named() -> None:
    now = {**{name: "x" for name in list(FILES)[:4]}, "train/4.png": "4", "train/new.png": "y"}
    assert told(with_content(training_images="9", masks="9"), now) == [
        "images: 4 of 6 changed, such as train/0.png, train/1.png, train/2.png, ...; "
        "1 of 6 were added, such as train/new.png; 1 of 6 were removed, such as train/5.png"
    ]
    assert told(with_content(masks="9")) == ["images: others, or in another order, than before"]


def test_a_hyperparameter_of_several_experiments_is_told_once_and_one_that_came_later_not_at_all() -> None:
    first = RUN["experiments"][0]
    then = {**RUN, "experiments": [first, {**first, "experiment_id": "c" * 12}]}
    later = {**first, "experiment_id": "d" * 12, "hyperparameters": {"lr": 0.2, "tta": "none", "sharpness": 0.5}}
    assert told({**RUN, "experiments": [later, later]}, then=then) == ["hyperparameters lr: expected 0.1, got 0.2"]


@given(st.sampled_from(["lr", "sharpness"]), st.floats(0.2, 1))
def test_another_id_never_goes_untold(name: str, value: float) -> None:
    first = RUN["experiments"][0]
    other = {**first, "experiment_id": "d" * 12, "hyperparameters": {**first["hyperparameters"], name: value}}
    assert told({**RUN, "experiments": [other]})
