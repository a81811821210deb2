from __future__ import annotations

import re
from itertools import permutations

import pytest

from kaggle_ray.data.columns import Column, ordered_as, place_columns
from kaggle_ray.data.head import Head
from kaggle_ray.data.submission_format import CellKind, SubmissionFormat
from kaggle_ray.errors import ConfigError, SubmissionError
from kaggle_ray.metrics import DICE, F2, LOG_LOSS, MEAN_IOU, RMSE

COLOURS = ("blue", "green", "red")
COLOUR = Head(name="colour", task="multiclass", classes=COLOURS, metric=LOG_LOSS)
TAGS = Head(name="tags", task="multilabel", classes=("haze", "road", "water"), metric=F2)
DOG = Head(name="is_dog", task="binary", classes=("cat", "dog"), metric=LOG_LOSS)
AGE = Head(name="age", task="regression", metric=RMSE)
WEIGHT = Head(name="weight", task="regression", metric=RMSE)
PARTS = Head(task="segmentation", classes=("background", "left", "right"), metric=MEAN_IOU)
SALT = Head(task="segmentation", classes=("salt",), metric=DICE)


def outputs(
    heads: Head | tuple[Head, ...],
    columns: tuple[str, ...],
    *,
    cells: CellKind = "probabilities",
    holds: tuple[str, ...] = (),
) -> list[int]:
    """Return the numbers that the columns hold, -1 - number for 1 minus it."""
    fmt = SubmissionFormat(id_column="id", columns=columns, cells=cells, holds=holds)
    placed = place_columns(heads if isinstance(heads, tuple) else (heads,), fmt)
    return [-1 - column.output if column.is_complement else column.output for column in placed]


@pytest.mark.parametrize("head", [COLOUR, TAGS])
def test_columns_are_placed_by_name_in_whatever_order_they_stand(head: Head) -> None:
    for order in permutations(range(3)):
        assert outputs(head, tuple(head.classes[number] for number in order)) == list(order)
        assert outputs(head, tuple(head.classes[number] for number in order), cells="numbers") == list(order)


def test_run_lengths_of_classes_are_placed_by_name_the_background_left_out() -> None:
    assert outputs(PARTS, ("right", "left"), cells="rle") == [1, 0]
    assert outputs(PARTS, ("rle_left", "rle_right"), cells="rle") == [0, 1]


@pytest.mark.parametrize(
    "columns",
    [
        ("digit_red", "digit_blue", "digit_green"),
        ("red_prob", "blue_prob", "green_prob"),
        ("P(red)", "P(blue)", "P(green)"),
        ("Red", "Blue", "Green"),
        (" red", " blue", " green"),
        ("Prob Red", "prob_blue", "Prob-Green"),
    ],
)
def test_names_may_have_one_text_around_them_or_be_written_otherwise(columns: tuple[str, ...]) -> None:
    assert outputs(COLOUR, columns) == [2, 0, 1]


