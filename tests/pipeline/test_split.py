"""Near-duplicates in a run: assigned together, left out or reported, and never looked for again."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pytest

import kaggle_ray
from kaggle_ray.combine.nested import parts_of
from kaggle_ray.config import Hyperparameters
from kaggle_ray.data.folds import FoldScheme, folds_with
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import FoldsError
from kaggle_ray.images import duplicate_rows
from kaggle_ray.metrics import metric_by_name
from kaggle_ray.pipeline import split
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.pipeline.split import split_rows
from kaggle_ray.report.show import contact_sheets
from kaggle_ray.reporters.events import RunWarned
from kaggle_ray.store.schema import SCHEMA_VERSION
from kaggle_ray.testing import toy
from kaggle_ray.testing.planted import made_up_photograph, write_near_duplicate
from kaggle_ray.testing.recorder import Recorder
from kaggle_ray.testing.samples import samples_of
from kaggle_ray.testing.tasks import toy_of
from kaggle_ray.testing.toy import COMPETITION, NUM_TEST, NUM_TRAIN

NEAR_DUPLICATES = {"a001": "a000", "a013": "a000", "a021": "a020", "b002": "a030"}
"""Each is a near-duplicate of the other; those of a000 and a001 have different labels."""
EXTERNAL = "a021"


def write_files(folder: Path) -> None:
    toy.write_files(folder)
    rng = np.random.default_rng(0)
    images = {path.stem: made_up_photograph(rng, side=128) for path in sorted(folder.glob("t*/*.png"))}
    for path in sorted(folder.glob("t*/*.png")):
        if path.stem in NEAR_DUPLICATES:
            write_near_duplicate(images[NEAR_DUPLICATES[path.stem]], path.with_suffix(".jpg"), rng)
            path.unlink()
        else:
            cv2.imwrite(str(path), images[path.stem])


def read(folder: Path) -> Samples:
    samples = toy.read(folder)
    return dataclasses.replace(samples, train_only=np.isin(samples.train_ids, [EXTERNAL]))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("near_duplicates") / "data"
    write_files(folder)
    return folder


def run(data: Path, tmp_path: Path, **options: object) -> RunResult:
    file = tmp_path / "toy_near_duplicates.py"
    file.write_text(
        "import dataclasses\nfrom kaggle_ray.testing.toy import COMPETITION as TOY, read as read_toy\n\n\n"
        "def read(folder):\n    samples = read_toy(folder)\n"
        f"    return dataclasses.replace(samples, train_only=samples.train_ids == {EXTERNAL!r})\n\n\n"
        "COMPETITION = dataclasses.replace(TOY, read=read)\n"
    )
    options = {"reporters": [], **options}
    return kaggle_ray.run(file, data=data, runs=tmp_path / "runs", launcher="local", **options)  # type: ignore[arg-type]


def test_a_run_assigns_near_duplicates_together_leaves_external_ones_out_and_says_so(
    data: Path, tmp_path: Path
) -> None:
    recorder = Recorder()
    result = run(data, tmp_path, reporters=[recorder])
    folds = dict(line.split(",") for line in (result.run_dir / "folds.csv").read_text().splitlines()[1:])
    assert folds["a000"] == folds["a001"] == folds["a013"]
    assert EXTERNAL not in folds
    assert EXTERNAL not in result.pool.scored_ids.tolist()
    saved = json.loads((result.run_dir / "near_duplicates.json").read_text())
    assert saved["schema_version"] == SCHEMA_VERSION
    assert saved["left_out"] == [EXTERNAL]
    assert [(group["train_ids"], group["test_ids"], group["labels_differ"]) for group in saved["groups"]] == [
        (["a000", "a001", "a013"], [], True),
        (["a020", "a021"], [], True),
        (["a030"], ["b002"], False),
    ]
    (warning,) = recorder.all(RunWarned)
    assert warning.topic == "near_duplicates"
    assert warning.text.startswith("near-duplicate images: 3 training rows are assigned to folds in 1 group")
    assert "1 test row has a near-duplicate in train" in (result.run_dir / "report.html").read_text()


def test_a_rerun_is_the_same_run_and_a_named_one_does_not_look_again(data: Path, tmp_path: Path) -> None:
    first = run(data, tmp_path)
    again = run(data, tmp_path)
    assert again.run_dir == first.run_dir
    assert again.num_epochs_trained == 0
    assert again.decoded_images == 0
    with patch.object(duplicate_rows, "find_near_duplicates", side_effect=AssertionError("was looked for again")):
        named = run(data, tmp_path, run_id=first.run_dir.name)
    assert named.plan.near_duplicates == first.plan.near_duplicates
    assert named.submission.read_bytes() == first.submission.read_bytes()


def test_near_duplicates_are_not_looked_for_where_the_user_or_the_competition_says_so(data: Path) -> None:
    samples = read(data)
    scheme = dataclasses.replace(COMPETITION.folds, find_near_duplicates=False)
    for competition, find in ((COMPETITION, False), (dataclasses.replace(COMPETITION, folds=scheme), True)):
        result = split_rows(competition, samples, None, find=find)
        assert not result.near_duplicates.groups
        assert result.num_decoded == 0
        assert len(result.samples.train_ids) == NUM_TRAIN
    assert split_rows(COMPETITION, samples, None, find=True).num_decoded in (0, NUM_TRAIN + NUM_TEST)


def test_folds_that_near_duplicates_make_impossible_name_them_and_the_way_out(data: Path) -> None:
    samples = read(data)
    rows = np.flatnonzero(np.isin(samples.train_ids, ["a000", "a001", "a013", "a020"]))
    few = dataclasses.replace(
        samples,
        train_ids=samples.train_ids[rows],
        train_paths=tuple(samples.train_paths[row] for row in rows.tolist()),
        target=np.array([0, 1, 1, 0]),
        train_only=None,
    )
    wide = dataclasses.replace(COMPETITION, folds=dataclasses.replace(COMPETITION.folds, kind="kfold"))
    assert split_rows(wide, few, None, find=False).folds.num_folds == 2
    merged = np.array(["a000", "a000", "a000", "a000"])
    found = dataclasses.replace(
        duplicate_rows.look_for_near_duplicates(COMPETITION, samples), groups=merged, num_decoded=0
    )
    found = dataclasses.replace(found, near_duplicates=dataclasses.replace(found.near_duplicates, left_out=()))
    with (
        patch.object(split, "look_for_near_duplicates", return_value=found),
        pytest.raises(FoldsError, match=r"got 1 group.*near-duplicates.*--ignore-near-duplicates"),
    ):
        split_rows(wide, few, None, find=True)


def test_show_has_a_sheet_of_each_kind_of_near_duplicates(data: Path, tmp_path: Path) -> None:
    html = contact_sheets(COMPETITION, read(data), out=tmp_path, recipes=["none"]).read_text()
    kinds = {path.stem for path in tmp_path.glob("near-duplicates-*.png")}
    assert kinds == {
        "near-duplicates-merged",
        "near-duplicates-train-and-test",
        "near-duplicates-labels-differ",
        "near-duplicates-left-out",
    }
    assert "1 test row has a near-duplicate in train" in html


@pytest.mark.parametrize("fast_dev", [False, True])
def test_a_label_that_a_fold_lacks_is_told_before_anything_is_written(tmp_path: Path, fast_dev: bool) -> None:
    (tmp_path / "rare.py").write_text(
        """
