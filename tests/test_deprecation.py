from __future__ import annotations

import ast
import doctest
import inspect
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import kaggle_ray.deprecation
from kaggle_ray.deprecation import Renamed, accept_renamed, renamed_function, renamed_keywords

PACKAGE = Path(kaggle_ray.deprecation.__file__).parent


def keep(flag: bool) -> bool:
    return not flag


@renamed_keywords(
    ignore_twins=Renamed(to="ignore_near_duplicates", removed_in="0.3"),
    drop=Renamed(to="keep", removed_in="0.4", convert=keep),
)
def run(competition: str, *, ignore_near_duplicates: bool = False, keep: bool = True) -> tuple[str, bool, bool]:
    """Run it."""
    return competition, ignore_near_duplicates, keep


old_run: Any = run
"""The function as untyped code calls it: to a type checker an old keyword is an error."""


def test_an_old_keyword_warns_with_both_names_and_the_version_and_passes_its_value() -> None:
    with pytest.warns(FutureWarning) as caught:
        assert old_run("digits", ignore_twins=True) == ("digits", True, True)
    (warning,) = caught
    assert str(warning.message) == (
        "tests.run: 'ignore_twins' is now 'ignore_near_duplicates'; the old name goes away in kaggle-ray 0.3."
    )


def test_the_warning_shows_the_line_of_the_user() -> None:
    with pytest.warns(FutureWarning) as caught:
        old_run("digits", ignore_twins=True)
    assert caught[0].filename == __file__


def test_an_old_keyword_that_meant_something_else_is_converted() -> None:
    with pytest.warns(FutureWarning, match="'drop' is now 'keep'"):
        assert old_run("digits", drop=True) == ("digits", False, False)


def test_an_old_keyword_beside_its_new_one_is_refused() -> None:
    with pytest.raises(TypeError, match="'ignore_twins' is the old name of 'ignore_near_duplicates'"):
        old_run("digits", ignore_twins=True, ignore_near_duplicates=True)


def test_new_keywords_pass_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run("digits", ignore_near_duplicates=True) == ("digits", True, True)


def test_a_keyword_that_never_was_is_the_function_s_own_error() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'ignore_triplets'"):
        old_run("digits", ignore_triplets=True)


def test_a_decorated_function_keeps_its_name_docstring_and_signature() -> None:
    assert run.__name__ == "run"
    assert run.__doc__ == "Run it."
    assert list(inspect.signature(run).parameters) == ["competition", "ignore_near_duplicates", "keep"]


def test_renamed_hyperparameters_are_accepted_from_a_dictionary_which_stays_as_it_was() -> None:
    given = {"learning_rate": 1e-3, "epochs": 5}
    with pytest.warns(FutureWarning, match="Hyperparameters: 'learning_rate' is now 'lr'") as caught:
        accepted = accept_renamed(given, {"learning_rate": Renamed(to="lr", removed_in="0.3")}, owner="Hyperparameters")
    assert accepted == {"lr": 1e-3, "epochs": 5}
    assert given == {"learning_rate": 1e-3, "epochs": 5}
    assert caught[0].filename == __file__


def test_a_renamed_function_warns_and_goes_on_to_the_new_one() -> None:
    deal: Any = renamed_function(run, old="deal", removed_in="0.3")
    with pytest.warns(
        FutureWarning, match=r"deal\(\) is now run\(\); the old name goes away in kaggle-ray 0.3"
    ) as caught:
        assert deal("digits", keep=False) == ("digits", False, False)
    assert caught[0].filename == __file__
    assert deal.__name__ == "deal"


def test_the_examples_of_the_docstrings_run() -> None:
    warnings.simplefilter("always")  # pytest restores what a user's environment says
    assert doctest.testmod(kaggle_ray.deprecation).failed == 0


def removals(path: Path) -> list[tuple[str, str]]:
    """Return where a name goes away, and in which version, for each literal ``removed_in=`` of a module."""
    return [
        (f"{path.name}:{node.lineno}", node.value.value)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.keyword)
        and node.arg == "removed_in"
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]


def numbers(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))


def test_no_old_name_outlives_the_version_that_it_goes_away_in() -> None:
    current = numbers(version("kaggle-ray"))
    found = [place for path in PACKAGE.rglob("*.py") for place in removals(path)]
    overdue = [place for place, release in found if numbers(release) <= current]
    assert not overdue, f"remove the old names at {overdue}: this is kaggle-ray {version('kaggle-ray')}."


def test_a_removal_would_be_found(tmp_path: Path) -> None:
    module = tmp_path / "api.py"
    module.write_text("a = 1\nrun = renamed_function(go, old='run', removed_in='0.1')\n")
    assert removals(module) == [("api.py:2", "0.1")]