def test_a_name_that_is_a_part_of_another_one_is_not_taken_for_it() -> None:
    numbers = Head(task="multiclass", classes=("0", "1", "10", "100"), metric=LOG_LOSS)
    assert outputs(numbers, ("c_100", "c_1", "c_10", "c_0")) == [3, 1, 2, 0]
    doubled = Head(task="multiclass", classes=("a", "aa"), metric=LOG_LOSS)
    assert outputs(doubled, ("aaa", "aa")) == [1, 0]
    signs = Head(task="multiclass", classes=("+", "-"), metric=LOG_LOSS)
    assert outputs(signs, ("-", "+")) == [1, 0]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (("red", "green"), r"'blue', 'green', 'red'\] \(3\), got \['red', 'green'\] \(2\); missing: 'blue'"),
        (("red", "green", "blue", "pink"), r"not expected: 'pink'"),
        (("red", "green", "violet"), r"missing: 'blue'; not expected: 'violet'"),
        (("c0", "c1", "c2"), r"missing: 'blue', 'green', 'red'; not expected: 'c0', 'c1', 'c2'.*holds"),
        (("label",), r"got \['label'\] \(1\)"),
        (("x_red", "y_green", "x_blue"), r"not expected"),
        (("1_red", "2_green", "3_blue"), r"not expected"),
    ],
)
def test_columns_of_other_names_are_refused_with_both_lists(columns: tuple[str, ...], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        outputs(COLOUR, columns)
    with pytest.raises(ConfigError, match="expected columns named"):
        outputs((AGE, COLOUR), columns)


def test_columns_whose_names_tell_nothing_hold_what_is_declared() -> None:
    assert outputs(COLOUR, ("c0", "c1", "c2"), holds=("green", "red", "blue")) == [1, 2, 0]
    assert outputs((DOG, AGE), ("y1", "y2"), holds=("age", "is_dog")) == [1, 0]
    with pytest.raises(ConfigError, match="not expected: 'pink'"):
        outputs(COLOUR, ("c0", "c1", "c2"), holds=("green", "red", "pink"))
    with pytest.raises(ConfigError, match="expected 3 names for c0, c1, c2, got green, red"):
        outputs(COLOUR, ("c0", "c1", "c2"), holds=("green", "red"))
    with pytest.raises(ConfigError, match="of numbers or run lengths"):
        outputs(COLOUR, ("label",), cells="label", holds=("red",))


@pytest.mark.parametrize("head", [AGE, Head(task="multilabel", classes=("x",), metric=F2), DOG])
def test_the_only_number_may_stand_under_any_name(head: Head) -> None:
    for name in ("label", "target", "prob", "is_ill"):
        assert outputs(head, (name,)) == [0]
    assert outputs(SALT, ("rle_mask",), cells="rle") == [0]


@pytest.mark.parametrize("column", ["cat", "Cat", "is_cat", "P(cat)", " cat ", "prob_is_cat"])
def test_the_probability_of_the_second_class_does_not_stand_under_the_name_of_the_first(column: str) -> None:
    with pytest.raises(
        ConfigError, match=r"has the name of class 'cat'.*second class, 'dog'.*classes=\('dog', 'cat'\)"
    ):
        outputs(DOG, (column,))
    assert outputs(DOG, (column,), holds=("dog",)) == [0]


@pytest.mark.parametrize(
    ("classes", "column"),
    [
        (("no", "yes"), "noise"),
        (("no", "yes"), "no_finding"),
        (("0", "1"), "label1"),
        (("cat", "dog"), "cat_or_dog"),
        (("ship", "no ship"), "no_ship"),
    ],
)
def test_a_name_that_only_seems_to_be_the_first_class_is_fine(classes: tuple[str, str], column: str) -> None:
    assert outputs(Head(task="binary", classes=classes, metric=LOG_LOSS), (column,)) == [0]


def test_two_columns_of_a_binary_head_are_the_probability_and_what_is_left() -> None:
    assert outputs(DOG, ("dog", "cat")) == [0, -1]
    assert outputs(DOG, ("prob_cat", "prob_dog")) == [-1, 0]
    with pytest.raises(ConfigError, match="missing: 'cat'"):
        outputs(DOG, ("dog", "cow"))


def test_columns_of_several_heads_are_found_by_class_label_or_head() -> None:
    assert outputs((AGE, WEIGHT), ("weight", "age")) == [1, 0]
    assert outputs((COLOUR, AGE), ("red", "age", "blue", "green")) == [2, 3, 0, 1]
    assert outputs((AGE, DOG), ("is_dog", "age")) == outputs((AGE, DOG), ("dog", "Age")) == [1, 0]
    assert outputs((AGE, DOG), ("cat", "age", "dog")) == [-2, 0, 1]
    assert outputs((TAGS, COLOUR), ("colour_red", "colour_blue", "colour_green", "road", "haze", "tags.water")) == [
        5, 3, 4, 1, 0, 2,
    ]  # fmt: skip


def test_a_class_of_two_heads_is_told_by_the_heads_name() -> None:
    other = Head(name="shade", task="multiclass", classes=("red", "dark"), metric=LOG_LOSS)
    with pytest.raises(ConfigError, match=r"'colour\.red'.*'shade\.red'"):
        outputs((COLOUR, other), ("blue", "green", "red", "red2", "dark"))
    qualified = ("shade_red", "colour_red", "dark", "green", "blue")
    assert outputs((COLOUR, other), qualified) == [3, 2, 4, 1, 0]


@pytest.mark.parametrize(
    ("heads", "columns"),
    [
        ((AGE, WEIGHT), ("age", "height")),
        ((AGE, DOG), ("age", "cat")),
        ((AGE, DOG), ("dog", "is_dog")),
        ((COLOUR, AGE), ("red", "green", "blue")),
    ],
)
def test_columns_of_several_heads_that_leave_a_number_out_are_refused(
    heads: tuple[Head, ...], columns: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError, match="expected columns named"):
        outputs(heads, columns)


def test_names_that_repeat_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected columns of different names, got id, red, green, red"):
        SubmissionFormat(id_column="id", columns=("red", "green", "red"))
    with pytest.raises(ConfigError, match="expected columns of different names, got id, id"):
        SubmissionFormat(id_column="id", columns=("id",))
    with pytest.raises(ConfigError, match="expected classes of different names, got a, b, a"):
        Head(task="multiclass", classes=("a", "b", "a"), metric=LOG_LOSS)


# The sample ---------------------------------------------------------------------------------------------------------

FORMAT = SubmissionFormat(id_column="id", columns=COLOURS)


def test_the_file_has_the_samples_order() -> None:
    assert ordered_as(FORMAT, ["id", "red", "green", "blue"], where="s.csv").columns == ("red", "green", "blue")
    declared = SubmissionFormat(id_column="id", columns=("c0", "c1"), holds=("cat", "dog"))
    turned = ordered_as(declared, ["id", "c1", "c0"], where="s.csv")
    assert (turned.columns, turned.holds) == (("c1", "c0"), ("dog", "cat"))
    assert place_columns((DOG,), turned) == (Column(output=0), Column(output=0, is_complement=True))


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("id,red,green", "missing: 'blue'"),
        ("id,red,green,blue,pink", "not expected: 'pink'"),
        ("id,red,green,blue,red", "there twice: 'red'"),
        ("id,red,green,Blue", "missing: 'blue'; not expected: 'Blue'"),
        ("id, red,green,blue", "missing: 'red'; not expected: ' red'"),
        ("ID,red,green,blue", "missing: 'id'; not expected: 'ID'"),
        ("red,green,blue,id", r"expected the id column 'id' and, in any order, .*got \['red', 'green', 'blue', 'id'\]"),
        ("id", "missing: 'blue', 'green', 'red'"),
        ("id,label", "not expected: 'label'"),
    ],
)
def test_a_sample_of_other_columns_is_refused_with_both_lists(header: str, told: str) -> None:
    with pytest.raises(
        SubmissionError, match=r"s\.csv: expected .*'blue', 'green', 'red'\] \(3\), got \[.*\]"
    ) as error:
        ordered_as(FORMAT, header.split(","), where="s.csv")
    assert re.search(told, str(error.value))