import dataclasses

from kaggle_ray import FoldScheme, SubmissionFormat, metric_by_name
from kaggle_ray.testing.tasks import toy_of

toy = toy_of("multilabel")


def read(folder):
    samples = toy.read(folder)
    target = samples.target.copy()
    target[:, 1] = 0
    target[:3, 1] = 1
    return dataclasses.replace(samples, target=target)


COMPETITION = dataclasses.replace(
    toy, read=read, heads=(dataclasses.replace(toy.heads[0], metric=metric_by_name("auc")),),
    folds=FoldScheme(kind="multilabel", num_folds=5),
)
"""
    )
    with pytest.raises(FoldsError, match=r"the label 'striped' \(of all 64 scored rows 3 do\)\. Use at most 3 folds"):
        kaggle_ray.run(
            tmp_path / "rare.py", data=tmp_path / "data", runs=tmp_path / "runs", launcher="local", reporters=[],
            fast_dev=fast_dev,
        )  # fmt: skip
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("num_experiments", "is_refused"), [(1, False), (2, True)])
def test_a_holdout_has_each_label_in_more_than_one_of_the_parts_that_weights_are_fitted_without(
    num_experiments: int, is_refused: bool
) -> None:
    labels = toy_of("multilabel")
    head = dataclasses.replace(labels.heads[0], metric=metric_by_name("auc"))
    scheme = FoldScheme(kind="multilabel", holdout=True)
    competition = dataclasses.replace(labels, heads=(head,), folds=scheme)
    fold_of = np.where(np.arange(100) < 20, 0, -1).astype(np.int8)
    target = np.tile(np.array([[0, 0], [1, 0]]), (50, 1))
    in_one_part = np.flatnonzero(parts_of(fold_of[:20], target[:20], forward=False) == 3)[:2]
    target[in_one_part, 1] = 1
    samples = samples_of(np.array([f"a{row:02}" for row in range(100)]), target, test_ids=np.array(["t"]))
    holdout = split.Split(samples=samples, folds=folds_with(scheme, samples, fold_of))
    experiments = [Hyperparameters(seed=seed) for seed in range(num_experiments)]
    if not is_refused:
        split.check_split(competition, holdout, experiments)
        return
    with pytest.raises(FoldsError, match=r"the holdout without part 3 of 5: .* none of them has the label 'striped'"):
        split.check_split(competition, holdout, experiments)
