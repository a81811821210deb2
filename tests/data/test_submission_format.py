from __future__ import annotations

import dataclasses

import pytest

from kaggle_ray.data.head import Head
from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.errors import ConfigError
from kaggle_ray.metrics import F2
from kaggle_ray.testing.tasks import toy_of


def tags(separator: str = " ") -> SubmissionFormat:
    return SubmissionFormat(id_column="id", columns=("tags",), cells="tags", separator=separator)


def declare(names: tuple[str, ...], separator: str) -> None:
    head = Head(task="multilabel", classes=names, metric=F2)
    dataclasses.replace(toy_of("multilabel"), heads=(head,), submission=tags(separator))


@pytest.mark.parametrize(
    ("separator", "name"),
    [
        (" ", "partly cloudy"),
        (" ", "partly\tcloudy"),
        (" ", " cloudy"),
        (" ", ""),
        (",", "cloudy, partly"),
        (";", "a;b"),
        (", ", "a,b"),
        ("--", "a-"),
        ("|", "cloudy "),
    ],
)
def test_a_label_that_would_not_read_back_is_refused_by_name(separator: str, name: str) -> None:
    with pytest.raises(ConfigError, match="would not read back") as caught:
        declare(("water", name), separator)
    assert f"the label {name!r}" in str(caught.value)


@pytest.mark.parametrize(
    ("separator", "names"), [(" ", ("a", "b-c")), (",", ("partly cloudy", "clear")), ("|", ("a,b", "c d"))]
)
def test_labels_that_read_back_are_taken(separator: str, names: tuple[str, ...]) -> None:
    declare(names, separator)
    cell = tags(separator).join_tags(names)
    assert cell == separator.join(names)
    assert tags(separator).split_tags(cell) == list(names)
    assert tags(separator).split_tags("") == []


def test_a_name_with_a_space_is_fine_where_each_label_has_a_column() -> None:
    head = Head(task="multilabel", classes=("partly cloudy", "clear"), metric=F2)
    fmt = SubmissionFormat(id_column="id", columns=("partly cloudy", "clear"))
    assert dataclasses.replace(toy_of("multilabel"), heads=(head,), submission=fmt).classes == head.classes


def test_an_empty_separator_is_an_error() -> None:
    with pytest.raises(ConfigError, match="expected a separator of tags, got an empty one"):
        tags("")


def test_numbers_are_not_declared_as_probabilities() -> None:
    price = SubmissionFormat(id_column="id", columns=("light",))
    with pytest.raises(ConfigError, match=r"head 'target' predicts numbers.* Set SubmissionFormat\(cells='numbers'\)"):
        dataclasses.replace(toy_of("regression"), submission=price)
