"""The predictions of several people are ensembled where their folds are the same, in whatever order they are named."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import pytest

import kaggle_ray
from kaggle_ray.cli import main
from kaggle_ray.errors import ConfigError, CorruptBlobError, FoldsError
from kaggle_ray.pipeline.team import ensemble_of_runs
from kaggle_ray.share.push import push
from kaggle_ray.share.sources import OwnedRun, runs_at
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.toy import NUM_TEST, TINY, TOY_FILE

BASE = {**TINY, "epochs": 2, "lr": 2e-2}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> tuple[Path, ...]:
    """Runs of three people: one's own; ann's, which has one of its experiments too; and bob's."""
    folder = tmp_path_factory.mktemp("people")
    of_people = [[BASE, {**BASE, "lr": 5e-3}], [BASE, {**BASE, "batch_size": 8}], [{**BASE, "tta": "hflip", "seed": 3}]]
    return tuple(
        kaggle_ray.run(
            TOY_FILE, experiments=experiments, data=toy_data, runs=folder / str(number), launcher="local",
            reporters=[], device="cpu",
        ).run_dir
        for number, experiments in enumerate(of_people)
    )  # fmt: skip


@pytest.fixture
def place(runs: tuple[Path, ...], tmp_path: Path) -> str:
    place = str(tmp_path / "place")
    for run, user in zip(runs[1:], ("ann", "bob"), strict=True):
        push(open_run(run), place, user=user)
    return place


def test_the_result_does_not_depend_on_the_order(
    runs: tuple[Path, ...], place: str, toy_data: Path, tmp_path: Path
) -> None:
    shared, _ = runs_at(place)
    seen: set[tuple[bytes, bytes]] = set()
    for number, others in enumerate(itertools.permutations([*shared, shared[0]])):
        out = tmp_path / f"out{number}"
        ensemble_of_runs(open_run(runs[0]), others, data=toy_data, out=out)
        seen.add(((out / "submissions/submission.csv").read_bytes(), (out / "ensembles/auto/oof.npy").read_bytes()))
    assert len(seen) == 1


def test_everybody_has_a_say_and_the_lineage_says_who(
    runs: tuple[Path, ...], place: str, toy_data: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in runs[0].rglob("*") if path.is_file() and "lease" not in path.name}
    found = ensemble_of_runs(open_run(runs[0]), runs_at(place)[0], data=toy_data, out=tmp_path / "out", method="mean")
    assert sorted((each.user, each.run_id) for each in found.members) == sorted(
        [("", runs[0].name), ("", runs[0].name), ("ann", runs[1].name), ("bob", runs[2].name)]
    ), "an experiment that two have run is one member"
    assert {each.weight for each in found.members} == {0.25}
    assert found.score_honest is not None
    kept = json.loads((tmp_path / "out/ensembles/mean/ensemble.json").read_text())
    assert [(of["user"], of["run_id"]) for of in kept["members"]] == [(of.user, of.run_id) for of in found.members]
    assert kept["score_honest"] == found.score_honest
    assert len(Path(found.submission).read_text().splitlines()) == NUM_TEST + 1
    assert {path: path.read_bytes() for path in before} == before


def test_other_folds_are_refused(runs: tuple[Path, ...], toy_data: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(runs[2], tmp_path / "toy" / "other"))
    record = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps({**record, "folds_digest": "0123456789ab"}))
    with pytest.raises(FoldsError, match=r"expected predictions under fold plan .*, got 0123456789ab"):
        ensemble_of_runs(open_run(runs[0]), [OwnedRun(user="", store=open_run(other))], data=toy_data, out=tmp_path)
    (other / "run.json").write_text(json.dumps({**record, "metric": "accuracy"}))
    with pytest.raises(ConfigError, match="with log_loss, got toy with accuracy"):
        ensemble_of_runs(open_run(runs[0]), [OwnedRun(user="", store=open_run(other))], data=toy_data, out=tmp_path)


def test_predictions_that_were_changed_are_refused(runs: tuple[Path, ...], toy_data: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(runs[2], tmp_path / "toy" / "other"))
    (values, *_) = other.glob("trials/*/fold0/attempts/*/test.npy")
    values.write_bytes(values.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(CorruptBlobError, match=r"test\.npy: expected sha256"):
        ensemble_of_runs(open_run(runs[0]), [OwnedRun(user="", store=open_run(other))], data=toy_data, out=tmp_path)


def test_the_command_line_ensembles_what_was_pulled(
    runs: tuple[Path, ...], place: str, toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    main(["pull", place, "--no-weights", "--runs", str(runs[0].parent.parent)])
    assert f"the folds of your run {runs[0].name}" in capsys.readouterr().out
    main(["ensemble", str(runs[0]), "shared", "--data", str(toy_data), "--ensemble", "mean"])
    text = capsys.readouterr().out
    assert "honest score 0." in text
    assert all(user in text for user in ("ann", "bob"))
    assert (tmp_path / "team/submissions/submission.csv").is_file()
