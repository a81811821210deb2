from __future__ import annotations

from io import StringIO

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaggle_ray.submission.numerals import parse_number, parse_whole

floats = st.floats(-3e38, 3e38, allow_nan=False)
texts = st.one_of(
    st.builds(repr, floats),
    st.builds("{:.3e}".format, floats),
    st.builds("{:.4f}".format, st.floats(-1e6, 1e6)),
    st.builds("{:G}".format, floats),
    st.builds(str, st.integers(-(10**18) + 1, 10**18 - 1)),
)
almost = st.text(st.sampled_from("0123456789+-.eE_ x\u0661\uff11naif,"), max_size=6)


@given(texts)
def test_every_way_to_write_a_number_is_read_as_pandas_reads_it(text: str) -> None:
    (cell,) = pd.read_csv(StringIO(f"id,x\n1,{text}\n"))["x"].tolist()
    assert parse_number(text) == pytest.approx(float(cell), rel=1e-15)


@given(almost)
def test_what_is_accepted_is_a_number_to_pandas_and_the_same(text: str) -> None:
    try:
        value = parse_number(text)
    except ValueError:
        return
    (cell,) = pd.read_csv(StringIO(f"id,x\n1,{text}\n"))["x"].tolist()
    assert isinstance(cell, (int, float))
    assert value == float(cell)


@given(st.integers(-(10**18) + 1, 10**18 - 1))
def test_a_whole_number_of_18_digits_is_itself(number: int) -> None:
    assert parse_whole(str(number)) == number


@given(almost)
def test_a_whole_number_is_a_number_without_a_point(text: str) -> None:
    try:
        whole = parse_whole(text)
    except ValueError:
        return
    assert whole == parse_number(text)
    assert not set(text) - set("-0123456789")


@pytest.mark.parametrize("text", ["3.5e38", "-1e39", "1e999", "9" * 400])
def test_what_a_float32_cannot_hold_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="expected a finite number"):
        parse_number(text)
