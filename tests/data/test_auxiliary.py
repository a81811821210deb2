from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kaggle_ray.config.described import described
from kaggle_ray.data.auxiliary import canonical_auxiliary, check_auxiliary
from kaggle_ray.data.head import Head
from kaggle_ray.data.ids import as_ids
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.metrics import metric_by_name
from kaggle_ray.testing.samples import samples_of
from kaggle_ray.testing.toy import COMPETITION
from kaggle_ray.types import Target

IDS = as_ids(["a", "b", "c"])
KIND = Head(name="kind", task="multiclass", classes=("x", "y"), metric=metric_by_name("accuracy"))
AGE = Head(name="age", task="regression", metric=metric_by_name("rmse"))
MASKS = Head(name="mask", task="segmentation", classes=("cell",), metric=metric_by_name("dice"))


def test_what_is_not_known_is_nan_or_of_classes_minus_one() -> None:
    found = canonical_auxiliary([KIND, AGE], np.array([[-1, -1.0], [1, np.nan], [np.nan, 3]]), IDS, where="here")
    np.testing.assert_array_equal(found, [[np.nan, -1], [1, np.nan], [np.nan, 3]])


@pytest.mark.parametrize(
    ("heads", "given", "message"),
    [
        ((KIND,), None, r"the auxiliary heads kind need Samples\(auxiliary_target=...\), got none"),
        ((KIND,), np.zeros((3, 2)), "expected 1 column of auxiliary targets, got 2"),
        ((KIND,), np.array([0, 2, 1]), "sample 'b' has the label 2, expected 0..1"),
        ((KIND,), np.full(3, -1), "the auxiliary head 'kind' is known of none of 3 rows"),
        ((), np.zeros(3), "expected 0 columns of auxiliary targets, got 1"),
    ],
)
def test_targets_that_the_heads_cannot_have_are_refused(
    heads: tuple[Head, ...], given: Target | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        canonical_auxiliary(heads, given, IDS, where="here")


def test_names_are_told_apart_and_masks_stand_alone() -> None:
    with pytest.raises(ConfigError, match="different names, got target, target"):
        dataclasses.replace(COMPETITION, auxiliary_heads=COMPETITION.heads)
    with pytest.raises(ConfigError, match="an auxiliary head of masks stands alone"):
        check_auxiliary([AGE], [MASKS, KIND], where="here")
    with pytest.raises(ConfigError, match="an auxiliary head of masks stands alone"):
        check_auxiliary([dataclasses.replace(MASKS, name="other")], [MASKS], where="here")
    check_auxiliary([MASKS], [KIND, AGE], where="here")


def test_a_row_keeps_its_auxiliary_target() -> None:
    samples = samples_of(IDS, np.arange(3), test_ids=as_ids(["t"]))
    samples = dataclasses.replace(samples, auxiliary_target=np.array([5.0, 6.0, 7.0]))
    kept = samples.without_train_ids(["b"]).auxiliary_target
    assert kept is not None
    assert kept.tolist() == [5.0, 7.0]


def test_a_competition_without_auxiliary_heads_is_described_as_before_there_were_any() -> None:
    plain = described(COMPETITION)
    assert isinstance(plain, dict)
    assert "auxiliary_heads" not in plain
    changed = described(dataclasses.replace(COMPETITION, auxiliary_heads=(AGE,)))
    assert isinstance(changed, dict)
    assert "auxiliary_heads" in changed
