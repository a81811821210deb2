"""One batch of everything: what would break after hours breaks now."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kaggle_ray
from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.data.folds import folds_of
from kaggle_ray.data.opening import open_competition
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import ConfigError, FoldsError, TrialError
from kaggle_ray.pipeline.fast_dev import one_epoch_of, rows_of_one_batch
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import make_plan
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.store.opening import list_runs
from kaggle_ray.testing.submitted import read_cells
from kaggle_ray.testing.tasks import TOY_TASKS, ToyTask, toy_of
from kaggle_ray.testing.toy import COMPETITION, TINY, TOY_FILE
from kaggle_ray.types import Folds

BATCH_SIZE = 16
"""Of the toys."""


def write_toy(task: ToyTask, folder: Path, extra: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / f"toy_{task}.py"
    file.write_text(f"from kaggle_ray.testing.tasks import toy_of\n\nCOMPETITION = toy_of({task!r})\n{extra}")
    return file


def run_fast(file: Path, folder: Path, **options: object) -> RunResult:
    return kaggle_ray.run(
        file,
        data=folder / "data",
        runs=folder / "runs",
        reporters=[],
        fast_dev=True,
        **options,  # type: ignore[arg-type]
    )


# Runs ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TOY_TASKS)
def test_every_task_goes_from_one_batch_to_a_checked_submission_and_a_report(task: ToyTask, tmp_path: Path) -> None:
    result = run_fast(write_toy(task, tmp_path), tmp_path)
    plan = result.plan
    assert result.run_dir.name.startswith("fast-dev-")
    assert result.num_epochs_trained == plan.num_trials
    assert len(plan.samples.train_ids) == 2 * BATCH_SIZE
    assert [len(plan.folds.train_rows(fold)) for fold in range(2)] == [BATCH_SIZE, BATCH_SIZE]
    assert read_cells(result.submission).ids == tuple(plan.samples.test_ids.tolist())
    assert result.score is not None
    assert result.report.exists()
    rows = result.evaluation()
    assert len(rows) == 2 * BATCH_SIZE
    assert "Error atlas" in result.report.read_text()
    if task == "masks":
        assert rows["dice"].mean() == pytest.approx(result.score)
    if task == "regression":
        assert np.sqrt(rows["loss"].mean()) == pytest.approx(result.score)


GROUPED = """
import dataclasses
import numpy as np
from kaggle_ray import FoldScheme

def _grouped(folder):
    samples = toy_of("table").read(folder)
    return dataclasses.replace(samples, groups=np.array([f"g{row // 2}" for row in range(len(samples.train_ids))]))

