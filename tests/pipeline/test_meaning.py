"""What the scores of real runs of the toy competition mean."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import kaggle_ray
from kaggle_ray.cli import main
from kaggle_ray.errors import ConfigError, StoreError
from kaggle_ray.pipeline.meaning import choice_of, meaning_of
from kaggle_ray.store.opening import open_run
from kaggle_ray.submission.kaggle_records import KaggleRecord, save_record
from kaggle_ray.testing.toy import TINY, TOY_FILE


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> tuple[Path, ...]:
    """A run with one experiment, and a copy of it as another one."""
    folder = tmp_path_factory.mktemp("meaning")
    run = kaggle_ray.run(
        TOY_FILE, experiments=[{**TINY, "epochs": 2, "lr": 2e-2}], data=toy_data, runs=folder, launcher="local",
        reporters=[], device="cpu",
    ).run_dir  # fmt: skip
    return run, Path(shutil.copytree(run, run.parent / "another"))


def scored(run: Path, public_score: float) -> None:
    record = KaggleRecord(
        slug="toy", name="submission", sha256="0" * 64, message="", state="complete", score_honest=None, since=0.0,
        public_score=public_score,
    )  # fmt: skip
    save_record(open_run(run), record)


def test_a_run_is_told_what_to_expect_before_it_is_submitted_and_what_the_gap_is_after(
    runs: tuple[Path, ...], toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = meaning_of(open_run(runs[0]), data=toy_data, public_share=0.5)
    assert (before.num_public, before.num_private) == (10, 10)
    assert before.expected.low < before.expected.score < before.expected.high
    with pytest.raises(ConfigError, match="has no public score yet"):
        choice_of([before, before])
    for run in runs:
        scored(run, before.expected.high + 9)
    board = tmp_path / "board.csv"
    board.write_text("score\n0.001\n50\n")
    words = ["--data", str(toy_data), "--public-share", "0.5", "--leaderboard", str(board)]
    main(["meaning", *map(str, runs), *words])
    out = capsys.readouterr().out
    assert f"{runs[0].name}: expected public log_loss {before.expected.score:.5f}" in out
    assert "leak: the public score" in out
    assert "a classifier tells test images from training images with AUC" in out
    assert "rank 2 of 3, top 66.7%" in out
    assert "choose " in out
    assert all(run.name in out.splitlines()[-1] for run in runs)


def test_a_run_without_an_honest_score_has_nothing_to_expect(tmp_path: Path, toy_data: Path) -> None:
    with pytest.raises(StoreError, match="is no run"):
        meaning_of(open_run(tmp_path / "runs" / "x" / "y"), data=toy_data, public_share=0.5)
