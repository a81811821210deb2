"""The command line: what it prints where, and how it exits."""

from __future__ import annotations

import importlib
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from kaggle_ray.cli import commands, main
from kaggle_ray.testing.command_line import JSON_KEYS, KAGGLE_RAY, call, said, write_space_of_two
from kaggle_ray.testing.toy import TINY, TOY_FILE

RUN_PY = [sys.executable, str(Path(__file__).resolve().parent.parent / "run.py")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a search space of two tiny experiments."""
    folder = tmp_path_factory.mktemp("cli")
    write_space_of_two(folder)
    return folder


@pytest.fixture(scope="module")
def arguments(toy_data: Path) -> list[str]:
    """What follows ``kaggle-ray run``."""
    return [
        str(TOY_FILE), "--space", "space.py", "--data", str(toy_data), "--launcher", "local", "--device", "cpu",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def finished(
    folder: Path, arguments: list[str], tmp_path_factory: pytest.TempPathFactory
) -> subprocess.CompletedProcess[str]:
    """``run --json`` once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAGGLE_RAY_CACHE", str(tmp_path_factory.mktemp("cli_cache")))
        return call([*KAGGLE_RAY, "run", *arguments, "--json"], cwd=folder)


@pytest.fixture(scope="module")
def run_dir(finished: subprocess.CompletedProcess[str]) -> Path:
    return Path(json.loads(finished.stdout)["run_dir"])


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    out, err, code = said(capsys, "run", "toy", "--lanucher", "local")
    assert (out, code) == ("", 2)
    assert "Did you mean --launcher?" in err.replace("'", "")  # click quotes it since 8.3


# run ----------------------------------------------------------------------------------------------------------------


def test_without_runs_the_command_line_takes_the_place_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = next(each for each in commands.commands["run"].params if each.name == "runs")
    context = click.Context(commands.commands["run"])
    monkeypatch.setenv("KAGGLE_RAY_RUNS", "s3://bucket/runs")
    assert runs.consume_value(context, {})[0] == "s3://bucket/runs"
    assert "KAGGLE_RAY_RUNS" in (runs.help or "")


def test_json_is_one_line_with_exactly_the_contracts_keys_and_all_that_stdout_has(
    finished: subprocess.CompletedProcess[str], folder: Path
) -> None:
    assert finished.returncode == 0, finished.stderr
    (line,) = finished.stdout.splitlines()
    summary = json.loads(line)
    assert set(summary) == JSON_KEYS
    assert Path(summary["run_dir"]).parent == folder / "runs/toy"
    assert Path(summary["submission"]) == Path(summary["run_dir"]) / "submissions/submission.csv"
    assert (summary["metric"], summary["greater_is_better"]) == ("log_loss", False)
    assert (summary["num_experiments"], summary["num_trials"], summary["num_epochs_trained"]) == (2, 4, 8)
    assert summary["decoded_images"] == 80
    assert summary["best_experiment"].startswith("small_resnet lr=")
    assert all(
        isinstance(summary[key], float)
        for key in ("best_score", "ensemble_score_honest", "ensemble_score_in_sample", "seconds")
    )


def test_progress_is_on_stderr_under_json(finished: subprocess.CompletedProcess[str], run_dir: Path) -> None:
    assert "toy  run " in finished.stderr
    assert "[4/4]" in finished.stderr
    assert "finished in" in finished.stderr
    assert str(run_dir / "submissions/submission.csv") in finished.stderr
    assert "Traceback" not in finished.stderr
    assert "\x1b" not in finished.stderr


def test_run_py_is_the_same_command_and_a_rerun_trains_nothing(
    finished: subprocess.CompletedProcess[str], folder: Path, arguments: list[str]
) -> None:
    again = call([*RUN_PY, *arguments, "--json"], cwd=folder)
    assert again.returncode == 0, again.stderr
    first, second = json.loads(finished.stdout), json.loads(again.stdout)
    assert (second["num_epochs_trained"], second["decoded_images"]) == (0, 0)
    changing = {"num_epochs_trained", "decoded_images", "seconds"}
    assert {key: first[key] for key in JSON_KEYS - changing} == {key: second[key] for key in JSON_KEYS - changing}
    assert "4 done before" in again.stderr


def test_a_run_of_which_trials_failed_says_so_by_its_exit_code_its_last_line_and_in_json(
    tmp_path: Path, toy_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = tmp_path / "space.py"
    base = {**TINY, "epochs": 1, "optimizer": "sgd"}
    space.write_text(
        f"from kaggle_ray import SearchSpace\nSPACE = SearchSpace(base={base!r}, grid={{'lr': [0.01, 1e35]}})\n"
    )
    options = ["--space", str(space), "--data", str(toy_data), "--runs", str(tmp_path), "--launcher", "local"]
    out, err, code = said(capsys, "run", str(TOY_FILE), *options, "--threads", "1", "--json")
    assert code == 3
    assert (json.loads(out)["num_failed"], json.loads(out)["num_trials"]) == (2, 4)
    assert "2 of 4 trials failed" in err.splitlines()[-1]


def test_without_json_the_board_and_the_paths_are_on_stdout(
    finished: subprocess.CompletedProcess[str],
    folder: Path,
    arguments: list[str],
    run_dir: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    out, err, code = said(capsys, "run", *arguments)
    assert (code, err) == (0, "")
    assert "ensemble (greedy)" in out
    assert str(run_dir / "submissions/submission.csv") in out
    assert str(run_dir / "report.html") in out


def test_fast_dev_says_what_it_was_and_what_the_real_command_is(
    folder: Path,
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    words = ["run", *arguments, "--runs", str(tmp_path), "--fast-dev"]
    monkeypatch.setattr(sys, "argv", ["kaggle-ray", *words])
    out, err, code = said(capsys, *words)
    assert (code, err) == (0, "")
    assert "run fast-dev-" in out
    real = shlex.join(["kaggle-ray", *words[:-1]])
    assert "This was a fast-dev run, of 32 training and 16 test rows: its scores mean nothing" in out
    assert f"The real run: {real}\n" in out
    out, err, code = said(capsys, "list", "--runs", str(tmp_path))
    assert "fast-dev" not in out
    out, err, code = said(capsys, *words, "--budget", "1m")
    assert code == 1
    assert err.startswith("ConfigError: --fast-dev with --budget: ")


def test_a_dry_run_prints_the_plan_and_an_estimate_and_writes_no_run_folder(
    folder: Path,
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")
    out, err, code = said(
        capsys, "run", *arguments, "--runs", str(tmp_path / "none"), "--slots", "2", "--launcher", "ray", "--dry-run"
    )
    assert (code, err) == (0, "")
    assert not (tmp_path / "none").exists()
    assert "toy: 2 experiments x 2 folds" in out
    assert "small_resnet lr=0.01" in out
    assert "small_resnet lr=0.001" in out
    assert "epochs" in out
    text = " ".join(out.split())
    assert "4 trials, 2 at a time on cpu" in text
    assert "about " in text
    assert "in all" in text


def test_set_overrides_the_base(
    folder: Path,
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    out, err, code = said(
        capsys, "run", *arguments, "--runs", str(tmp_path), "--set", "epochs=1", "--set", "seed=3", "--json"
    )
    assert code == 0, err
    assert json.loads(out)["num_epochs_trained"] == 4
    (record,) = tmp_path.glob("*/*/run.json")
    assert {e["hyperparameters"]["seed"] for e in json.loads(record.read_text())["experiments"]} == {3}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--budget", "soon"], "ConfigError: --budget soon: expected a duration such as 90s"),
        (["--deadline", "25:00"], "ConfigError: --deadline 25:00: expected HH:MM"),
        (["--deadline", "2020-01-01T00:00"], "ConfigError: --deadline 2020-01-01T00:00: is in the past"),
        (["--set", "epochs"], "ConfigError: --set epochs: expected name=value"),
        (["--set", "epohcs=1"], "ConfigError: --set: unknown hyperparameter 'epohcs'. Did you mean 'epochs'?"),
        (["--space", "spcae.py"], "ConfigError: spcae.py: no such file"),
    ],
)
def test_an_error_of_the_users_is_one_line_on_stderr_and_exit_code_1(
    folder: Path,
    arguments: list[str],
    option: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    out, err, code = said(capsys, "run", *arguments, *option)
    assert (out, code) == ("", 1)
    assert err.startswith(message)
    assert err.count("\n") == 1


def test_ctrl_c_before_anything_was_started_is_quiet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kaggle_ray.pipeline.driver.make_plan", interrupted)
    out, err, code = said(capsys, "run", str(TOY_FILE))
    assert (out, err.strip(), code) == ("", "", 130)


def test_a_file_that_ends_too_soon_is_not_taken_for_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_short(**_: object) -> None:
        raise EOFError("compressed file ended before its end marker")

    monkeypatch.setattr("kaggle_ray.cli.look.list_.callback", cut_short)
    with pytest.raises(EOFError, match="compressed file"):
        main(["list"])


def test_a_dry_run_finds_what_the_run_would_stop_at(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = shutil.copytree(toy_data, tmp_path / "data")
    words = ["run", str(TOY_FILE), "--data", str(data), "--device", "cpu", "--dry-run"]
    with pytest.raises(SystemExit):
        main([*words, "--set", "model=resnet99"])
    assert "unknown model 'resnet99'. Did you mean 'resnet9'?" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*words, "--ensemble", "mediann"])
    assert "unknown ensemble 'mediann'. Did you mean" in capsys.readouterr().err
    (data / "train/a003.png").write_bytes((data / "train/a003.png").read_bytes()[:60])
    with pytest.raises(SystemExit):
        main([*words, "--ignore-near-duplicates"])
    assert "1 image cannot be decoded" in (err := capsys.readouterr().err)
    assert "a003.png" in err
    assert "--skip-unreadable" in err
    assert not (tmp_path / "runs").exists()


def test_json_says_what_went_wrong(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["run", str(TOY_FILE), "--data", str(tmp_path / "nowhere.csv/data"), "--json", "--ensemble", "mediann"])
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["error"], "mediann" in said["message"]) == ("ConfigError", True)


@pytest.mark.parametrize("has", [[], ["click"]])
def test_run_py_in_another_python_says_which_environment_it_needs(
    has: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in has:  # a Python that has some of what the package needs
        (tmp_path / name).symlink_to(Path(importlib.import_module(name).__path__[0]))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = call([sys.executable, "-S", RUN_PY[-1]], cwd=Path(RUN_PY[-1]).parent)
    assert "run.py: No module named" in done.stderr
    assert done.stderr.rstrip().endswith("source .venv/bin/activate, or: uv run run.py")
    assert "Traceback" not in done.stderr
