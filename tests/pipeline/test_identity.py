"""What a run is made of: code, images, tables, labels and weights; a resume on others is refused by name."""

from __future__ import annotations

import dataclasses
import importlib
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import kaggle_ray
from kaggle_ray.config.described import ADDED_LATER, described
from kaggle_ray.data.duplicate_groups import DuplicateGroup, NearDuplicates
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.table import Table
from kaggle_ray.errors import RunMismatchError
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import RunPlan, make_plan
from kaggle_ray.pipeline.prepare import prepare
from kaggle_ray.reporters.events import RunWarned
from kaggle_ray.store.record import DiffersFrom
from kaggle_ray.testing.tasks import ToyTask
from kaggle_ray.testing.toy import COMPETITION, TINY, TOY_FILE
from kaggle_ray.train.content import content_of
from kaggle_ray.types import Folds, JsonValue

# Declarations -------------------------------------------------------------------------------------------------------


def bound_to(factor: float) -> Callable[[float], float]:
    return lambda score: score * factor


def test_equal_declarations_are_described_alike_and_different_ones_are_not() -> None:
    from kaggle_ray.metrics import LOG_LOSS, metric_by_name

    assert described(metric_by_name("log_loss")) == described(dataclasses.replace(LOG_LOSS))
    one, same, other = (dataclasses.replace(LOG_LOSS, score_fn=bound_to(f)) for f in (1.0, 1.0, 2.0))  # type: ignore[arg-type]
    assert described(one) == described(same) != described(other)
    assert described(metric_by_name("f2")) != described(metric_by_name("f1"))


def test_metrics_beside_a_head_s_own_are_no_part_of_what_is_computed() -> None:
    (head,) = COMPETITION.heads
    assert described(dataclasses.replace(head, metrics=("accuracy", "auc"))) == described(head)


# Content ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Folder:
    """A copy of the toy's files, and its own competition's file."""

    root: Path

    def plan(self, *, file: str = "competition.py", **named: Any) -> RunPlan:
        defaults: dict[str, Any] = {"device": "cpu", "threads": 1, "dtype": "float32"}
        defaults |= {"data": self.root / "data", "runs": self.root / "runs", "experiments": [{**TINY, "epochs": 1}]}
        return make_plan(RunOptions(competition=self.root / file, **{**defaults, **named}))

    def invert(self, name: str) -> None:
        file = self.root / "data" / name
        status = file.stat()
        cv2.imwrite(str(file), 255 - cv2.imread(str(file)))  # type: ignore[operator]
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    def edit(self, before: str, after: str) -> None:
        file = self.root / "competition.py"
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after))


@pytest.fixture
def folder(tmp_path: Path, toy_data: Path) -> Folder:
    shutil.copytree(toy_data, tmp_path / "data")
    shutil.copy(TOY_FILE, tmp_path / "competition.py")
    return Folder(tmp_path)


def test_the_same_files_in_another_folder_are_the_same_run(folder: Folder) -> None:
    first = folder.plan()
    shutil.copytree(folder.root / "data", folder.root / "elsewhere")
    (folder.root / "moved").mkdir()
    shutil.copy(folder.root / "competition.py", folder.root / "moved" / "competition.py")
    moved = folder.plan(data=folder.root / "elsewhere", file="moved/competition.py")
    assert moved.experiments == first.experiments
    assert moved.run_id == first.run_id


@pytest.mark.parametrize("name", ["train/a001.png", "test/b000.png"])
def test_another_image_under_the_same_name_is_another_run(folder: Folder, name: str) -> None:
    first = folder.plan()
    folder.invert(name)
    assert folder.plan().run_id != first.run_id
    assert folder.plan().experiments[0].experiment_id != first.experiments[0].experiment_id
    folder.invert(name)
    assert folder.plan().run_id == first.run_id


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("metric=LOG_LOSS", "metric=dataclasses.replace(LOG_LOSS, greater_is_better=True)"),
        ("0, 160", "0, 161"),
        ('columns=("label",)', 'columns=("label",), sample_file="./sample_submission.csv"'),
    ],
)
def test_other_code_of_the_competition_is_another_run(folder: Folder, before: str, after: str) -> None:
    folder.edit("import numpy as np\n", "import dataclasses\nimport numpy as np\n")
    first = folder.plan()
    folder.edit(before, after)
    assert folder.plan().run_id != first.run_id


def test_other_code_that_the_competition_imports_from_its_folder_is_another_run(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(folder.root))
    (folder.root / "sizes_of_pets.py").write_text("SIDE = 8\n")
    folder.edit("SIZE = 8", "from sizes_of_pets import SIDE as SIZE")
    first = folder.plan()
    (folder.root / "sizes_of_pets.py").write_text("SIDE = 8  # pixels\n")
    assert folder.plan().run_id != first.run_id


