from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from kaggle_ray.config import SearchSpace
from kaggle_ray.config.loading import find_file, load_attribute
from kaggle_ray.errors import ConfigError, DataError

SPACE = "from kaggle_ray import SearchSpace\nSPACE = SearchSpace(base={'epochs': 2})\n"


def write(path: Path, text: str = SPACE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_path_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "anywhere/mine.py")
    monkeypatch.chdir(tmp_path)
    assert find_file("anywhere/mine.py", folder="search_spaces") == file
    assert find_file(file, folder="search_spaces") == file


def test_a_name_is_looked_for_in_the_working_directory_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    beside_the_package = find_file("digits", folder="competitions")
    own = write(tmp_path / "competitions/digits.py")
    assert find_file("digits", folder="competitions") == own
    assert beside_the_package != own
    assert beside_the_package.name == "digits.py"


def test_a_missing_file_is_named_with_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=rf"mine\.py: no such file \(looked in {tmp_path}\)"):
        find_file("mine.py", folder="search_spaces")


def test_an_unknown_name_lists_or_suggests_the_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "search_spaces/own_space.py")
    with pytest.raises(ConfigError, match=r"search_spaces: there is no 'own_spaec'\. Did you mean 'own_space'\?"):
        find_file("own_spaec", folder="search_spaces")
    with pytest.raises(ConfigError, match=r"there is no 'zzz'\. Known: .*own_space"):
        find_file("zzz", folder="search_spaces")


def test_the_attribute_is_returned_and_no_module_of_another_name_is_replaced(tmp_path: Path) -> None:
    import json

    space = load_attribute(write(tmp_path / "json.py"), "SPACE", SearchSpace)
    assert space.base == {"epochs": 2}
    assert sys.modules["json"] is json


def test_a_file_may_declare_dataclasses(tmp_path: Path) -> None:
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass Row:\n    name: str\n"
    )
    assert load_attribute(write(tmp_path / "space.py", text + SPACE), "SPACE", SearchSpace).base == {"epochs": 2}


def test_a_file_that_changes_within_a_second_and_keeps_its_size_is_read_anew(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.py")
    assert load_attribute(file, "SPACE", SearchSpace).base == {"epochs": 2}
    then = file.stat()
    write(file, SPACE.replace("2", "3"))
    os.utime(file, ns=(then.st_atime_ns, then.st_mtime_ns))
    assert load_attribute(file, "SPACE", SearchSpace).base == {"epochs": 3}
    assert list(tmp_path.iterdir()) == [file], "nothing is left beside it"


def test_two_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    one = load_attribute(write(tmp_path / "a/space.py"), "SPACE", SearchSpace)
    other = load_attribute(write(tmp_path / "b/space.py", SPACE.replace("2", "3")), "SPACE", SearchSpace)
    assert (one.base, other.base) == ({"epochs": 2}, {"epochs": 3})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected SPACE = SearchSpace\(\.\.\.\), got nothing"),
        ("SPACE = {}", r"expected SPACE = SearchSpace\(\.\.\.\), got dict"),
        ("\n1 / 0", r"does not run: ZeroDivisionError: division by zero \(line 2 of .*space\.py: 1 / 0\)\.?$"),
        ("raise SystemError('no')", r"does not run: SystemError: no"),
        ("a b", r"does not run: SyntaxError"),
    ],
)
def test_a_file_that_does_not_give_it_is_named_with_the_reason(tmp_path: Path, text: str, message: str) -> None:
    file = write(tmp_path / "space.py", text)
    with pytest.raises(ConfigError, match=rf"{file}: {message}"):
        load_attribute(file, "SPACE", SearchSpace)


def test_an_error_of_ours_keeps_its_kind(tmp_path: Path) -> None:
    file = write(tmp_path / "space.py", "from kaggle_ray.errors import DataError\nraise DataError('no files')")
    with pytest.raises(DataError, match=rf"{file}: no files"):
        load_attribute(file, "SPACE", SearchSpace)


def test_an_import_of_what_lies_beside_the_file_is_told_with_what_finds_it(tmp_path: Path) -> None:
    write(tmp_path / "beside_it.py", "NAMES = ()\n")
    file = write(tmp_path / "space.py", "from beside_it import NAMES\n")
    with pytest.raises(ConfigError, match=rf"'beside_it'.*lies beside the file: export PYTHONPATH={tmp_path}$"):
        load_attribute(file, "SPACE", SearchSpace)
    absent = write(tmp_path / "other.py", "from not_beside_it import NAMES\n")
    with pytest.raises(ConfigError, match=r"NAMES\)$"):
        load_attribute(absent, "SPACE", SearchSpace)
