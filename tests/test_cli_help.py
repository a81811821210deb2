"""The command line's help: complete, and there at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import click
import pytest

from kaggle_ray.cli import commands
from kaggle_ray.config.settings import Device, Dtype
from kaggle_ray.launch.by_name import LauncherName
from kaggle_ray.pipeline.declare import options_of
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.racing import PolicyName
from kaggle_ray.testing.command_line import KAGGLE_RAY, call, said


def test_help_of_the_installed_program_names_the_commands(tmp_path: Path) -> None:
    done = call([*KAGGLE_RAY, "--help"], cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    for command in ("run", "list", "board", "report"):
        assert f"\n  {command} " in done.stdout


@pytest.mark.parametrize("command", sorted(commands.commands))
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, err, code = said(capsys, command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith("Usage: ")
    assert "--help" in out


def test_help_and_version_import_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom kaggle_ray.cli import main\n"
        "for words in (['--help'], ['run', '--help'], ['--version']):\n"
        "    try:\n        main(words)\n    except SystemExit:\n        pass\n"
        "heavy = {'torch', 'ray', 'pandas', 'numpy', 'rich', 'sklearn', 'cv2'}\n"
        "print('heavy:', *sorted(heavy & set(sys.modules)))\n"
    )
    done = call([sys.executable, "-c", program], cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "heavy:", done.stdout + done.stderr


def test_the_options_of_run_on_the_command_line_are_those_of_its_declaration() -> None:
    parameters = commands.commands["run"].params
    on_command_line = {each.name: each for each in parameters if not getattr(each, "hidden", False)}
    declared = {each.name: each for each in options_of(RunOptions) if not each.python_only}
    assert on_command_line.keys() - declared.keys() == {"dry_run", "as_json"}
    assert declared.keys() <= on_command_line.keys()
    for name, option in declared.items():
        parameter = on_command_line[name]
        if isinstance(parameter, click.Option):
            assert parameter.opts == [option.flag]
            assert parameter.help == option.description
    assert {name for name, each in on_command_line.items() if isinstance(each, click.Argument)} == {"competition"}


def test_the_names_that_an_option_takes_are_those_of_its_type() -> None:
    choices = {each.name: set(each.choices) for each in options_of(RunOptions) if each.choices}
    assert choices == {
        "device": set(get_args(Device)),
        "dtype": set(get_args(Dtype)),
        "launcher": set(get_args(LauncherName)),
        "policy": set(get_args(PolicyName)),
    }


def test_every_help_can_be_read_alone_and_no_option_of_a_command_is_without() -> None:
    for name, command in commands.commands.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.help, f"{name} {parameter.name}"
                assert parameter.help[0].isupper(), f"{name} {parameter.name}"
                assert parameter.help.endswith("."), f"{name} {parameter.name}"


@pytest.mark.parametrize("command", ["predict", "ensemble", "import", "meaning"])
def test_what_a_command_needs_is_asked_for(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = {"import": ["oof.csv", "--run", str(tmp_path)], "meaning": [str(tmp_path), "--public-share", "0.3"]}
    _, err, code = said(capsys, command, *given.get(command, [str(tmp_path)]))
    assert code == 2
    assert "Missing option '--data'." in err