def test_other_code_that_the_competition_imports_from_elsewhere_is_another_run(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = folder.root / "lib" / "sides_of_pets.py"
    helper.parent.mkdir()
    helper.write_text("SIDE = 8\n")
    monkeypatch.syspath_prepend(str(helper.parent))
    folder.edit("SIZE = 8", "from sides_of_pets import SIDE as SIZE")
    first = folder.plan()
    helper.write_text("SIDE = 8  # pixels\n")
    assert folder.plan().run_id != first.run_id


def flips_with(probability: float) -> Callable[[int, int], Any]:
    def flips(height: int, width: int) -> Any:
        import albumentations as A

        return A.Compose([A.Resize(height, width), A.HorizontalFlip(p=probability)])

    return flips


def test_other_code_that_a_script_registers_is_another_run_where_an_experiment_names_it(folder: Folder) -> None:
    named = [{**TINY, "epochs": 1, "augment": "flips"}]
    ids: list[tuple[str, str]] = []
    for probability in (0.5, 0.5, 1.0):
        kaggle_ray.register_augmentation("flips")(flips_with(probability))
        ids.append((folder.plan(experiments=named).run_id, folder.plan().run_id))
    assert ids[0] == ids[1]
    assert ids[2][0] != ids[0][0]
    assert ids[2][1] == ids[0][1]


def test_a_field_that_was_added_later_changes_no_id_until_it_is_set() -> None:
    @dataclasses.dataclass(frozen=True)
    class Before:
        name: str

    @dataclasses.dataclass(frozen=True)
    class Now:
        name: str
        kind: str | None = dataclasses.field(default=None, metadata=ADDED_LATER)

    assert described(Now("a")) == described(Before("a")) != described(Now("a", "b"))


def test_a_class_that_is_registered_is_described_by_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "nets_of_a_script.py"
    found: list[JsonValue] = []
    for width in (4, 4, 8000):
        file.write_text(f"class Net:\n    width = {width}\n")
        sys.modules.pop(file.stem, None)
        found.append(described(importlib.import_module(file.stem).Net))
    assert found[0] == found[1] != found[2]


def test_another_file_of_weights_under_the_same_name_is_another_run(folder: Folder) -> None:
    file = folder.root / "resnet18.pth"
    model = {"model": "resnet18", "pretrained": True, "model_args": {"weights": str(file)}, "image_size": 8}
    ids: list[str] = []
    for content in (b"first", b"other", b"first"):
        file.write_bytes(content)
        ids.append(folder.plan(experiments=[model]).run_id)
    assert ids[0] == ids[2] != ids[1]


@pytest.mark.parametrize(
    ("task", "name"), [("masks", "masks/a000.png"), ("mask_classes", "masks/a001.png"), ("table", "train.csv"),
                       ("table", "test.csv"), ("views", "images/a000_2.png"), ("regression", "train.csv")]
)  # fmt: skip
def test_another_mask_table_view_or_label_is_another_run(task: ToyTask, name: str, tmp_path: Path) -> None:
    file = tmp_path / "competition.py"
    file.write_text(f"from kaggle_ray.testing.tasks import toy_of\n\nCOMPETITION = toy_of({task!r})\n")

    def run_id() -> str:
        options: dict[str, Any] = {"data": tmp_path / "data", "runs": tmp_path / "runs", "device": "cpu"}
        return make_plan(RunOptions(competition=file, threads=1, ignore_near_duplicates=True, **options)).run_id

    first = run_id()
    changed = tmp_path / "data" / name
    if changed.suffix == ".csv":
        header, first_row, row, *rest = changed.read_text().splitlines()
        sample_id, light, *others = row.split(",")
        row = ",".join([sample_id, str(float(light) + 0.125), *others])
        changed.write_text("\n".join([header, first_row, row, *rest]) + "\n")
    else:
        pixels = cv2.imread(str(changed), cv2.IMREAD_UNCHANGED)
        assert pixels is not None
        cv2.imwrite(str(changed), pixels[::-1, ::-1])
    assert run_id() != first


def test_whatever_trials_are_computed_from_is_part_of_their_content(tmp_path: Path) -> None:
    ids, numbers = np.array(["a", "b", "c", "d"]), np.arange(4.0)
    for name in "abcdtu":
        (tmp_path / f"{name}.png").write_text(f"nobody decodes it: {name}")
    table = Table(columns=("x", "y"), values=np.arange(8, dtype=np.float32).reshape(4, 2))
    samples = Samples(
        train_ids=ids, train_paths=tuple(tmp_path / f"{name}.png" for name in "abcd"), target=np.arange(4) % 2,
        test_ids=np.array(["t", "u"]), test_paths=(tmp_path / "t.png", tmp_path / "u.png"), train_table=table,
        test_table=replace(table, values=table.values[:2]),
    )  # fmt: skip
    folds = Folds(sample_ids=ids, fold_of=np.array([0, 1, 0, 1], dtype=np.int8), num_folds=2, seed=0, digest="d" * 12)
    twins = NearDuplicates(groups=(DuplicateGroup(train_ids=("a", "b")),))

    def content(
        of: Samples = samples, *, folds: Folds = folds, near_duplicates: NearDuplicates | None = None
    ) -> dict[str, Any]:
        found = near_duplicates or NearDuplicates()
        made = content_of(COMPETITION, TOY_FILE, of, folds, found, [], data_dir=tmp_path, cache_dir=tmp_path / "cache")
        return dict(made.to_json())

    changes: dict[str, dict[str, Any]] = {
        "rows": {"test_ids": np.array(["t", "v"])},
        "labels": {"target": 1 - samples.target},
        "train-only rows": {"train_only": numbers == 3},
        "training table": {"train_table": replace(table, columns=("x", "z"))},
        "test table": {"test_table": replace(table, values=table.values[1:3])},
        "training images": {"train_paths": samples.train_paths[::-1]},
        "test images": {"test_paths": samples.test_paths[::-1]},
        "masks": {"train_masks": samples.train_paths},
        "row weights": {"train_weights": numbers},
        "auxiliary labels": {"auxiliary_target": numbers},
    }
    first = content()
    for part, change in changes.items():
        assert _differing(first, content(replace(samples, **change))) == {part}
    assert _differing(first, content(folds=replace(folds, digest="e" * 12))) == {"folds"}
    assert _differing(first, content(near_duplicates=twins)) == {"near-duplicates"}


def _differing(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def test_a_new_run_tells_which_it_is_not_and_what_has_changed(folder: Folder) -> None:
    first = folder.plan()
    _, warnings = prepare(first, command=None)
    assert not warnings
    folder.invert("train/a001.png")
    second = folder.plan()
    store, (warning,) = prepare(second, command=None)
    said = "images: 1 of 80 changed, such as train/a001.png"
    assert warning == RunWarned(
        topic="changed_since_earlier_run",
        text=f"run {second.run_id} is a new one: since run {first.run_id} something has changed: {said}",
    )
    record = store.record()
    assert record is not None
    assert record.differs_from == DiffersFrom(run_id=first.run_id, changed=(said,))


# What a refusal says ------------------------------------------------------------------------------------------------


def refusal(plan: RunPlan) -> str:
    with pytest.raises(RunMismatchError) as error:
        prepare(plan, command=None)
    return str(error.value)


def test_a_resume_on_other_images_is_refused_and_they_are_named(folder: Folder) -> None:
    prepare(folder.plan(run_id="x"), command=None)
    for number in (1, 5, 7, 9):
        folder.invert(f"train/a{number:03d}.png")
    message = refusal(folder.plan(run_id="x"))
    assert "images: 4 of 80 changed, such as train/a001.png, train/a005.png, train/a007.png, ..." in message
    assert "Restore what has changed" in message
    assert "hyperparameters" not in message


def test_a_resume_with_other_code_is_refused_and_what_it_declares_is_named(folder: Folder) -> None:
    prepare(folder.plan(run_id="x"), command=None)
    folder.edit("from kaggle_ray.metrics import LOG_LOSS", "from kaggle_ray.metrics import ACCURACY as LOG_LOSS")
    message = refusal(folder.plan(run_id="x"))
    assert "was started with other competition file, competition heads.metric.name" in message
    assert "competition file: competition.py changed" in message
    assert "metric.name: expected 'log_loss', got 'accuracy'" in message


def test_a_resume_with_another_hyperparameter_is_refused_and_it_is_named(folder: Folder) -> None:
    prepare(folder.plan(run_id="x"), command=None)
    message = refusal(folder.plan(run_id="x", experiments=[{**TINY, "epochs": 1, "lr": 0.01}]))
    assert "hyperparameters lr: expected 0.001, got 0.01" in message
    assert "images" not in message


def test_a_resume_of_a_run_whose_content_is_the_same_is_not_refused(folder: Folder) -> None:
    store, _ = prepare(folder.plan(run_id="x"), command=None)
    begun = store.record()
    (folder.root / "data" / "train" / "a001.png").touch()
    resumed, _ = prepare(folder.plan(run_id="x"), command=None)
    assert begun is not None
    assert resumed.record() == begun


def test_images_that_were_exchanged_are_trained_on_anew_by_the_same_command(folder: Folder) -> None:
    def run() -> Any:
        return execute(
            RunOptions(
                competition=folder.root / "competition.py", experiments=[{**TINY, "epochs": 1}],
                data=folder.root / "data", runs=folder.root / "runs", device="cpu", threads=1, dtype="float32",
                ignore_near_duplicates=True, launcher="local",
            )
        )  # fmt: skip

    first = run()
    assert run().num_epochs_trained == 0
    for file in sorted((folder.root / "data").glob("*/*.png")):
        folder.invert(file.relative_to(folder.root / "data").as_posix())
    second = run()
    assert second.num_epochs_trained == first.num_epochs_trained > 0
    assert second.submission.read_bytes() != first.submission.read_bytes()
