from __future__ import annotations

import csv
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaggle_ray.data.submission_format import PixelOrder
from kaggle_ray.submission.rle import decode_rle, encode_rle

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SALT = DATA / "tgs-salt-identification-challenge"
CARVANA = DATA / "carvana-image-masking-challenge"


def test_pixels_are_counted_from_one_along_rows_or_down_columns() -> None:
    mask = np.array([[1, 1, 0], [0, 0, 1]], dtype=np.bool_)
    assert encode_rle(mask, "rows") == "1 2 6 1"
    assert encode_rle(mask, "columns") == "1 1 3 1 6 1"


@pytest.mark.parametrize("value", [False, True])
def test_empty_and_full_masks(value: bool) -> None:
    mask = np.full((4, 5), value)
    assert encode_rle(mask, "rows") == ("1 20" if value else "")
    assert np.array_equal(decode_rle(encode_rle(mask, "rows"), 4, 5, "rows"), mask)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32), st.sampled_from(["rows", "columns"]))
def test_what_is_encoded_decodes_to_the_same_mask(height: int, width: int, seed: int, order: PixelOrder) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    assert np.array_equal(decode_rle(encode_rle(mask, order), height, width, order), mask)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3", "pairs of start and length, got 3 numbers: '1 2 3'"),
        ("1 x", "expected a whole number, got 'x'"),
        ("1 3 0x5 1", "got '0x5'"),
        ("1 1_0", "got '1_0'"),
        ("1 03", "got '03'"),
        ("+1 3", r"got '\+1'"),
        ("1 3.0", "got '3.0'"),
        ("1 1e1", "got '1e1'"),
        ("1 \u0663", "got '\u0663'"),
        ("1 \uff13", "got '\uff13'"),
        ("1  3", "got ''"),
        ("1 3 ", "got ''"),
        (" ", "got ''"),
        ("1\t3", r"got '1\\t3'"),
        ("1\u00a03", "got '1.*3'"),
        ("nan 1", "got 'nan'"),
        ("1 " + "9" * 400, r"got '9{40}'\.\.\. \(400 characters\)"),
        ("9" * 19 + " 1", "got '9999999999999999999'"),
        ("9" * 18 + " " + "9" * 18, r"pixels 1\.\.20 .* got 999999999999999999 999999999999999999"),
        ("-3 1", "got -3 1"),
        ("3 2 1 1", "ascending runs .* got 3 2 1 1"),
        ("5 1 1 3 2 2", "do not overlap, .* got 5 1 1 3"),
        ("1 1 3 1 5 0", "at least 1 pixel .* got 3 1 5 0"),
        ("0 1", r"of the pixels 1\.\.20 of a mask of 4 x 5, got 0 1"),
        ("20 2", "got 20 2"),
    ],
)
def test_what_is_no_mask_is_told(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_rle(text, 4, 5, "rows")


@pytest.mark.skipif(not SALT.is_dir(), reason="the salt images are not here")
def test_the_salt_competitions_own_run_lengths_are_its_masks() -> None:
    with (SALT / "train.csv").open() as file:
        rows = list(csv.DictReader(file))[:100]
    for row in rows:
        mask = np.asarray(cv2.imread(str(SALT / "train" / "masks" / f"{row['id']}.png"), cv2.IMREAD_GRAYSCALE)) > 0
        assert encode_rle(mask, "columns") == row["rle_mask"]
        assert np.array_equal(decode_rle(row["rle_mask"], 101, 101, "columns"), mask)


@pytest.mark.skipif(not CARVANA.is_dir(), reason="the photographs of cars are not here")
def test_carvanas_own_run_lengths_come_back() -> None:
    csv.field_size_limit(sys.maxsize)
    with (CARVANA / "train_masks.csv").open() as file:
        rows = list(csv.DictReader(file))[:3]
    for row in rows:
        mask = decode_rle(row["rle_mask"], 1280, 1918, "rows")
        assert encode_rle(mask, "rows") == row["rle_mask"]