COMPETITION = dataclasses.replace(
    COMPETITION, name="grouped", read=_grouped, folds=FoldScheme(kind="stratified_group", num_folds=4)
)
"""


def test_groups_are_not_torn_apart(tmp_path: Path) -> None:
    result = run_fast(write_toy("table", tmp_path, GROUPED), tmp_path)
    plan = result.plan
    assert plan.samples.groups is not None
    folds_by_group: dict[str, set[int]] = {}
    for group, fold in zip(plan.samples.groups.tolist(), plan.folds.fold_of.tolist(), strict=True):
        folds_by_group.setdefault(group, set()).add(fold)
    assert all(len(folds) == 1 for folds in folds_by_group.values())
    assert plan.folds.num_folds == 4
    assert len(folds_by_group) == 24  # all that an even choice can reach: 6 rows in each of 4 folds


def test_it_is_started_anew_each_time_and_is_no_run(tmp_path: Path) -> None:
    file = write_toy("regression", tmp_path)
    first = run_fast(file, tmp_path)
    (first.run_dir / "leftover").mkdir()
    again = run_fast(file, tmp_path)
    assert again.run_dir == first.run_dir
    assert again.num_epochs_trained == 2
    assert not (first.run_dir / "leftover").exists()
    assert json.loads((again.run_dir / "run.json").read_text())["fast_dev"] is True
    assert list_runs(tmp_path / "runs") == []


def test_what_happens_between_epochs_and_trials_happens_too(tmp_path: Path) -> None:
    base = dict(
        toy_of("table").default_space(kaggle_ray.config.settings.Machine(num_cpus=1, num_gpus=0).settings()).base
    )
    experiments = [
        {**base, "schedule": "snapshot", "schedule_args": {"num_cycles": 6}},
        {**base, "epoch_rule": "other_folds"},
        {**base, "epoch_rule": "inner", "patience": 3, "ema_decay": 0.9, "accumulate": 4},
        {**base, "init_from": {"epochs": 40, "lr": 1e-3}},
    ]
    result = run_fast(write_toy("table", tmp_path), tmp_path, experiments=experiments)
    epochs = [experiment.hyperparameters["epochs"] for experiment in result.plan.experiments]
    assert epochs == [2, 2, 1, 1, 1]
    assert result.plan.experiments[-1].parent_id == result.plan.experiments[-2].experiment_id
    assert len(result.pool.oof) > 4


def test_a_trial_that_fails_is_an_error_even_where_others_do_not(tmp_path: Path) -> None:
    experiments = [{**TINY, "image_size": 16}, {**TINY, "image_size": 16, "lr": 1e35, "optimizer": "sgd"}]
    with pytest.raises(TrialError, match=r"--fast-dev: 2 of 4 trials failed\. the loss of epoch 1 is"):
        run_fast(write_toy("views", tmp_path), tmp_path, experiments=experiments)


def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'resnet19'\. Did you mean"):
        run_fast(write_toy("regression", tmp_path), tmp_path, overrides={"model": "resnet19", "model_args": {}})


def test_unreadable_files_are_left_out_of_the_few_rows_where_the_user_asks_for_it(tmp_path: Path) -> None:
    file = write_toy("regression", tmp_path)
    before = run_fast(file, tmp_path).plan.samples
    (tmp_path / f"data/images/{before.train_ids[0]}.png").write_bytes(b"")
    result = run_fast(file, tmp_path, skip_unreadable=True)
    assert sorted(result.plan.unreadable) == [f"images/{before.train_ids[0]}.png"]
    assert len(result.plan.samples.train_ids) == len(before.train_ids) - 1


# Options ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"run_id": "mine"}, {"budget": "0s"}, {"deadline": "2100-01-01T00:00"}])
def test_options_that_contradict_it_are_errors(options: dict[str, str], toy_data: Path, tmp_path: Path) -> None:
    name = next(iter(options)).replace("_", "-")
    with pytest.raises(ConfigError, match=rf"--fast-dev with --{name}.*Leave --{name} out"):
        kaggle_ray.run(TOY_FILE, data=toy_data, runs=tmp_path, fast_dev=True, reporters=[], **options)  # type: ignore[arg-type]


def test_a_real_run_cannot_take_its_name(toy_data: Path) -> None:
    with pytest.raises(ConfigError, match="not resumed"):
        make_plan(RunOptions(competition=TOY_FILE, data=toy_data, run_id="fast-dev-1234"))


def test_other_processes_are_ignored_with_a_word(toy_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    plan = make_plan(
        RunOptions(competition=TOY_FILE, data=toy_data, fast_dev=True, processes=2, loader_workers=3, compile=True)
    )
    assert (plan.settings.world_size, plan.settings.loader_workers, plan.settings.compile) == (1, 0, False)
    for name in ("processes", "loader_workers", "compile"):
        assert f"--fast-dev: {name} is ignored" in caplog.text


# Rows ---------------------------------------------------------------------------------------------------------------


def some_samples(num_rows: int, num_classes: int) -> Samples:
    ids = np.array([f"a{row:05d}" for row in range(num_rows)])
    return Samples(
        train_ids=ids,
        train_paths=tuple(Path(f"{name}.png") for name in ids),
        target=np.sort(np.arange(num_rows) % num_classes),
        test_ids=np.array([f"b{row:05d}" for row in range(num_rows)]),
        test_paths=tuple(Path(f"b{row}.png") for row in range(num_rows)),
    )


def folds_like(samples: Samples, fold_of: np.ndarray, *, num_folds: int) -> Folds:
    return Folds(
        sample_ids=samples.train_ids, fold_of=fold_of.astype(np.int8), num_folds=num_folds, seed=0, digest="f" * 12
    )


@pytest.mark.parametrize(("num_folds", "batch_size", "num_each"), [(2, 16, 16), (5, 16, 4), (5, 10, 3), (5, 2, 2)])
def test_each_fold_keeps_its_share_of_a_batch_and_one_row_of_each_class(
    num_folds: int, batch_size: int, num_each: int
) -> None:
    samples = some_samples(400, 2)
    folds = folds_like(samples, np.arange(400) % num_folds, num_folds=num_folds)
    hyperparameters = parse_hyperparameters({**TINY, "batch_size": batch_size}, where="here")
    ids = rows_of_one_batch(samples, folds, COMPETITION.heads, [hyperparameters])
    cut = samples.with_ids(ids)
    left = folds_of(folds, cut)
    assert np.bincount(left.fold_of).tolist() == [num_each] * num_folds
    assert all(set(cut.target[left.valid_rows(fold)].tolist()) == {0, 1} for fold in range(num_folds))
    assert len(cut.test_ids) == batch_size
    assert left.digest != folds.digest


def test_of_rows_that_lie_class_by_class_each_class_keeps_its_share() -> None:
    samples = dataclasses.replace(some_samples(400, 2), target=np.repeat([0, 1], [100, 300]))
    folds = folds_like(samples, np.arange(400) % 2, num_folds=2)
    cut = samples.with_ids(
        rows_of_one_batch(samples, folds, COMPETITION.heads, [parse_hyperparameters(TINY, where="here")])
    )
    left = folds_of(folds, cut)
    assert [np.bincount(cut.target[left.valid_rows(fold)]).tolist() for fold in range(2)] == [[4, 12]] * 2


def test_of_more_classes_than_a_batch_a_fold_keeps_a_batch() -> None:
    samples = some_samples(4000, 200)
    folds = folds_like(samples, np.arange(4000) % 5, num_folds=5)
    head = kaggle_ray.Head(
        task="multiclass", classes=tuple(f"c{n}" for n in range(200)), metric=COMPETITION.heads[0].metric
    )
    ids = rows_of_one_batch(samples, folds, [head], [parse_hyperparameters(TINY, where="here")])
    assert np.bincount(folds_of(folds, samples.with_ids(ids)).fold_of).tolist() == [BATCH_SIZE] * 5


def test_rows_that_are_never_scored_are_trained_on_too() -> None:
    samples = some_samples(400, 2)
    folds = folds_like(samples, np.where(np.arange(400) < 100, -1, np.arange(400) % 2), num_folds=2)
    ids = rows_of_one_batch(samples, folds, COMPETITION.heads, [parse_hyperparameters(TINY, where="here")])
    left = folds_of(folds, samples.with_ids(ids))
    assert np.bincount(left.fold_of + 1).tolist() == [8, 8, 8]
    assert len(left.train_rows(0)) == BATCH_SIZE


def test_a_fold_without_a_row_is_an_error(toy_data: Path) -> None:
    samples = some_samples(4, 2)
    folds = folds_like(samples, np.array([0, 1, 0, 1]), num_folds=2)
    with pytest.raises(FoldsError, match="fold 1: expected rows to score"):
        folds_of(folds, samples.with_ids({"a00000", "a00002"}))


def test_masks_tables_and_views_are_cut_with_their_rows(tmp_path: Path) -> None:
    for task in ("masks", "table", "views"):
        _, samples = open_competition(toy_of(task), tmp_path / task)
        ids = {"a003", "a010", "b070"}
        cut = samples.with_ids(ids)
        assert set(cut.train_ids.tolist()) | set(cut.test_ids.tolist()) == ids
        assert len(cut.train_paths) == len(cut.target) == 2
        assert cut.num_views == samples.num_views
        if samples.train_masks is not None:
            assert cut.train_masks == (samples.train_masks[3], samples.train_masks[10])
        if samples.train_table is not None:
            assert cut.train_table is not None
            assert cut.test_table is not None
            assert np.array_equal(cut.train_table.values, samples.train_table.values[[3, 10]], equal_nan=True)
            assert np.array_equal(cut.test_table.values, samples.test_table.values[[6]], equal_nan=True)  # type: ignore[union-attr]


# Hyperparameters ----------------------------------------------------------------------------------------------------


def test_epochs_and_what_depends_on_them_are_clamped_and_what_is_then_the_same_is_run_once() -> None:
    samples = some_samples(40, 2)
    folds = folds_like(samples, np.arange(40) % 2, num_folds=2)
    hyperparameter_sets = [
        parse_hyperparameters({**TINY, "image_size": 64, "start_size": 32, "epochs": epochs, **more}, where="here")
        for epochs, more in ((5, {}), (9, {}), (9, {"freeze_epochs": 4}), (9, {"accumulate": 13}))
    ]
    plain, frozen, pieces = one_epoch_of(hyperparameter_sets, folds)
    assert (plain.training.epochs, plain.images.start_size) == (1, 0)
    assert (frozen.training.epochs, frozen.model.freeze_epochs) == (2, 1)
    assert pieces.training.accumulate == 10  # 20 rows are two batches of 10


# Debugging ----------------------------------------------------------------------------------------------------------


BREAKING = """
import dataclasses

