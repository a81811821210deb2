"""What a process has loaded to train on is what the run was begun on, or its trials fail and say what has changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import RunPlan, make_plan
from kaggle_ray.pipeline.prepare import prepare
from kaggle_ray.testing.launcher_contract import trials_of
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.train.trial import TrialRunner
from kaggle_ray.types import Trial, TrialResult


@pytest.fixture
def begun(tmp_path: Path, toy_data: Path) -> RunPlan:
    """A run that has begun, of experiments at two sizes, whose files may be spoilt."""
    shutil.copytree(toy_data, tmp_path / "data")
    shutil.copy(TOY_FILE, tmp_path / "competition.py")
    plan = make_plan(
        RunOptions(
            competition=tmp_path / "competition.py", data=tmp_path / "data", runs=tmp_path / "runs", device="cpu",
            threads=1, experiments=[{**TINY, "epochs": 1}, {**TINY, "epochs": 1, "image_size": 12}],
        )
    )  # fmt: skip
    prepare(plan, None)
    return plan


def run(runner: TrialRunner, trial: Trial) -> TrialResult:
    messages = runner.run(trial)
    while True:
        try:
            next(messages)
        except StopIteration as stop:
            result: TrialResult = stop.value
            return result


def invert(file: Path) -> None:
    cv2.imwrite(str(file), 255 - cv2.imread(str(file)))  # type: ignore[operator]


def relabel(file: Path) -> None:
    first, second, *rest = file.read_text().splitlines()
    file.write_text("\n".join([first, second.replace("dark", "bright"), *rest]) + "\n")


def comment(file: Path) -> None:
    file.write_text(file.read_text() + "# changed\n")


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("data/train/a001.png", invert, "images: 1 of 80 changed, such as train/a001.png"),
        ("data/test/b000.png", invert, "images: 1 of 80 changed, such as test/b000.png"),
        ("competition.py", comment, "competition file: competition.py changed"),
    ],
)
def test_what_changed_since_the_run_was_begun_is_not_trained_on(
    begun: RunPlan, tmp_path: Path, name: str, change: Callable[[Path], None], told: str
) -> None:
    change(tmp_path / name)
    result = run(TrialRunner(begun.trial_context()), trials_of(begun)[0])
    assert result.status == "failed"
    assert f"something has changed while the run goes on: {told}. Restore it" in (result.error or "")
    assert not list(Path(begun.location).glob("trials/*/fold*/result.json")), "so that the next run tries it again"


def test_other_labels_are_not_trained_on(begun: RunPlan, tmp_path: Path) -> None:
    relabel(tmp_path / "data" / "train.csv")
    result = run(TrialRunner(begun.trial_context()), trials_of(begun)[0])
    assert result.status == "failed"
    assert "has changed in the labels" in (result.error or "")


def test_images_that_change_between_two_sizes_are_not_trained_on(begun: RunPlan, tmp_path: Path) -> None:
    runner = TrialRunner(begun.trial_context())
    small, again, large, _ = trials_of(begun)
    assert run(runner, small).status == "committed"
    invert(tmp_path / "data" / "train" / "a001.png")
    assert run(runner, again).status == "committed", "its pixels were opened before"
    result = run(runner, large)
    assert result.status == "failed"
    assert "images: 1 of 80 changed, such as train/a001.png" in (result.error or "")


def test_code_that_a_process_has_loaded_may_be_edited_for_the_next_run(begun: RunPlan, tmp_path: Path) -> None:
    runner = TrialRunner(begun.trial_context())
    small, _, large, _ = trials_of(begun)
    assert run(runner, small).status == "committed"
    comment(tmp_path / "competition.py")
    assert run(runner, large).status == "committed"
