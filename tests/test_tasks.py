"""Every kind of task and input, from its files to a checked submission."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import kaggle_ray
from kaggle_ray.errors import ConfigError, DataError, SubmissionError
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.submitted import read_cells
from kaggle_ray.testing.tasks import LABELS, NUM_TEST, TOY_TASKS, ToyTask

TRUTH_IS_CLOSE: dict[ToyTask, float] = {
    "multilabel": 0.9,
    "grades": 0.8,
    "masks": 0.85,
    "mask_classes": 0.75,
    "views": 0.9,
}
"""Scores that a model has to reach; for the others, a share of the baseline's error."""
HALF_OF_THE_ERROR = 0.7


def run_toy(task: ToyTask, folder: Path, **options: object) -> RunResult:
    folder.mkdir(exist_ok=True)
    file = folder / f"toy_{task}.py"
    file.write_text(f"from kaggle_ray.testing.tasks import toy_of\n\nCOMPETITION = toy_of({task!r})\n")
    return kaggle_ray.run(
        file,
        data=folder / "data",
        runs=folder / "runs",
        launcher="local",
        reporters=[],
        **options,  # type: ignore[arg-type]
    )


def scores(result: RunResult) -> tuple[float, float]:
    """Return the honest score and the baseline's."""
    by_kind = {row.kind: row.score for row in result.board.rows}
    honest, baseline = by_kind["ensemble"], by_kind["baseline"]
    assert honest is not None
    assert baseline is not None
    return honest, baseline


@pytest.mark.parametrize("task", TOY_TASKS)
def test_a_task_is_learnt_and_submitted(task: ToyTask, tmp_path: Path) -> None:
    result = run_toy(task, tmp_path)
    honest, baseline = scores(result)
    if task in TRUTH_IS_CLOSE:
        assert honest > TRUTH_IS_CLOSE[task] > baseline
    else:
        assert honest < HALF_OF_THE_ERROR * baseline
    assert len(read_cells(result.submission).ids) == NUM_TEST


def test_masks_are_predicted_tile_by_tile_as_they_are_whole(tmp_path: Path) -> None:
    """Tiles of half the side, blended where they overlap: what the mask is does not change, nor does its size."""
    tiled = run_toy("masks", tmp_path, experiments=[{**_base("masks"), "tile": 8}])
    honest, baseline = scores(tiled)
    assert honest > TRUTH_IS_CLOSE["masks"] > baseline
    whole = run_toy("masks", tmp_path, experiments=[_base("masks")])
    assert tiled.submission.read_bytes() != whole.submission.read_bytes() or honest == scores(whole)[0]


@pytest.mark.parametrize(("task", "values"), [("table", {"mixup": 0.2}), ("views", {"mixup": 0.2, "cutmix": 0.2})])
def test_a_sample_of_several_images_or_with_a_table_is_mixed_and_learnt(
    task: ToyTask, values: dict[str, float], tmp_path: Path
) -> None:
    mixed, plain = ({**_base(task), "epochs": 15, **changes} for changes in (values, {}))
    result = run_toy(task, tmp_path, experiments=[mixed, plain])
    of_mixed, of_plain = (np.asarray(oof[:]) for oof in result.pool.oof.values())
    honest, baseline = scores(result)
    assert result.plan.competition.metric.is_better(honest, baseline)
    assert not np.array_equal(of_mixed, of_plain)


def test_a_metric_of_each_fold_is_the_mean_over_the_folds(tmp_path: Path) -> None:
    (tmp_path / "per_fold.py").write_text(
        "from dataclasses import replace\n"
        "from kaggle_ray.metrics.metric import per_fold\n"
        "from kaggle_ray.testing.tasks import toy_of\n"
        'toy = toy_of("regression")\n'
        "head = replace(toy.heads[0], metric=per_fold(toy.heads[0].metric))\n"
        'COMPETITION = replace(toy, name="per_fold", heads=(head,))\n'
    )
    result = kaggle_ray.run(
        tmp_path / "per_fold.py", data=tmp_path / "data", runs=tmp_path / "runs", launcher="local", reporters=[]
    )
    plan, pool = result.plan, result.pool
    (oof,) = (np.asarray(values[:]) for values in pool.oof.values())
    target, fold_of = plan.samples.target[plan.folds.scored_rows()], plan.folds.fold_of[plan.folds.scored_rows()]
    of_folds = [float(np.sqrt(np.mean((oof[fold_of == k, 0] - target[fold_of == k]) ** 2))) for k in range(2)]
    assert scores(result)[0] == pytest.approx(np.mean(of_folds), rel=1e-5)


def test_a_rerun_trains_nothing_and_writes_the_same_bytes(tmp_path: Path) -> None:
    first = run_toy("masks", tmp_path)
    before = first.submission.read_bytes()
    again = run_toy("masks", tmp_path)
    assert again.num_epochs_trained == 0
    assert again.decoded_images == 0
    assert again.submission.read_bytes() == before


def test_tags_are_the_labels_above_their_thresholds(tmp_path: Path) -> None:
    result = run_toy("multilabel", tmp_path)
    assert result.ensemble is not None
    decided = result.ensemble.decision.apply(result.ensemble.apply(result.pool.test)[:]) > 0.5
    for cells, chosen in zip(read_cells(result.submission).cells, decided, strict=True):
        assert cells[0].split() == [label for label, is_there in zip(LABELS, chosen, strict=True) if is_there]


