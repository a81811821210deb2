"""What a person gets wrong: the right error names the culprit and the next step, and nothing committed is lost."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kaggle_ray
from kaggle_ray.errors import (
    ConfigError,
    DataError,
    FoldsError,
    KaggleRayError,
    LeaseError,
    StoreError,
)
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.option_values import parse_overrides
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.testing.toy import CLASSES, TINY, TOY_FILE, write_files
from kaggle_ray.types import JsonValue

QUICK: dict[str, JsonValue] = {**TINY, "epochs": 1}


def options(runs: Path, data: Path, **others: Any) -> RunOptions:
    chosen: dict[str, Any] = {"experiments": [QUICK], "competition": TOY_FILE, "device": "cpu", **others}
    return RunOptions(launcher="local", data=data, runs=runs, threads=1, **chosen)


def run(runs: Path, data: Path, **others: Any) -> RunResult:
    return execute(options(runs, data, **others))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The toy's files, to be spoilt."""
    folder = tmp_path / "data"
    write_files(folder)
    return folder


def edit(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")


# The competition's files --------------------------------------------------------------------------------------------


def test_a_missing_data_folder_is_named_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "no_files.py"
    file.write_text(
        "import dataclasses\nfrom kaggle_ray.testing import toy\n"
        "COMPETITION = dataclasses.replace(toy.COMPETITION, name='no_files', prepare=None)\n"
    )
    with pytest.raises(DataError, match=rf"no_files: no data folder {tmp_path}/nowhere\. Download .* --data"):
        run(tmp_path / "runs", tmp_path / "nowhere", competition=file)
    assert not (tmp_path / "runs").exists()


def test_a_missing_table_is_named(tmp_path: Path, data: Path) -> None:
    (data / "train.csv").unlink()
    with pytest.raises(DataError, match=r"train\.csv: no such file\. Is the competition's download complete\?"):
        run(tmp_path / "runs", data)


def test_a_missing_column_is_named(tmp_path: Path, data: Path) -> None:
    edit(data / "train.csv", lambda lines: ["id,lable", *lines[1:]])
    with pytest.raises(DataError, match=r"train\.csv: expected the columns id, label; missing label"):
        run(tmp_path / "runs", data)


@pytest.mark.parametrize(
    ("spoil", "num_bytes"),
    [
        pytest.param(lambda content: content[: len(content) // 2], None, id="truncated"),
        pytest.param(lambda content: b"", 0, id="empty"),
        pytest.param(lambda content: b"not an image\n", 13, id="text"),
    ],
)
@pytest.mark.parametrize("part", ["train/a007.png", "test/b003.png"])
def test_an_image_that_does_not_decode_is_named(
    tmp_path: Path, data: Path, part: str, spoil: Callable[[bytes], bytes], num_bytes: int | None
) -> None:
    path = data / part
    path.write_bytes(spoil(path.read_bytes()))
    size = path.stat().st_size if num_bytes is None else num_bytes
    with pytest.raises(DataError) as caught:
        run(tmp_path / "runs", data)
    assert f"{path}: does not decode as an image ({size} bytes)." in str(caught.value)
    assert "Replace them, or leave them out with --skip-unreadable." in str(caught.value)
    assert list((tmp_path / "runs").rglob("baseline.csv"))

    write_files_again(data)
    assert run(tmp_path / "runs", data).ensemble is not None


def write_files_again(data: Path) -> None:
    shutil.rmtree(data)
    write_files(data)


SPOILT: list[tuple[str, Callable[[Path], None], str]] = [
    (
        "an id twice",
        lambda data: edit(data / "train.csv", lambda lines: [*lines, "a000,dark"]),
        r"train\.csv: 1 id is there more than once: a000",
    ),
    (
        "an id without image",
        lambda data: (data / "train/a004.png").unlink(),
        r"train\.csv: 1 id has no image in .*train: a004",
    ),
    (
        "a test id without image",
        lambda data: (data / "test/b004.png").unlink(),
        r"sample_submission\.csv: 1 id has no image in .*test: b004",
    ),
    (
        "an image without id",
        lambda data: edit(data / "train.csv", lambda lines: [line for line in lines if not line.startswith("a005")]),
        r"train: 1 image has no row in .*train\.csv: a005",
    ),
    (
        "an unknown label",
        lambda data: edit(data / "train.csv", lambda lines: [*lines[:-1], lines[-1].replace("bright", "brihgt")]),
        rf"train\.csv: sample 'a059' has the label 'brihgt', expected one of \['{CLASSES[0]}', '{CLASSES[1]}'\]",
    ),
    (
        "two images of one id",
        lambda data: (data / "train/a006.jpg").touch(),
        r"train: 1 id is there more than once: a006",
    ),
]


@pytest.mark.parametrize(("spoil", "message"), [pytest.param(*case[1:], id=case[0]) for case in SPOILT])
def test_files_that_contradict_each_other_are_named(
    tmp_path: Path, data: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(data)
    with pytest.raises(DataError, match=message):
        run(tmp_path / "runs", data)
    assert not (tmp_path / "runs").exists()


def test_a_class_with_fewer_rows_than_folds_is_named(tmp_path: Path, data: Path) -> None:
    only_one = ["a000,dark", *(f"a{number:03d},bright" for number in range(1, 60))]
    edit(data / "train.csv", lambda lines: [lines[0], *only_one])
    with pytest.raises(FoldsError, match=r"class 'dark': expected at least 2 scored rows, one for each fold, got 1"):
        run(tmp_path / "runs", data)


# Hyperparameters ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        ({"modle": "small_resnet"}, r"unknown hyperparameter 'modle'\. Did you mean 'model'\?"),
        ({"learning_rate_decay_of_the_head": 1}, r"unknown hyperparameter 'learn.*Known: .*weight_decay"),
        ({"lr": "fast"}, r"hyperparameter 'lr': expected float, got 'fast'"),
        ({"epochs": 2.5}, r"hyperparameter 'epochs': expected int, got 2\.5"),
        ({"epochs": True}, r"hyperparameter 'epochs': expected int, got True"),
        ({"pretrained": 1}, r"hyperparameter 'pretrained': expected bool, got 1"),
        ({"model_args": [1]}, r"hyperparameter 'model_args': expected a dictionary, got \[1\]"),
        ({"freeze": "head"}, r"hyperparameter 'freeze': expected one of none, norms, stages, backbone, got 'head'"),
        ({"lr": 0}, r"hyperparameter 'lr': expected more than 0, got 0"),
    ],
)
def test_a_wrong_hyperparameter_is_named_with_the_nearest_known_one(
    tmp_path: Path, toy_data: Path, experiment: dict[str, JsonValue], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        kaggle_ray.run(
            TOY_FILE,
            experiments=[{**QUICK, **experiment}],
            data=toy_data,
            runs=tmp_path,
            launcher="local",
            reporters=[],
        )
    with pytest.raises(ConfigError, match=message):
        kaggle_ray.SearchSpace(base={**QUICK, **experiment})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("part", ["base", "grid", "experiments"])
def test_a_misspelt_name_fails_when_the_space_is_imported_with_its_file_and_place_named(
    tmp_path: Path, toy_data: Path, part: str
) -> None:
    wrong = {"base": {"epohcs": 1}, "grid": {"epohcs": [1]}, "experiments": [{"epohcs": 1}]}[part]
    file = tmp_path / "space.py"
    file.write_text(f"from kaggle_ray import SearchSpace\nSPACE = SearchSpace({part}={wrong!r})\n")
    with pytest.raises(ConfigError, match=rf"{file}: {part}.*unknown hyperparameter 'epohcs'\. Did you mean 'epochs'"):
        run(tmp_path / "runs", toy_data, experiments=None, space=file)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epohcs=1", r"--set: unknown hyperparameter 'epohcs'\. Did you mean 'epochs'\?"),
        ("epochs=many", r"hyperparameter 'epochs': expected int, got 'many'"),
        ("lr=1e-3", r"--set lr: the search space varies it"),
        ("model=smal_resnet", r"unknown model 'smal_resnet'\. Did you mean 'small_resnet'\?"),
        ('optimizer_args={"epsilon": 1}', r"optimizer_args: unknown argument 'epsilon'\. Did you mean 'eps'\?"),
    ],
)
def test_a_wrong_override_is_named(tmp_path: Path, toy_data: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(tmp_path / "runs", toy_data, experiments=None, overrides=parse_overrides([override]))
    assert not (tmp_path / "runs").exists()


def test_an_override_without_a_value_is_named() -> None:
    with pytest.raises(ConfigError, match=r"--set lr: expected name=value, such as --set lr=3e-4"):
        parse_overrides(["lr"])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("smal_resnet", r"unknown model 'smal_resnet'\. Did you mean 'small_resnet'\?"),
        ("resnet51", r"unknown model 'resnet51'\. Did you mean 'resnet50'\?"),
        ("timm/resnet18x", r"unknown timm model 'resnet18x'\. Did you mean"),
    ],
)
def test_an_unknown_model_is_noticed_before_anything_is_written_or_trained(
    tmp_path: Path, toy_data: Path, model: str, message: str
) -> None:
    experiments = [QUICK, {**QUICK, "model": model, "model_args": {}}]
    with pytest.raises(ConfigError, match=message):
        run(tmp_path / "runs", toy_data, experiments=experiments, run_id="mine")
    assert not (tmp_path / "runs").exists()
    assert run(tmp_path / "runs", toy_data, run_id="mine").ensemble is not None


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        ({"head": {"hiden": [8]}}, r"head: unknown option 'hiden'\. Did you mean 'hidden'\?"),
        ({"pretrained": True}, r"model 'small_resnet': there are no pretrained weights\. Set pretrained to false"),
        ({"model": "vgg11", "model_args": {}}, r"model 'vgg11' takes no images of \d+ x \d+ pixels"),
        ({"model": "smp/unet", "model_args": {}}, r"model 'smp/unet' is for segmentation"),
    ],
)
def test_what_a_model_does_not_take_is_noticed_before_anything_is_written_or_trained(
    tmp_path: Path, toy_data: Path, experiment: dict[str, JsonValue], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(tmp_path / "runs", toy_data, experiments=[QUICK, {**QUICK, **experiment}])
    assert not (tmp_path / "runs").exists()


def test_experiments_and_a_space_at_once_are_too_much(tmp_path: Path, toy_data: Path) -> None:
    with pytest.raises(ConfigError, match="expected experiments or a space, got both"):
        run(tmp_path, toy_data, space=kaggle_ray.SearchSpace())


def test_no_experiments_are_an_error(tmp_path: Path, toy_data: Path) -> None:
    with pytest.raises(ConfigError, match="empty"):
        run(tmp_path / "runs", toy_data, experiments=None, space=kaggle_ray.SearchSpace(grid={"lr": []}))


@pytest.mark.parametrize("run_id", ["", "../elsewhere", ".hidden", "a b"])
def test_a_run_id_that_is_no_folder_name_is_refused(tmp_path: Path, toy_data: Path, run_id: str) -> None:
    with pytest.raises(ConfigError, match=r"--run-id .*expected letters, digits"):
        run(tmp_path / "runs", toy_data, run_id=run_id)


# A diverging trial --------------------------------------------------------------------------------------------------


def test_a_trial_whose_loss_is_not_finite_fails_with_its_reason_and_the_others_go_on(
    tmp_path: Path, toy_data: Path
) -> None:
    diverging = {**QUICK, "epochs": 2, "lr": 1e35, "optimizer": "sgd"}
    result = run(tmp_path, toy_data, experiments=[diverging, QUICK])
    bad, good = result.plan.experiments
    assert list(result.pool.oof) == [good.experiment_id]
    assert result.pool.missing_folds == {bad.experiment_id: (0, 1)}
    row = next(row for row in result.board.rows if row.name == bad.name)
    assert row.score is None
    assert row.error is not None
    assert "Try a smaller lr" in row.error
    assert "Try a smaller lr" in result.report.read_text()
    again = run(tmp_path, toy_data, experiments=[diverging, QUICK])
    assert again.num_epochs_trained == 0
    assert again.submission.read_bytes() == result.submission.read_bytes()


def test_an_unknown_argument_of_a_model_is_refused_before_anything_is_written(tmp_path: Path, toy_data: Path) -> None:
    wrong = {**QUICK, "model_args": {"widht": 4}}
    with pytest.raises(ConfigError, match="widht"):
        run(tmp_path / "runs", toy_data, experiments=[wrong, QUICK])
    assert not (tmp_path / "runs").exists()


# Folders that cannot be written ---------------------------------------------------------------------------------


def test_a_runs_folder_that_cannot_be_written_is_named(tmp_path: Path, data: Path) -> None:
    (tmp_path / "runs").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"runs.*--runs"):
        run(tmp_path / "runs", data)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A file system that even root may only read."""
    folder = tmp_path / "read_only"
    folder.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(folder)], capture_output=True, timeout=20
    )
    if mounted.returncode:
        pytest.skip("a read-only file system needs the right to mount one")
    yield folder
    subprocess.run(["umount", str(folder)], check=True, timeout=20)


def test_a_read_only_runs_folder_is_named(read_only: Path, toy_data: Path) -> None:
    with pytest.raises(StoreError, match=rf"{read_only}.*[Rr]ead-only.*--runs"):
        run(read_only / "runs", toy_data)


def test_a_read_only_image_cache_is_named(
    read_only: Path, tmp_path: Path, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_RAY_CACHE", str(read_only / "cache"))
    with pytest.raises(StoreError, match=r"image cache cannot be written: Read-only file system.*KAGGLE_RAY_CACHE"):
        run(tmp_path / "runs", toy_data)


# Competition and space files ----------------------------------------------------------------------------------------


def test_a_competition_that_does_not_exist_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"competitions: there is no 'digit'\. Did you mean 'digits'\?"):
        run(tmp_path, tmp_path, competition="digit")
    with pytest.raises(ConfigError, match=r"nowhere/x\.py: no such file"):
        run(tmp_path, tmp_path, competition=tmp_path / "nowhere/x.py")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", r"expected COMPETITION = Competition\(\.\.\.\), got nothing"),
        ("COMPETITION = 'digits'\n", r"expected COMPETITION = Competition\(\.\.\.\), got str"),
        ("def broken(:\n", r"does not run: SyntaxError"),
        ("import no_such_library\n", r"does not run: ModuleNotFoundError: No module named 'no_such_library'"),
        ("from kaggle_ray import Compettition\n", r"does not run: ImportError"),
        ("from kaggle_ray import metric_by_name\nmetric_by_name('acuracy')\n", r"Did you mean 'accuracy'\?"),
    ],
)
def test_a_competition_file_that_is_none_is_named_with_the_reason(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(ConfigError, match=rf"{file}: .*{message}"):
        run(tmp_path / "runs", tmp_path, competition=file)


def test_a_metric_that_is_declared_upside_down_is_noticed_before_training(tmp_path: Path, toy_data: Path) -> None:
    file = tmp_path / "upside_down.py"
    file.write_text(
        "import dataclasses\nfrom kaggle_ray.testing import toy\n"
        "metric = dataclasses.replace(toy.COMPETITION.metric, greater_is_better=True)\n"
        "head = dataclasses.replace(toy.COMPETITION.heads[0], metric=metric)\n"
        "COMPETITION = dataclasses.replace(toy.COMPETITION, heads=(head,))\n"
    )
    with pytest.raises(ConfigError, match=r"Declare greater_is_better=False"):
        run(tmp_path / "runs", toy_data, competition=file)


def test_the_command_line_says_it_in_one_line_without_a_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "kaggle-ray"), "run", "digit", "--runs", str(tmp_path)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "ConfigError: competitions: there is no 'digit'. Did you mean 'digits'?\n"


def test_every_error_of_ours_can_be_caught_by_one_name() -> None:
    assert issubclass(LeaseError, KaggleRayError)
    assert kaggle_ray.KaggleRayError is KaggleRayError