import torch

from kaggle_ray import register_model


class Stopping(torch.nn.Module):
    def __init__(self, num_outputs):
        super().__init__()
        self.layer = torch.nn.Linear(3, num_outputs)

    def forward(self, images):
        answer = 42
        breakpoint()
        return self.layer(images.mean(dim=(2, 3)))


@register_model("stopping")
def _build(num_outputs):
    return Stopping(num_outputs)
"""

HOOK = """
import os
import sys


def show():
    frame = sys._getframe(1)
    print("stopped", frame.f_code.co_name, frame.f_locals["answer"], os.getpid() == int(os.environ["MAIN_PID"]))


def leave():
    from bdb import BdbQuit

    print("leaving")
    raise BdbQuit
"""


def debugged(folder: Path, hook: str) -> subprocess.CompletedProcess[str]:
    file = write_toy("regression", folder, BREAKING)
    (folder / "hook.py").write_text(HOOK)
    program = (
        "import os, sys\n"
        "os.environ['MAIN_PID'] = str(os.getpid())\n"
        "from kaggle_ray.cli import main\n"
        f"main(['run', {str(file)!r}, '--fast-dev', '--data', 'data', '--set', 'model=stopping', '--set', "
        "'model_args={}'])\n"
    )
    path = os.pathsep.join([str(folder), str(Path(kaggle_ray.__file__).parents[1])])
    environment = {**os.environ, "PYTHONBREAKPOINT": f"hook.{hook}", "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_a_breakpoint_in_a_models_forward_stops_in_this_process(tmp_path: Path) -> None:
    done = debugged(tmp_path, "show")
    assert done.returncode == 0, done.stderr
    assert "stopped forward 42 True" in done.stdout
    assert "This was a fast-dev run, of 32 training and 16 test rows" in done.stdout
    assert "The real run: " in done.stdout


@pytest.mark.slow
def test_whoever_leaves_the_debugger_leaves_the_run(tmp_path: Path) -> None:
    done = debugged(tmp_path, "leave")
    assert done.returncode == 130, done.stderr
    assert done.stdout.count("leaving") == 1
    assert "Traceback" not in done.stderr
