from __future__ import annotations

from pathlib import Path

import pytest

import kaggle_ray
from kaggle_ray.config import Hyperparameters
from kaggle_ray.data.head import Head
from kaggle_ray.errors import ConfigError
from kaggle_ray.metrics import LOG_LOSS, RMSE
from kaggle_ray.pipeline.applicable import check_applicable
from kaggle_ray.pipeline.idle_options import idle_of_tables
from kaggle_ray.reporters.events import RunWarned
from kaggle_ray.testing.recorder import Recorder
from kaggle_ray.testing.tasks import toy_of
from kaggle_ray.testing.toy import TINY
from kaggle_ray.types import JsonValue

KIND = Head(name="kind", task="multiclass", classes=("a", "b", "c"), metric=LOG_LOSS)
AGE = Head(name="age", task="regression", metric=RMSE)
(MASKS,) = toy_of("masks").heads


def check(heads: tuple[Head, ...], *, has_table: bool = False, **values: JsonValue) -> None:
    check_applicable(Hyperparameters(**values), heads, has_table=has_table)


@pytest.mark.parametrize(
    ("heads", "has_table", "values", "message"),
    [
        ((KIND,), True, {"cutmix": 1.0}, "'cutmix': expected 0 for images that come with a table, got 1"),
        ((KIND,), True, {"cutmix": 0.2, "mixup": 0.2}, "Use mixup, which mixes both by one share"),
        ((MASKS,), True, {"cutmix": 1.0}, "'cutmix': expected 0 for images that come with a table"),
        ((KIND,), False, {"tile": 64}, "'tile': expected 0 for a task without masks, got 64"),
        ((MASKS,), False, {"tta": "five_crop"}, "'tta': expected whole images for masks, got 'five_crop'"),
        ((AGE,), False, {"label_smoothing": 0.1}, "'label_smoothing': expected 0 where only numbers are predicted"),
        ((MASKS,), False, {"loss": "lovasz", "label_smoothing": 0.1}, "expected 0 for the loss lovasz"),
        ((KIND,), False, {"model_args": {"weights": "mine.pth"}}, "would not be loaded, as pretrained is false"),
        (
            (KIND,), False, {"model": "timm/resnet18", "model_args": {"weights": "mine.pth"}}, "Set pretrained to true",
        ),
        ((KIND,), False, {"head": {"batch_norm": True}, "batch_size": 2}, "'batch_size': expected at least 3 with"),
        ((KIND,), False, {"head": {"batch_norm": True}, "batch_size": 6, "accumulate": 2}, "expected at least 7"),
    ],
)  # fmt: skip
def test_what_could_change_nothing_is_refused_by_name(
    heads: tuple[Head, ...], has_table: bool, values: dict[str, JsonValue], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check(heads, has_table=has_table, **values)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("heads", "has_table", "values"),
    [
        ((KIND,), True, {"mixup": 0.4}),
        ((KIND,), False, {"cutmix": 1.0, "mixup": 0.4, "label_smoothing": 0.1}),
        ((KIND, AGE), True, {"mixup": 0.4, "label_smoothing": 0.1}),
        ((MASKS,), True, {"tile": 64, "label_smoothing": 0.1, "mixup": 0.4}),
        ((KIND,), False, {"pretrained": True, "model_args": {"weights": "mine.pth"}}),
        ((KIND,), False, {"model": "small_resnet", "model_args": {"weights": "of my own model"}}),
        ((KIND,), False, {"head": {"batch_norm": True}, "batch_size": 3}),
    ],
)
def test_what_has_something_to_act_on_is_taken(
    heads: tuple[Head, ...], has_table: bool, values: dict[str, JsonValue]
) -> None:
    check(heads, has_table=has_table, **values)


def test_what_is_done_to_images_is_told_of_models_that_see_a_table_alone() -> None:
    table = Hyperparameters(model="table_mlp", image_size=96, augment="heavy", tta="hflip", mixup=0.2, lr=0.1)
    assert idle_of_tables([table]) == ["image_size=96", "augment=heavy", "tta=hflip"]
    of_base = Hyperparameters(model="resnet9", image_size=96, augment="heavy")
    assert idle_of_tables([of_base, table]) == ["tta=hflip"], "the rest may be the base of a mixed space"
    assert idle_of_tables([of_base, Hyperparameters(model="table_linear")]) == []


def test_a_run_tells_what_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text('from kaggle_ray.testing.tasks import toy_of\nCOMPETITION = toy_of("table")\n')
    recorder = Recorder()
    kaggle_ray.run(
        tmp_path / "toy.py", data=tmp_path / "data", runs=tmp_path / "runs", launcher="local",
        reporters=[recorder], experiments=[{"model": "table_linear", "epochs": 1, "augment": "light"}],
        fast_dev=True,
    )  # fmt: skip
    (text,) = (each.text for each in recorder.all(RunWarned) if each.topic == "idle_options")
    assert text.startswith("augment=light: change nothing of the experiments that have it")


@pytest.mark.parametrize("fast_dev", [False, True])
def test_a_run_that_would_cut_a_table_trains_nothing(tmp_path: Path, fast_dev: bool) -> None:
    (tmp_path / "toy.py").write_text('from kaggle_ray.testing.tasks import toy_of\nCOMPETITION = toy_of("table")\n')
    with pytest.raises(kaggle_ray.KaggleRayError, match="hyperparameter 'cutmix': expected 0"):
        kaggle_ray.run(
            tmp_path / "toy.py", data=tmp_path / "data", runs=tmp_path / "runs", launcher="local", reporters=[],
            experiments=[{**TINY, "cutmix": 1.0}], fast_dev=fast_dev,
        )  # fmt: skip
    assert not list((tmp_path / "runs").glob("**/result.json"))
