from __future__ import annotations

import pandas as pd
import pytest

from kaggle_ray.cli.evaluate import _fitting


@pytest.mark.parametrize(("width", "num_classes"), [(60, 2), (80, 3), (200, 9)])
def test_of_more_columns_than_fit_those_of_classes_are_left_out_and_no_id_is_broken(
    width: int, num_classes: int
) -> None:
    row: dict[str, object] = {"id": "train_1742", "fold": 0, "truth": "2", "answer": "7"}
    row |= {f"probability_{name}": 0.1111 for name in range(9)} | {"loss": 7.112}
    fitting = _fitting(pd.DataFrame([row]), width)
    assert fitting == [*list(row)[: 4 + num_classes], "loss"]


def test_of_no_rows_the_columns_are_those_that_fit_by_their_names() -> None:
    assert _fitting(pd.DataFrame(columns=["id", "probability_cat"]), 80) == ["id", "probability_cat"]