def test_grades_are_submitted_as_they_were_cut(tmp_path: Path) -> None:
    result = run_toy("grades", tmp_path)
    assert result.ensemble is not None
    assert result.ensemble.decision.kind == "cutpoints"
    grades = result.ensemble.decision.apply(result.ensemble.apply(result.pool.test)[:])
    assert [cells for (cells,) in read_cells(result.submission).cells] == [str(int(grade)) for (grade,) in grades]
    assert len(np.unique(grades)) > 1


@pytest.mark.parametrize("metric", ["log_loss", "auc"])
def test_names_of_classes_are_no_answer_to_a_metric_of_probabilities(metric: str, tmp_path: Path) -> None:
    """It is met before the training."""
    (tmp_path / "named.py").write_text(
        "from dataclasses import replace\n"
        "from kaggle_ray import metric_by_name\n"
        "from kaggle_ray.testing.tasks import toy_of\n"
        'toy = toy_of("views")\n'
        f'head = replace(toy.heads[0], metric=metric_by_name("{metric}"))\n'
        'COMPETITION = replace(toy, name="named", heads=(head,))\n'
    )
    with pytest.raises(
        SubmissionError, match=rf"made-up .* {metric} 0\.\d+, and .*: row 'a\d+' is .* Declare a metric"
    ):
        kaggle_ray.run(
            tmp_path / "named.py", data=tmp_path / "data", runs=tmp_path / "runs", launcher="local", reporters=[]
        )
    assert not list(tmp_path.glob("runs/named/*/trials/*/fold*/result.json"))


def test_a_child_starts_from_the_weights_of_its_parents_same_fold(tmp_path: Path) -> None:
    hyperparameters = {
        **_base("regression"),
        "epochs": 3,
        "image_size": 16,
        "init_from": {"image_size": 8, "epochs": 12},
    }
    result = run_toy("regression", tmp_path, experiments=[hyperparameters])
    parent, child = result.plan.experiments
    assert child.parent_id == parent.experiment_id
    assert result.num_epochs_trained == 2 * (12 + 3)
    honest, baseline = scores(result)
    assert honest < HALF_OF_THE_ERROR * baseline
    alone = run_toy("regression", tmp_path / "alone", experiments=[{**hyperparameters, "init_from": {}}])
    first_of = {name: _first_loss(of) for name, of in (("child", result), ("alone", alone))}
    assert first_of["child"] < first_of["alone"]


def test_images_and_masks_are_decoded_once_for_all_folds_experiments_and_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_RAY_CACHE", str(tmp_path / "cache"))
    experiments = [{**_base("masks"), "lr": lr, "epochs": 2} for lr in (1e-2, 1e-3)]
    result = run_toy("masks", tmp_path, experiments=experiments)
    num_train, num_test = 64, NUM_TEST
    unique_masks = 2  # a square on the left or on the right
    thumbnails = num_train + num_test  # small and grey, in which near-duplicates are looked for
    assert result.decoded_images == num_train + num_test + unique_masks + thumbnails


def _base(task: ToyTask) -> dict[str, object]:
    from kaggle_ray.config.settings import Machine
    from kaggle_ray.testing.tasks import toy_of

    return dict(toy_of(task).default_space(Machine(num_cpus=1, num_gpus=0).settings()).base)


def _first_loss(result: RunResult) -> float:
    """Return the mean training loss of the first epoch of the last experiment's trials."""
    from kaggle_ray.types import Trial

    experiment = result.plan.experiments[-1]
    store = open_run(result.run_dir)
    found = [store.result(Trial(experiment_id=experiment.experiment_id, fold=fold)) for fold in range(2)]
    return float(np.mean([of.history[0].train_loss for of in found if of is not None]))


def test_unreadable_files_are_left_out_and_listed_where_the_user_asks_for_it(tmp_path: Path) -> None:
    run_toy("regression", tmp_path, run_id="whole")
    for name in ("a003", "b064"):
        (tmp_path / f"data/images/{name}.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot be decoded.*--skip-unreadable"):
        run_toy("regression", tmp_path, run_id="mine")
    with pytest.raises(ConfigError, match=r"run whole has results .* 2 files .*: images/a003\.png, images/b064\.png\."):
        run_toy("regression", tmp_path, run_id="whole", skip_unreadable=True)
    result = run_toy("regression", tmp_path, run_id="mine", skip_unreadable=True)
    left_out = json.loads((result.run_dir / "unreadable.json").read_text())["files"]
    assert sorted(left_out) == ["images/a003.png", "images/b064.png"]
    assert "a003" not in result.pool.scored_ids.tolist()
    assert len(read_cells(result.submission).ids) == NUM_TEST
    again = run_toy("regression", tmp_path, run_id="mine")
    assert again.num_epochs_trained == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "experiment"),
    [
        ("masks", {"model": "smp/unet", "model_args": {"encoder": "resnet18"}, "image_size": 24, "ema_decay": 0.9}),
        ("table", {"model": "resnet18", "head": {"pooling": "gem", "hidden": [8], "batch_norm": True}}),
    ],
)
def test_a_librarys_model_goes_all_the_way(task: ToyTask, experiment: dict[str, object], tmp_path: Path) -> None:
    result = run_toy(task, tmp_path, experiments=[{"image_size": 32, "epochs": 1, "batch_size": 16, **experiment}])
    assert len(read_cells(result.submission).ids) == NUM_TEST
