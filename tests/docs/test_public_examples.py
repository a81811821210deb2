"""Every public name has an example in its docstring, and the examples do what they say."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path

import pytest

import kaggle_ray


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all: the examples that run the same experiment resume each other's run."""
    return tmp_path_factory.mktemp("examples")


def examples_of(name: str) -> doctest.DocTest:
    docstring = inspect.getdoc(getattr(kaggle_ray, name)) or ""
    return doctest.DocTestParser().get_doctest(docstring, {}, f"kaggle_ray.{name}", None, 0)


@pytest.mark.parametrize("name", kaggle_ray.__all__)
def test_a_public_name_has_an_example_that_runs(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    examples = examples_of(name)
    assert examples.examples, f"give kaggle_ray.{name} an example in its docstring, with >>> before each statement."
    written: list[str] = []
    failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples, out=written.append)
    assert not failed.failed, "".join(written)
