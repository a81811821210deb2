from __future__ import annotations

import re

import numpy as np

from kaggle_ray.report.confusion import MAX_CLASSES, confusion_table

CONFUSION = np.array([[90, 10, 0], [4, 96, 0], [0, 0, 0]])
CLASSES = ["cat", "dog", "<b>newt</b>"]


def lines_of(table: str) -> list[list[str]]:
    """Return the cells of each line of the table's body, its name first, as texts."""
    lines = re.findall(r"<tr><th scope=\"row\">.*?</tr>", table)
    return [re.findall(r">([^<>]*)</t[hd]>", line) for line in lines]


def test_a_line_is_a_true_class_and_a_cell_without_rows_is_empty() -> None:
    table = confusion_table(CONFUSION, CLASSES)
    assert lines_of(table) == [
        ["cat", "90", "10", ""],
        ["dog", "4", "96", ""],
        ["&lt;b&gt;newt&lt;/b&gt;", "", "", ""],
    ]
    assert re.findall(r'<th scope="col"><span>(.*?)</span>', table) == ["cat", "dog", "&lt;b&gt;newt&lt;/b&gt;"]
    assert "<b>newt" not in table


def test_the_shade_is_the_root_of_the_share_of_the_truth_which_the_cell_tells() -> None:
    table = confusion_table(CONFUSION, CLASSES)
    assert '<td style="--shade-of:32%" title="true cat, predicted dog: 10.0% of the class">10</td>' in table
    assert '<td class="strong" style="--shade-of:95%" title="true cat, predicted cat: 90.0% of the class">90' in table


def test_of_too_many_classes_those_are_shown_in_their_order_that_are_mistaken_most() -> None:
    names = [f"class{number}" for number in range(MAX_CLASSES + 2)]
    confusion = np.eye(len(names), dtype=np.int64) * 5 + np.eye(len(names), k=1, dtype=np.int64)
    confusion[3, 4] = confusion[2, 3] = 0  # nobody mistakes class 3
    confusion[0, 1] = 0  # and class 0
    table = confusion_table(confusion, names)
    assert [line[0] for line in lines_of(table)] == [name for name in names if name not in ("class0", "class3")]
    assert f"These are the {MAX_CLASSES} of {len(names)} classes with the most mistakes." in table
    assert "classes with the most mistakes" not in confusion_table(CONFUSION, CLASSES)
