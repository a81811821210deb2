"""What a user may say about a run: how it is declared, read, checked, and shown."""

from __future__ import annotations

import inspect
import pickle
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import pytest

import kaggle_ray
from kaggle_ray.cli import commands
from kaggle_ray.cli.options import made
from kaggle_ray.errors import ConfigError
from kaggle_ray.launch.by_name import make_launcher
from kaggle_ray.launch.placement import RayPlacement
from kaggle_ray.pipeline.declare import Options, option, options_of, takes
from kaggle_ray.pipeline.options import RunOptions, default_launcher

# Declarations -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Made(Options):
    """Made up."""

    width: int = option(3, at_least=1)
    """Width
    of it."""
    kind: str | None = option(None, unset="round", flag="--of-kind", choices=("round", "square"))
    """Kind of it."""
    is_open: bool = option(False)
    """Open it."""


@dataclass(frozen=True)
class Named(Made):
    """With a name."""

    name: str
    """Name of it."""


@takes(Named)
def make(options: Named) -> str:
    """Make one.

    Raises:
        ConfigError: it cannot be made.
    """
    return f"{options.name} {options.width}"


def test_an_option_has_its_name_default_range_and_help_from_its_field() -> None:
    width, kind, is_open, name = options_of(Named)
    assert (width.name, width.flag, width.kind, width.default, width.at_least) == ("width", "--width", int, 3, 1)
    assert width.description == "Width of it. Default: 3."
    assert (kind.flag, kind.choices, kind.description) == (
        "--of-kind",
        ("round", "square"),
        "Kind of it. Default: round.",
    )
    assert (is_open.kind, is_open.description, name.description) == (bool, "Open it.", "Name of it.")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"width": 0}, "--width 0: expected at least 1."),
        ({"width": "4"}, "--width '4': expected int."),
        ({"width": True}, "--width True: expected int."),
        ({"width": None}, "--width None: expected int."),
        ({"is_open": 1}, "--is-open 1: expected True or False."),
        ({"kind": "squaer"}, "--of-kind: there is no 'squaer'. Did you mean 'square'?"),
        ({"widht": 4}, "make: there is no option 'widht'. Did you mean 'width'?"),
    ],
)
def test_a_wrong_option_is_an_error_that_says_what_is_expected(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        make("x", **given)
    assert str(raised.value) == message


def test_a_function_that_takes_options_is_called_with_them_flat_and_shows_them() -> None:
    assert make("x", width=5) == "x 5"
    assert str(inspect.signature(make)).startswith("(name: 'str', *, width: 'int' = 3, kind: 'str | None' = None")
    assert inspect.getdoc(make) == (
        "Make one.\n\nArgs:\n    name: Name of it.\n    width: Width of it. Default: 3.\n"
        "    kind: Kind of it. Default: round.\n    is_open: Open it.\n\nRaises:\n    ConfigError: it cannot be made."
    )


# The options of a run -----------------------------------------------------------------------------------------------


def test_run_shows_every_option_with_its_help() -> None:
    documented = inspect.getdoc(kaggle_ray.run)
    assert documented
    parameters = list(inspect.signature(kaggle_ray.run).parameters)
    assert parameters[:2] == ["competition", "experiments"]
    assert set(parameters) == {each.name for each in options_of(RunOptions)}
    for each in options_of(RunOptions):
        assert f"    {each.name}: {each.description}\n" in documented


def test_no_option_is_said_twice_and_each_says_all_there_is_to_it() -> None:
    groups = [group for group in RunOptions.__mro__ if issubclass(group, Options)]
    declared = [name for group in groups for name in vars(group).get("__annotations__", {})]
    assert len(declared) == len(set(declared))
    assert set(declared) == {each.name for each in options_of(RunOptions)}
    for each in options_of(RunOptions):
        assert each.help.endswith("."), each.name
        assert each.help[0].isupper(), each.name
        assert each.name == "competition" or each.default is not None or each.unset, each.name
        assert each.kind not in (int, float) or each.at_least is not None, each.name


def test_options_that_were_read_are_read_again_as_they_are_and_go_to_other_processes() -> None:
    options = RunOptions("toy", budget="1m", deadline="23:59", overrides=["lr=0.1"])  # type: ignore[arg-type]
    assert (options.budget, options.overrides) == (60, {"lr": 0.1})
    assert replace(options, seeds=1) == options == pickle.loads(pickle.dumps(options))


def typed_calls() -> None:
    """Never run: mypy reads it, and calls an ignore that is not needed an error."""
    kaggle_ray.run("toy", [{"lr": 0.1}], threads=2, budget="2h")
    kaggle_ray.run("toy", thraeds=2)  # type: ignore[call-arg]
    kaggle_ray.run("toy", threads="2")  # type: ignore[arg-type]
    kaggle_ray.run(threads=2)  # type: ignore[call-arg]


def test_a_misspelt_option_of_run_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(kaggle_ray.KaggleRayError, match=r"run: there is no option 'thraeds'\. Did you mean 'threads'"):
        kaggle_ray.run("toy", thraeds=2)  # type: ignore[call-arg]


def test_a_name_of_the_last_release_is_taken_with_a_warning(tmp_path: Path) -> None:
    run: Any = kaggle_ray.run
    warned = pytest.warns(FutureWarning, match="kaggle_ray.run: 'ignore_twins' is now 'ignore_near_duplicates'")
    with warned, pytest.raises(ConfigError, match="there is no 'no_such'"):
        run("no_such", ignore_twins=True)
    with pytest.warns(FutureWarning, match="'find_twins' is now 'find_near_duplicates'"):
        scheme: Any = kaggle_ray.FoldScheme(find_twins=False)  # type: ignore[call-arg]
    assert scheme == kaggle_ray.FoldScheme(find_near_duplicates=False)


def test_the_command_line_takes_names_of_the_last_release_and_does_not_show_them() -> None:
    command = commands.commands["run"]

    def parsed(*words: str) -> dict[str, Any]:
        values = command.make_context("run", ["toy", *words]).params
        return {name: value for name, value in values.items() if name not in ("dry_run", "as_json")}

    assert "twins" not in command.get_help(click.Context(command))
    with pytest.warns(FutureWarning, match="'ignore_twins' is now 'ignore_near_duplicates'"):
        options = made(RunOptions, parsed("--ignore-twins"))
    assert options.ignore_near_duplicates
    options = made(RunOptions, parsed("--ignore-near-duplicates", "--seeds", "2"))
    assert (options.ignore_near_duplicates, options.seeds) == (True, 2)


def test_the_local_launcher_has_no_results_of_tune() -> None:
    with pytest.raises(ConfigError, match="--tune-results: only --launcher ray"):
        RunOptions(competition="digits", launcher="local", tune_results="results")


def test_without_ray_the_default_is_to_run_trials_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_launcher() == "ray"
    monkeypatch.setattr("kaggle_ray.pipeline.options.find_spec", lambda name: None)
    assert default_launcher() == "local"
    monkeypatch.setitem(sys.modules, "kaggle_ray.launch.ray_tune", None)
    with pytest.raises(ConfigError, match=r"--launcher ray needs the extra: pip install 'kaggle-ray\[ray\]'"):
        make_launcher("ray", RayPlacement(num_slots=1))
