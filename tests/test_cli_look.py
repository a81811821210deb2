"""What the command line shows of runs: the list, the board, the report, a learning rate."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

import kaggle_ray
from kaggle_ray.cli import main
from kaggle_ray.errors import ConfigError, StoreError
from kaggle_ray.reporters.events import RunStarted
from kaggle_ray.reporters.jsonl import read_events
from kaggle_ray.store.opening import open_run
from kaggle_ray.submission.kaggle_records import KaggleRecord, save_record
from kaggle_ray.testing.command_line import JSON_KEYS, said, write_space_of_two
from kaggle_ray.testing.toy import TOY_FILE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a search space of two tiny experiments."""
    folder = tmp_path_factory.mktemp("cli_look")
    write_space_of_two(folder)
    return folder


@pytest.fixture(scope="module")
def arguments(folder: Path, toy_data: Path) -> list[str]:
    """What follows ``kaggle-ray run``."""
    return [
        str(TOY_FILE), "--space", str(folder / "space.py"), "--data", str(toy_data), "--launcher", "local",
        "--device", "cpu",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def run_dir(folder: Path, arguments: list[str]) -> Path:
    """A finished run, below ``runs`` of the folder."""
    main(["run", *arguments, "--runs", str(folder / "runs"), "--json"])
    (run,) = (folder / "runs/toy").iterdir()
    return run


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


def test_an_experiment_has_a_name_and_notes_of_its_own_and_is_the_same_as_before(
    tmp_path: Path,
    run_dir: Path,
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    copy = shutil.copytree(run_dir, tmp_path / "toy" / run_dir.name)
    experiment = next(each for each in open_run(copy).experiments() if each.hyperparameters["lr"] == 0.001)
    note = "slow, but steady\n& <safe>"
    out, err, code = said(capsys, "label", str(copy), experiment.name, "--name", "slow one", "--notes", note)
    assert (out, err, code) == (f"{experiment.experiment_id}: slow one\n", "", 0)
    out, _, _ = said(capsys, "board", str(copy))
    assert "small_resnet lr=0.01" in out
    assert "slow one: slow, but steady" in out
    assert experiment.name not in out.replace("lr=0.01", "")
    out, _, _ = said(capsys, "board", str(copy), "--csv")
    named = {row["experiment"]: row["notes"] for row in csv.DictReader(io.StringIO(out, newline=""))}
    assert named == {"slow one": note, "small_resnet lr=0.01": ""}
    said(capsys, "report", str(copy))
    page = (copy / "report.html").read_text()
    assert "slow one" in page
    assert "steady\n&amp; &lt;safe&gt;" in page
    out, err, code = said(capsys, "run", *arguments, "--runs", str(tmp_path), "--json")  # a resume, of the same run
    assert (code, json.loads(out)["num_epochs_trained"]) == (0, 0), err
    started = [event for event in read_events(open_run(copy).diary) if isinstance(event.event, RunStarted)][-1].event
    assert isinstance(started, RunStarted)
    assert started.experiments[experiment.experiment_id] == "slow one"
    assert started.notes == {experiment.experiment_id: note}
    past = kaggle_ray.open_run(copy)
    past.label("slow one", name="", notes="")
    assert set(past.experiments) == {experiment.name, "small_resnet lr=0.01"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("small_resnet lr=0.01", r"name 'small_resnet lr=0\.01': the experiment \w+ has it already"),
        ("a/b", "expected a line of at most 100 letters"),
        ("two\nlines", "expected a line of at most 100 letters"),
        ("x" * 101, "expected a line of at most 100 letters"),
    ],
)
def test_a_name_that_would_be_mistaken_is_refused(name: str, message: str, tmp_path: Path, run_dir: Path) -> None:
    past = kaggle_ray.open_run(shutil.copytree(run_dir, tmp_path / "toy" / "x"))
    with pytest.raises(ConfigError, match=message):
        past.label("small_resnet lr=0.001", name=name)
    with pytest.raises(StoreError, match="'small' is no experiment of it"):
        past.label("small", name="other")
    assert "small_resnet lr=0.001" in past.experiments


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
def in_progress(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A run that has its baseline, but no trial and no ensemble yet."""
    out, err, code = said(capsys, "run", *arguments, "--runs", str(tmp_path), "--budget", "0s", "--json")
    assert code == 0, err
    summary = json.loads(out)
    assert set(summary) == JSON_KEYS
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
