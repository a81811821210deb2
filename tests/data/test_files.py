from __future__ import annotations

from pathlib import Path

import pytest

from kaggle_ray.data.files import read_table
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
        (GOOD.replace("cat", "c\u00e4t").encode("cp1252"), "expected a CSV file in UTF-8; .*byte 0xe4"),
        (GOOD.encode("utf-16"), "expected a CSV file in UTF-8; .*byte 0xff"),
        (GOOD.replace("b,cat", "b,cat,x").encode(), "expected a CSV file in UTF-8; .*line 3, saw 3"),
        (GOOD.replace("b,cat", '"b,cat').encode(), "expected a CSV file in UTF-8; .*EOF inside string"),
        (b"", "expected a CSV file in UTF-8; No columns"),
        (GOOD.replace(",", ", ").encode(), "missing label among 'id', ' label'"),
        (GOOD.replace(",", ";").encode(), "missing id, label among 'id;label'"),
    ],
)
def test_what_is_no_table_is_told_with_the_file(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "train.csv").write_bytes(content)
    with pytest.raises(DataError, match=rf"train\.csv: .*{message}"):
        read_table(tmp_path / "train.csv", columns=["id", "label"])
