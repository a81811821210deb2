from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from kaggle_ray.data.samples import Samples, as_marks, as_times
from kaggle_ray.data.table import Table
from kaggle_ray.errors import DataError

GREY = Path("grey.png")


@pytest.fixture
def samples() -> Samples:
    return Samples(
        train_ids=np.array(["a", "b", "c"]),
        train_paths=(Path("a.jpg"), Path("b.jpg"), Path("c.jpg")),
        target=np.array([0, 1, 2]),
        test_ids=np.array(["d", "e"]),
        test_paths=(Path("d.jpg"), Path("e.jpg")),
        train_masks=(Path("a.gif"), Path("b.gif"), Path("c.gif")),
        train_table=Table(columns=("z",), values=np.array([[1.0], [2.0], [3.0]], dtype=np.float32)),
        test_table=Table(columns=("z",), values=np.array([[4.0], [5.0]], dtype=np.float32)),
        train_only=np.array([False, False, True]),
        groups=np.array(["x", "y", "z"]),
        times=np.array([1.0, 2.0, 3.0]),
    )


@pytest.mark.parametrize("bad", ["b.jpg", "b.gif"])
def test_a_training_row_goes_with_its_image_or_mask(samples: Samples, bad: str) -> None:
    kept = samples.without_files({Path(bad)}, placeholder=GREY)
    assert kept.train_ids.tolist() == ["a", "c"]
    assert kept.train_paths == (Path("a.jpg"), Path("c.jpg"))
    assert kept.train_masks == (Path("a.gif"), Path("c.gif"))
    assert kept.target.tolist() == [0, 2]
    assert kept.train_table is not None
    assert kept.train_table.values.tolist() == [[1.0], [3.0]]
    assert kept.train_only is not None
    assert kept.train_only.tolist() == [False, True]
    assert kept.groups is not None
    assert kept.groups.tolist() == ["x", "z"]
    assert kept.times is not None
    assert kept.times.tolist() == [1.0, 3.0]


def test_a_test_row_stays_with_the_placeholder(samples: Samples) -> None:
    kept = samples.without_files({Path("e.jpg")}, placeholder=GREY)
    assert kept.test_ids.tolist() == ["d", "e"]
    assert kept.test_paths == (Path("d.jpg"), GREY)


def test_a_sample_of_several_images_goes_with_any_of_them(samples: Samples) -> None:
    two = dataclasses.replace(
        samples,
        train_paths=tuple((Path(f"{name}1.jpg"), Path(f"{name}2.jpg")) for name in "abc"),
        test_paths=tuple((Path(f"{name}1.jpg"), Path(f"{name}2.jpg")) for name in "de"),
    )
    kept = two.without_files({Path("a2.jpg"), Path("d1.jpg")}, placeholder=GREY)
    assert kept.train_ids.tolist() == ["b", "c"]
    assert kept.test_paths[0] == (GREY, Path("d2.jpg"))


def test_nothing_to_leave_out_changes_nothing(samples: Samples) -> None:
    assert samples.without_files(set(), placeholder=GREY) is samples


def test_no_row_left_is_an_error(samples: Samples) -> None:
    with pytest.raises(DataError, match="none of the 3 training rows can be read"):
        samples.without_files(set(samples.train_paths), placeholder=GREY)  # type: ignore[arg-type]


def test_rows_are_kept_by_their_ids_in_train_and_test(samples: Samples) -> None:
    kept = samples.with_ids({"c", "a", "e", "nowhere"})
    assert kept.train_ids.tolist() == ["a", "c"]
    assert kept.times is not None
    assert kept.times.tolist() == [1.0, 3.0]
    assert (kept.test_ids.tolist(), kept.test_paths) == (["e"], (Path("e.jpg"),))
    assert kept.test_table is not None
    assert kept.test_table.values.tolist() == [[5.0]]


def test_training_rows_are_left_out_by_their_ids_and_test_rows_never(samples: Samples) -> None:
    kept = samples.without_train_ids(["b", "e"])
    assert kept.train_ids.tolist() == ["a", "c"]
    assert kept.test_ids.tolist() == ["d", "e"]
    assert samples.without_train_ids([]) is samples


def test_files_are_those_of_all_views_in_the_order_of_the_rows(samples: Samples) -> None:
    assert samples.train_files == samples.train_paths
    two = dataclasses.replace(samples, test_paths=((Path("d1"), Path("d2")), (Path("e1"), Path("e2"))))
    assert two.test_files == (Path("d1"), Path("d2"), Path("e1"), Path("e2"))


def test_without_marks_no_row_is_train_only(samples: Samples) -> None:
    assert samples.is_train_only.tolist() == [False, False, True]
    assert dataclasses.replace(samples, train_only=None).is_train_only.tolist() == [False, False, False]


@pytest.mark.parametrize(
    "given", [[True, False, False], [1, 0, 0], np.array([1, 0, 0], dtype=np.uint8), [1.0, 0.0, 0.0]]
)
def test_marks_are_truth_values_whatever_stands_for_them(given: npt.ArrayLike) -> None:
    marks = as_marks(given, where="pets")
    assert (marks.dtype.name, marks.tolist()) == ("bool", [True, False, False])


@pytest.mark.parametrize(
    "given", [[0, 1, 2], [0.5, 1, 0], [np.nan, 0, 1], ["True", "False", "no"], [None, 1, 0], [[1], [0]]]
)
def test_other_marks_are_refused(given: npt.ArrayLike) -> None:
    with pytest.raises(DataError, match="pets: train_only: expected True or False for each training row"):
        as_marks(given, where="pets")


def test_times_are_numbers_and_dates_keep_their_order() -> None:
    assert as_times([3, 1, 2], where="pets").tolist() == [3.0, 1.0, 2.0]
    dates = np.array(["2020-01-02", "NaT", "2019-12-31"], dtype="datetime64[D]")
    numbers = as_times(dates, where="pets")
    assert numbers[0] - numbers[2] == 2 * 24 * 3600 * 1e9
    assert np.isnan(numbers[1])
    with pytest.raises(DataError, match="pets: times: expected a number or a date for each training row, got <U10"):
        as_times(["2020-01-02"], where="pets")
