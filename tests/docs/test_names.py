"""What the texts name exists: paths of this repository, links between pages, and names in ``kaggle_ray``."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kaggle_ray.reporters.settings import SETTINGS_FILE

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
FOLDERS = ("kaggle_ray", "competitions", "search_spaces", "tests", "docs")
MODULES = sorted(
    path
    for folder in ("", *FOLDERS)
    for path in (REPOSITORY.glob("*.py") if not folder else (REPOSITORY / folder).rglob("*.py"))
)

URL = re.compile(r"\w+://\S+")
SOURCE = r"(?:\w[\w-]*/)+[\w-]+\.(?:py|md|ya?ml|toml|sh)|[A-Z]+\.md"
PATH = re.compile(rf"(?<![\w/.<{{*-])(?:{SOURCE}|(?:{'|'.join(FOLDERS)})/[\w/-]+)\b")
PLACEHOLDER = re.compile(r"(^|/)(x|mine|own|[A-Z]+)\.py$|^[A-Z]+/")
"""Files that a reader is to write, and folders of theirs."""
WRITTEN = re.compile(r"^# ([\w./-]+\.py)$", re.MULTILINE)
"""Files that a page's own blocks are."""
LINK = re.compile(r"\]\(([^)#:]+)(?:#[\w-]*)?\)")
NAME = re.compile(r"`(kaggle_ray(?:\.\w+)+)")


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of every docstring of a module, those of fields and constants too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def texts() -> list[tuple[str, str, Path]]:
    """Return where, what and the folder of all texts that are for a reader."""
    pages = [(path.relative_to(REPOSITORY).as_posix(), path.read_text(), path.parent) for path in PAGES]
    inside = [
        (f"{path.relative_to(REPOSITORY).as_posix()}:{line}", text, path.parent)
        for path in MODULES
        if path != Path(__file__)
        for line, text in docstrings(path)
    ]
    return pages + inside


def paths_in(text: str) -> set[str]:
    """Return what looks like a path of the repository: in one of its folders, or with the ending of a source."""
    found = {match.group() for match in PATH.finditer(URL.sub("", text))}
    return {path for path in found if not PLACEHOLDER.search(path)} - set(WRITTEN.findall(text))


def exists(path: str, folder: Path) -> bool:
    return any((place / path).exists() for place in (REPOSITORY, folder, REPOSITORY / "kaggle_ray"))


def resolve(name: str) -> Any:
    """Return what a dotted name is, a module's path unimported; raises AttributeError where there is no such thing."""
    file = REPOSITORY.joinpath(*name.split("."))
    if file.with_suffix(".py").is_file():
        return file
    found: Any = importlib.import_module("kaggle_ray")
    dotted = "kaggle_ray"
    for part in name.split(".")[1:]:
        dotted = f"{dotted}.{part}"
        if is_dataclass(found) and part in found.__dataclass_fields__:
            return found.__dataclass_fields__[part]
        if not hasattr(found, part) and isinstance(found, ModuleType):
            try:
                found = importlib.import_module(dotted)
            except ModuleNotFoundError as error:
                raise AttributeError(f"there is no {dotted}") from error
        else:
            found = getattr(found, part)
    return found


def test_every_path_that_a_text_names_exists() -> None:
    missing = [
        f"{where}: {path}" for where, text, folder in texts() for path in paths_in(text) if not exists(path, folder)
    ]
    assert not missing, "\n".join(missing)


def test_every_link_between_pages_leads_to_a_file() -> None:
    missing = [
        f"{path.relative_to(REPOSITORY)}: {link}"
        for path in PAGES
        for link in LINK.findall(path.read_text())
        if not (path.parent / link).exists()
    ]
    assert not missing, "\n".join(missing)


def test_every_name_of_the_package_that_a_text_quotes_resolves() -> None:
    missing: list[str] = []
    for where, text, _ in texts():
        for name in set(NAME.findall(text)) - {str(SETTINGS_FILE)}:
            try:
                resolve(name)
            except AttributeError as error:
                missing.append(f"{where}: {name}: {error}")
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see tests/benchmarks/no_such.py, then", {"tests/benchmarks/no_such.py"}),
        ("sent by cluster/aws.yaml to it", {"cluster/aws.yaml"}),
        ("the floors of DESIGN.md.", {"DESIGN.md"}),
        ("in kaggle_ray/train and docs/tutorials/", {"kaggle_ray/train", "docs/tutorials"}),
        ("https://example.com/docs/page.md and a/folder", set()),
        ("add `competitions/x.py` in one file", set()),
        ("runs/<competition>/<run_id>/report.html, fold<k>/valid.npy", set()),
    ],
)
def test_what_looks_like_a_path_of_the_repository(text: str, found: set[str]) -> None:
    assert paths_in(text) == found


def test_names_of_functions_fields_and_modules_resolve_and_others_do_not() -> None:
    for name in ("kaggle_ray.run", "kaggle_ray.Hyperparameters.optimizer", "kaggle_ray.testing.toy.TINY"):
        assert resolve(name) is not None
    for name in ("kaggle_ray.rnu", "kaggle_ray.Hyperparameters.lr", "kaggle_ray.training"):
        with pytest.raises(AttributeError):
            resolve(name)


def test_every_room_has_its_place_in_the_readme_s_tree() -> None:
    tree = (REPOSITORY / "README.md").read_text().partition("\nkaggle_ray/\n")[2].partition("```")[0]
    rooms = {
        path.name.removesuffix(".py") for path in (REPOSITORY / "kaggle_ray").glob("[a-z]*") if path.name != "py.typed"
    }
    named = set(re.findall(r"\w+", tree))
    assert not rooms - named, f"give {sorted(rooms - named)} a line in README.md."
