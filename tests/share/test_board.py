"""The board over several runs, users and places, as the command line prints it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import kaggle_ray
from kaggle_ray.cli import main
from kaggle_ray.share.push import push
from kaggle_ray.store.opening import open_run

CopyOfRun = Callable[[str], Path]


@pytest.fixture
def place(finished: Path, copy_of_run: CopyOfRun, tmp_path: Path) -> str:
    """Where ann and bob share two runs each with two experiments; bob's have names that somebody thought up."""
    run = copy_of_run("bobs")
    record = json.loads((run / "run.json").read_text())
    for number, experiment in enumerate(record["experiments"]):
        experiment["name"] = ["=HYPERLINK(1)", "\x1b[2J[red]<b>"][number]
    (run / "run.json").write_text(json.dumps(record))
    push(open_run(finished), str(tmp_path / "place"), user="ann")
    push(open_run(run), str(tmp_path / "place"), user="bob")
    return str(tmp_path / "place")


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    main(["board", *words])
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [80, 160])
def test_experiments_of_several_people_are_one_table(
    columns: int, place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = printed(capsys, place)
    lines = text.splitlines()
    assert max(map(len, lines)) <= columns
    assert "competition toy, metric log_loss" in lines[0]
    assert [word for line in lines for word in line.split() if word in ("ann", "bob")] == ["ann", "bob"] * 2
    assert r"\x1b[2J[red]<b>" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(("columns", "left_out"), [(80, ["epochs", "optimism"]), (160, [])])
def test_one_run_has_its_leaderboard_with_the_columns_for_which_there_is_room_and_no_word_broken(
    columns: int,
    left_out: list[str],
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = printed(capsys, str(finished)).splitlines()
    assert max(map(len, lines)) <= columns
    (head,) = [line for line in lines if "log_loss" in line]
    assert [name for name in ("folds", "epochs", "optimism", "time") if name not in head.split()[3:]] == left_out
    for name in ("small_resnet lr=0.02", "ensemble (greedy)", "baseline (constant)"):
        assert any(name in line for line in lines)


def test_the_csv_has_every_column_and_no_formula(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(printed(capsys, place, "--csv"))))
    assert [row["user"] for row in rows] == ["ann", "bob", "ann", "bob"]
    assert {row["experiment"] for row in rows} >= {"'=HYPERLINK(1)", r"\x1b[2J[red]<b>"}
    assert [float(row["score"]) for row in rows] == sorted(float(row["score"]) for row in rows)
    assert {row["lr"] for row in rows} == {"0.001", "0.02"}


def test_conditions_choose_and_a_column_orders(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--csv", "--columns", "user,lr", "--sort=-lr", "--filter", "lr>=0.001"]
    assert printed(capsys, place, *asked) == "user,lr\nann,0.02\nbob,0.02\nann,0.001\nbob,0.001\n"
    assert printed(capsys, place, *asked, "--filter", "user=bob", "--filter", "lr<0.01") == "user,lr\nbob,0.001\n"
    assert printed(capsys, place, *asked, "--filter", "experiment~hyper").count("bob") == 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--sort", "scoer"], "there is no column 'scoer'. Did you mean 'score'?"),
        (["--columns", "lrr"], "there is no column 'lrr'. Did you mean 'lr'?"),
        (["--filter", "lr"], "--filter 'lr': expected COLUMN and a value"),
    ],
)
def test_what_is_no_column_is_named(
    asked: list[str], said: str, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["board", place, *asked])
    assert said in capsys.readouterr().err


def test_a_run_that_cannot_be_read_is_a_line_below_the_others(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    (index,) = (Path(place) / "bob" / "runs").rglob("*.json")
    index.write_text("{")
    text = printed(capsys, place)
    assert "is not JSON" in " ".join(text.split())
    assert "small_resnet" in text


def test_runs_are_found_however_they_are_named(
    finished: Path, place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["pull", place, "--user", "ann"])
    capsys.readouterr()
    for where in (
        str(finished),
        str(finished.parent.parent),
        "shared",
        "shared/ann",
        f"shared/ann/toy/{finished.name}",
    ):
        rows = list(csv.DictReader(io.StringIO(printed(capsys, where, "--csv"))))
        assert [row["run"] for row in rows] == [finished.name] * 2, where
        assert {row["user"] for row in rows} == {"ann" if where.startswith("shared") else ""}
    assert printed(capsys, str(finished), str(finished.parent.parent), "--csv").count("\n") == 3, "a run counts once"
    with pytest.raises(SystemExit):
        main(["board", "nowhere"])
    assert "there is no run" in capsys.readouterr().err


def test_a_bare_id_and_the_name_of_a_competition_find_a_run(
    finished: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = printed(capsys, str(finished))
    for named in (finished.name, "toy"):
        assert printed(capsys, named, "--runs", str(finished.parent.parent)) == whole
    with pytest.raises(SystemExit):
        main(["board", "tyo", "--runs", str(finished.parent.parent)])
    assert "there is no run 'tyo'. Did you mean 'toy'?" in capsys.readouterr().err


@pytest.mark.parametrize("columns", [80, 160])
def test_the_list_of_runs_breaks_no_word(
    columns: int, finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    main(["list", "--runs", str(finished.parent.parent)])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    (line,) = [line for line in lines if finished.name in line]
    ensemble = open_run(finished).ensemble("greedy")
    assert ensemble is not None
    for word in ("toy", "4/4", "log_loss", f"{ensemble['score_honest']:.5f}", "small_resnet"):
        assert word in line


def test_from_python_runs_are_pushed_pulled_and_compared(
    finished: Path, copy_of_run: CopyOfRun, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place, own = tmp_path / "place", copy_of_run("bobs")
    assert kaggle_ray.push(finished, place, user="ann").num_new_files > 0
    assert kaggle_ray.push(finished, place, user="ann").num_new_files == 0
    kaggle_ray.push(own, place, user="bob")
    (pulled,) = kaggle_ray.pull(place, user="ann", to=tmp_path / "shared")
    assert pulled.folder == tmp_path / "shared" / "ann" / "toy" / finished.name
    assert kaggle_ray.open_run(pulled.folder).board == kaggle_ray.open_run(finished).board
    table = kaggle_ray.board(place, where=["user=bob"], sort="-lr")
    assert table[["run", "user", "lr"]].to_numpy().tolist() == [["bobs", "bob", 0.02], ["bobs", "bob", 0.001]]
    next((place / "bob" / "runs").rglob("*.json")).write_text("{")
    assert set(kaggle_ray.board(place).user) == {"ann"}
    assert "left out: " in caplog.text
