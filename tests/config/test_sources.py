from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import pytest

from kaggle_ray.config.sources import SourceBundle, source_files
from kaggle_ray.errors import ConfigError


def written(folder: Path, **files: str) -> Path:
    """Write modules, a double underscore in a name being a slash; return the first."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / f"{next(iter(files))}.py"


def test_a_file_that_imports_nothing_of_its_folder_is_alone(tmp_path: Path) -> None:
    file = written(tmp_path, pets="import os\nimport numpy as np\nfrom kaggle_ray import Competition\n", other="")
    assert source_files(file) == {"pets.py": file}


def test_modules_of_the_folder_are_found_through_one_another_and_in_functions(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        pets="import common\ndef late():\n    from losses import focal\n",
        common="from deeper import x\nimport pets\n",
        deeper="x = 1\n",
        losses="focal = 1\n",
        unused="",
    )
    assert list(source_files(file)) == ["pets.py", "common.py", "deeper.py", "losses.py"]


def test_a_package_counts_with_the_modules_that_are_imported_from_it(tmp_path: Path) -> None:
    file = written(
        tmp_path, pets="from nets.small import Net\n", nets____init__="from .base import Base\n",
        nets__small="from . import blocks\nfrom ..nets import base\n", nets__base="", nets__blocks="", nets__unused="",
    )  # fmt: skip
    (tmp_path / "nets" / "__init__.py").write_text("from .base import Base\n")
    found = {"nets/__init__.py", "nets/base.py", "nets/blocks.py", "nets/small.py"}
    assert set(source_files(file)) == {"pets.py", *found}


def test_a_folder_that_is_imported_from_above_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "competitions", pets="from competitions.common import x\n", common="x = 1\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert list(source_files(file)) == ["pets.py", "common.py"]


def test_modules_that_python_finds_elsewhere_are_the_users_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "competitions", pets="import nets.small\nimport json, email.message\nimport sides\n")
    written(tmp_path / "lib", nets____init__="", nets__small="from ..sides import x\nfrom nets import blocks\n")
    written(tmp_path / "lib", nets__blocks="", sides="", unused="")
    (tmp_path / "lib" / "nets" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "lib"), *sys.path])
    assert list(source_files(file)) == ["pets.py", "nets/__init__.py", "nets/blocks.py", "nets/small.py", "sides.py"]


def test_what_is_installed_below_the_folder_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, pets="import helper\nimport kaggle_ray\n")
    installed = tmp_path / ".venv" / "site-packages"
    written(installed, helper="")
    (tmp_path / "kaggle_ray.py").write_text("")
    monkeypatch.setattr(sys, "path", [*sys.path, str(installed)])
    assert list(source_files(file)) == ["pets.py"]


def test_of_two_modules_of_a_name_the_one_counts_that_python_finds_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "own", pets="import twofold\n", twofold="")
    written(tmp_path / "before", twofold="")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "before"), *sys.path])
    assert source_files(file) == {"pets.py": file, "twofold.py": tmp_path / "before" / "twofold.py"}


def test_a_module_that_is_no_python_is_named(tmp_path: Path) -> None:
    file = written(tmp_path, pets="import broken\n", broken="def :\n")
    with pytest.raises(ConfigError, match=r"broken\.py: is no Python file"):
        source_files(file)


def test_a_machine_that_has_the_file_unchanged_takes_its_own(tmp_path: Path) -> None:
    file = written(tmp_path / "mine", pets="import common\n", common="x = 1\n")
    assert SourceBundle.of(file).here(tmp_path / "cache") == file
    assert not (tmp_path / "cache").exists()


def test_a_machine_that_lacks_the_file_gets_it_with_what_it_imports_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "mine", pets="import nets_of_pets.small\n", nets_of_pets__small="SIZE = 3\n")
    written(tmp_path / "mine", nets_of_pets____init__="")
    monkeypatch.setattr(sys, "path", [*sys.path])
    bundle = SourceBundle.of(file)
    shutil.rmtree(tmp_path / "mine")
    here = bundle.here(tmp_path / "cache")
    assert here.read_text() == "import nets_of_pets.small\n"
    assert list(source_files(here)) == list(bundle.contents), "its digests are those of the run"
    assert importlib.import_module("nets_of_pets.small").SIZE == 3
    before = here.stat().st_mtime_ns
    assert bundle.here(tmp_path / "cache") == here
    assert here.stat().st_mtime_ns == before
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [here.parent.name], "nothing half done is left"


def test_a_machine_whose_file_differs_gets_that_of_the_run(tmp_path: Path) -> None:
    file = written(tmp_path / "mine", pets="x = 1\n")
    bundle = SourceBundle.of(file)
    file.write_text("x = 2\n")
    assert bundle.here(tmp_path / "cache").read_text() == "x = 1\n"
    assert bundle.here(tmp_path / "cache") != file
