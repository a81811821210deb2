"""The command line: what it prints where, and how it exits."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from kaggle_ray.cli import commands, main
from kaggle_ray.store.opening import open_run
from kaggle_ray.submission.kaggle_records import KaggleRecord, save_record
from kaggle_ray.testing.command_line import KAGGLE_RAY, call, said
from kaggle_ray.testing.toy import TINY, TOY_FILE

RUN_PY = [sys.executable, str(Path(__file__).resolve().parent.parent / "run.py")]

CONTRACT = {
    "run_dir", "submission", "refit", "metric", "greater_is_better", "best_experiment", "best_score",
    "ensemble_score_honest", "ensemble_score_in_sample", "num_experiments", "num_trials", "num_failed",
    "num_epochs_trained", "decoded_images", "seconds",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a search space of two tiny experiments."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "space.py").write_text(
        "from kaggle_ray import SearchSpace\n"
        f"SPACE = SearchSpace(base={{**{TINY!r}, 'epochs': 2}}, grid={{'lr': [1e-2, 1e-3]}})\n"
    )
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
    assert "Did you mean '--launcher'?" in err


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
    assert set(summary) == CONTRACT
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
    assert {key: first[key] for key in CONTRACT - changing} == {key: second[key] for key in CONTRACT - changing}
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
    out, err, code = said(capsys, "run", *arguments, "--runs", str(tmp_path / "none"), "--slots", "2", "--dry-run")
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


# list, board, report ------------------------------------------------------------------------------------------------


def test_list_shows_every_run_with_its_best_and_its_honest_score(
    folder: Path, run_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    out, err, code = said(capsys, "list", "--runs", str(folder / "runs"))
    assert (code, err) == (0, "")
    (line,) = [line for line in out.splitlines() if run_dir.name in line]
    ensemble = open_run(run_dir).ensemble("auto")
    assert ensemble is not None
    for word in ("toy", "4/4", "log_loss", "small_resnet lr=", f"{ensemble['score_honest']:.5f}"):
        assert word in line


def test_list_without_any_run_is_an_empty_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, err, code = said(capsys, "list", "--runs", str(tmp_path / "none"))
    assert (code, err) == (0, "")


def test_list_names_a_run_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "toy/old").mkdir(parents=True)
    (tmp_path / "toy/old/run.json").write_text('{"schema_version": 99}')
    out, _, code = said(capsys, "list", "--runs", str(tmp_path))
    assert code == 0
    assert "old" in out


def test_list_is_filtered_sorted_and_printed_as_csv(
    tmp_path: Path, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("toy/a", "toy/b"):
        shutil.copytree(run_dir, tmp_path / name)
    (tmp_path / "toy/damaged").mkdir()
    (tmp_path / "toy/damaged/run.json").write_text("{}")
    ours = ["list", "--runs", str(tmp_path), "--csv"]
    out, err, _ = said(capsys, *ours, "--sort=-run")
    rows = list(csv.DictReader(out.splitlines()))
    assert [row["run"] for row in rows] == ["damaged", "b", "a"]
    assert (rows[1]["done"], rows[1]["trials"], rows[1]["location"]) == ("4", "4", f"{tmp_path}/toy/b")
    assert float(rows[1]["ensemble"]) > 0
    assert "toy/damaged/run.json" in err
    out, err, _ = said(capsys, *ours, "--filter", "run=a", "--filter", "trials>=4")
    assert (out.count("\n"), err) == (2, "")
    _, err, code = said(capsys, *ours, "--sort", "scoer")
    assert (code, "there is no column 'scoer'. Did you mean 'score'?" in err) == (1, True)


def test_board_shows_the_experiments_the_ensembles_and_the_baseline(
    run_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    out, err, code = said(capsys, "board", str(run_dir))
    assert (code, err) == (0, "")
    for word in ("small_resnet lr=0.01", "small_resnet lr=0.001", "ensemble (greedy)", "ensemble (mean)", "baseline"):
        assert word in out


def test_report_writes_the_report_anew_and_prints_where(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run_dir / "report.html").read_bytes()
    (run_dir / "report.html").unlink()
    out, err, code = said(capsys, "report", str(run_dir))
    assert (code, err) == (0, "")
    assert out == f"{run_dir / 'report.html'}\n"
    assert (run_dir / "report.html").read_bytes() == before


def test_scores_on_kaggle_stand_beside_the_honest_ones_in_the_list_on_its_page_and_in_the_report(
    tmp_path: Path, run_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    store = open_run(shutil.copytree(run_dir, tmp_path / "toy/x"))
    submitted = KaggleRecord(
        slug="toy", name="submission", sha256="a" * 64, message="both", state="complete", score_honest=0.3,
        since=1.0, public_score=0.25, standard_error=0.02,
    )  # fmt: skip
    save_record(store, submitted)
    out, err, code = said(capsys, "submissions", "--runs", str(tmp_path), "--plot", str(tmp_path / "scores.html"))
    assert (code, err, "0.30000 ± 0.02000" in out) == (0, "", True)
    assert "<h2>toy</h2>" in (tmp_path / "scores.html").read_text()
    said(capsys, "report", store.location)
    assert 'id="cv-to-lb"' in (tmp_path / "toy/x/report.html").read_text()


@pytest.fixture
def in_progress(folder: Path, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A run that has its baseline, but no trial and no ensemble yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        out, err, code = said(capsys, "run", *arguments, "--runs", str(tmp_path), "--budget", "0s", "--json")
    assert code == 0, err
    summary = json.loads(out)
    assert set(summary) == CONTRACT
    assert summary["best_experiment"] is summary["best_score"] is summary["ensemble_score_honest"] is None
    assert summary["submission"].endswith("baseline.csv")
    return Path(summary["run_dir"])


def test_list_board_and_report_work_on_a_run_in_progress(
    in_progress: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    out, err, code = said(capsys, "list", "--runs", str(tmp_path))
    assert (code, err) == (0, "")
    assert "0/4" in out
    out, err, code = said(capsys, "board", str(in_progress))
    assert (code, err) == (0, "")
    assert "baseline" in out
    assert "ensemble" not in out
    out, err, code = said(capsys, "report", str(in_progress))
    assert (code, err) == (0, "")
    assert "small_resnet lr=0.01" in (in_progress / "report.html").read_text()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("board", "ConfigError: {}: there is no run. Name a run, a folder of runs, or a place where some are shared."),
        ("report", "StoreError: {}: is no run: it has no run.json."),
    ],
)
def test_a_folder_that_is_no_run_is_an_error(
    command: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err, code = said(capsys, command, str(tmp_path))
    assert (out, code) == ("", 1)
    assert err == message.format(tmp_path) + "\n"
    assert not list(tmp_path.iterdir())


# Learning rate --------------------------------------------------------------------------------------------------------


def test_find_lr_prints_a_rate_and_writes_the_page(
    folder: Path, toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    space, page = str(folder / "space.py"), tmp_path / "out" / "lr.html"
    arguments = ["find-lr", str(TOY_FILE), "--space", space, "--data", str(toy_data), "--device", "cpu"]
    out, err, code = said(capsys, *arguments, "--set", "weight_decay=0.1", "--out", str(page))
    assert (code, err) == (0, "")
    assert "suggested lr" in out
    assert str(page) in out
    assert "find-lr" in page.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_find_lr_refuses_what_run_refuses(
    toy_data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out, err, code = said(capsys, "find-lr", str(TOY_FILE), "--data", str(toy_data), "--set", "weight_decya=0.1")
    assert (code, out) == (1, "")
    assert "Did you mean 'weight_decay'?" in err


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
    assert "1 images cannot be decoded" in (err := capsys.readouterr().err)
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


def test_run_py_in_another_python_says_which_environment_it_needs() -> None:
    done = call([sys.executable, "-S", RUN_PY[-1]], cwd=Path(RUN_PY[-1]).parent)
    assert "run.py: No module named" in done.stderr
    assert done.stderr.rstrip().endswith("source .venv/bin/activate, or: uv run run.py")
