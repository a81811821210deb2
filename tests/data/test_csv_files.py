from __future__ import annotations

import os
from pathlib import Path

import pytest

from kaggle_ray.data.csv_files import read_header, read_table
from kaggle_ray.errors import DataError

GOOD = "id,label\n007,dog\nb,cat\n"


@pytest.mark.parametrize(
    "same",
    [
        GOOD.encode(),
        b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode(),
        b'\xef\xbb\xbf"id","label"\n"007","dog"\n"b","cat"\n',
        b"id,label\n007,dog,\nb,cat,\n",
        b"id,label\n007,dog,,\nb,cat,,\n",
        b"id,label,\n007,dog,\nb,cat,\n",
        b"id,label\n\n007,dog\n\nb,cat\n\n",
        GOOD.encode("utf-16"),
        b"id,label\n1,007,dog\n2,b,cat\n",  # with names of the rows, as R writes them
    ],
)
def test_a_table_is_read_as_it_was_meant(tmp_path: Path, same: bytes) -> None:
    (tmp_path / "train.csv").write_bytes(same)
    table = read_table(tmp_path / "train.csv", columns=["id", "label"])
    assert table["id"].tolist() == ["007", "b"]
    assert table["label"].tolist() == ["dog", "cat"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            GOOD.replace("cat", "c\u00e4t").encode("cp1252"),
            r"line 3: expected UTF-8, got the byte 0xe4, .*cp1252, .*iconv",
        ),
        (GOOD.encode("utf-16")[:-1], r"line 3: expected UTF-16"),
        (GOOD.replace(",", ";").encode(), r"missing id, label among 'id;label'\. Save it with commas .* ';'"),
        ((GOOD + "\0\0").encode(), r"line 4: has a NUL byte"),
        (GOOD.replace("007,dog", "007,dog,x").replace("b,cat", "b,cat,y").encode(), "more fields than the header"),
        (GOOD.replace("b,cat", "b,cat,x").encode(), "expected a CSV file: Expected 2 fields in line 3, saw 3"),
        (GOOD.replace("b,cat", "b").encode(), "line 3 has 1 of 2 fields. Is the file cut off there"),
        (GOOD.replace("b,cat", '"b,cat').encode(), "expected a CSV file: EOF inside string"),
        (b"", "expected a CSV file with a header, got an empty file"),
        (GOOD.replace(",", ", ").encode(), "missing label among 'id', ' label'"),
    ],
)
def test_what_is_no_table_is_told_with_the_file(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "train.csv").write_bytes(content)
    with pytest.raises(DataError, match=rf"train\.csv: .*{message}"):
        read_table(tmp_path / "train.csv", columns=["id", "label"])


def test_a_header_is_read_in_the_encoding_of_its_table(tmp_path: Path) -> None:
    (tmp_path / "sample.csv").write_bytes(GOOD.encode("utf-16"))
    assert read_header(tmp_path / "sample.csv") == ["id", "label"]


def test_a_table_that_is_a_fifo_or_a_folder_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.csv")
    (tmp_path / "folder.csv").mkdir()
    for name in ("fifo.csv", "folder.csv"):
        with pytest.raises(DataError, match=rf"{name}: (is no regular file|cannot be read)"):
            read_table(tmp_path / name, columns=["id"])
