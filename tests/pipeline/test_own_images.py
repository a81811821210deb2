"""The models of a run, taken out of it for a person's own images."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

import kaggle_ray
from kaggle_ray.errors import ConfigError, DataError, StoreError, WeightsGoneError
from kaggle_ray.images.transform import Image
from kaggle_ray.packing.timing import measure
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.reporters.texts import size_text
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.command_line import said
from kaggle_ray.testing.tasks import ToyTask, toy_of
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import JsonValue, Trial

OWN_MODEL = """
import torch
from kaggle_ray import register_model
from kaggle_ray.testing.toy import COMPETITION as TOY
from dataclasses import replace

COMPETITION = replace(TOY, name="own")

@register_model("flat")
class Flat(torch.nn.Sequential):
    def __init__(self, num_outputs: int) -> None:
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, num_outputs))
"""


def written_toy(folder: Path, task: ToyTask) -> Path:
    file = folder / f"toy_{task}.py"
    file.write_text(f"from kaggle_ray.testing.tasks import toy_of\n\nCOMPETITION = toy_of({task!r})\n")
    return file


def run(file: Path, folder: Path, data: Path, **values: JsonValue) -> RunResult:
    return kaggle_ray.run(
        file, experiments=[{**TINY, "epochs": 1, **values}], data=data, runs=folder, launcher="local", reporters=[],
        device="cpu", dtype="float32",
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> RunResult:
    return run(TOY_FILE, tmp_path_factory.mktemp("own_images"), toy_data, tta="hflip")


def test_neither_the_data_nor_the_competition_are_needed(
    finished: RunResult, toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_RAY_CACHE", str(tmp_path / "of_another_machine"))
    moved = shutil.copytree(finished.run_dir, tmp_path / "toy" / "moved")
    images = [toy_data / "test" / f"b00{number}.png" for number in range(3)]
    of_files = kaggle_ray.predict_proba(moved, [str(image) for image in images])["target"]
    arrays = [cv2.cvtColor(cv2.imread(str(image)), cv2.COLOR_BGR2RGB) for image in images]
    assert of_files.shape == (3, 2)
    assert np.array_equal(kaggle_ray.predict_proba(moved, arrays)["target"], of_files)
    in_ones = kaggle_ray.predict_proba(moved, images, experiment="small_resnet", batch_size=1)["target"]
    assert np.allclose(in_ones, of_files, atol=1e-6)  # the ensemble is its only experiment
    assert not (tmp_path / "of_another_machine").exists()


def test_how_large_a_network_is_stands_in_the_record_of_each_trial_as_show_tells_it(
    finished: RunResult, toy_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_fold = open_run(finished.run_dir).result(Trial(experiment_id=finished.plan.experiments[0].experiment_id, fold=1))
    assert of_fold is not None
    assert of_fold.gpu is None
    size = of_fold.model_size
    assert size is not None
    module = kaggle_ray.load_model(finished.run_dir, "small_resnet", 1).module
    assert size.num_parameters == sum(parameter.numel() for parameter in module.parameters())
    assert size.flops
    (row,) = finished.experiments[["parameters", "layers", "flops"]].to_dict("records")
    assert list(row.values()) == [size.num_parameters, size.num_layers, size.flops]
    assert size_text(size) in finished.report.read_text()
    asked = ("--set", "image_size=8", "--set", "model_args.width=4", "--set", "model_args.blocks=[1]")
    told, _, code = said(capsys, "show", str(TOY_FILE), "--data", str(toy_data), "--model", "small_resnet", *asked)
    assert code == 0
    assert f"small_resnet: {size_text(size)} for an image of 3 x 8 x 8" in " ".join(told.split())


def test_a_model_comes_in_evaluation_mode_with_what_makes_its_input_of_an_image(
    finished: RunResult, toy_data: Path
) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    loaded = kaggle_ray.load_model(finished.run_dir, "small_resnet", 1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not loaded.module.training
    assert [(head.name, head.classes) for head in loaded.heads] == [("target", ("dark", "bright"))]
    never_seen = finished.plan.folds.sample_ids[finished.plan.folds.valid_rows(1)[0]]
    image = toy_data / "train" / f"{never_seen}.png"
    input_CHW = loaded.transform(image)
    assert (input_CHW.shape, input_CHW.dtype) == ((3, 8, 8), torch.float32)
    with torch.no_grad():
        views = torch.stack([input_CHW, input_CHW.flip(-1)])  # as tta says
        bright = torch.sigmoid(loaded.module(views)).mean()
    out_of_fold = kaggle_ray.open_run(finished.run_dir).predictions("small_resnet")
    assert bright.item() == pytest.approx(out_of_fold.loc[never_seen, "bright"], abs=1e-6)
    with pytest.raises(ConfigError, match=r"cannot score: load the competition"):
        loaded.heads[0].metric.score(np.array([0.0]), np.array([[0.0]]))


def test_an_experiment_or_a_model_that_is_not_there_is_named(finished: RunResult, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"'resnet' is no experiment of it.*small_resnet"):
        kaggle_ray.load_model(finished.run_dir, "resnet", 0)
    with pytest.raises(StoreError, match=r"full is not committed.*--refit"):
        kaggle_ray.load_model(finished.run_dir, "small_resnet", None)
    lacking = shutil.copytree(finished.run_dir, tmp_path / "toy" / "lacking")
    store = open_run(lacking)
    result = store.result(Trial(experiment_id=finished.plan.experiments[0].experiment_id, fold=0))
    assert result is not None
    store.remove_weights(result, keep=())
    with pytest.raises(WeightsGoneError, match=r"the weights are gone.*the trial is repeated"):
        kaggle_ray.load_model(lacking, "small_resnet", 0)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "no images"),
        ([np.zeros((8, 8), dtype=np.uint8)], r"\(8, 8\) of uint8: expected 3 channels, got 1"),
        ([np.zeros((8, 8, 3))], r"of float64: expected \(H, W, 3\) pixels of uint8 or uint16"),
        ([np.zeros((8, 8, 3), dtype=np.uint8), [np.zeros((8, 8, 3), dtype=np.uint8)] * 2], "as many for each sample"),
        ([Path("absent.png")], "absent.png"),
        ([[]], "a sample of no images"),
        ("one.png", "a list of files or arrays, got a single one"),
        (np.zeros((8, 8, 3), dtype=np.uint8), "a list of files or arrays, got a single one"),
    ],
)
def test_what_is_no_image_of_the_run_s_kind_is_refused(finished: RunResult, images: list[Image], message: str) -> None:
    with pytest.raises(DataError, match=message):
        kaggle_ray.predict_proba(finished.run_dir, images)


@pytest.mark.parametrize("batch_size", [0, -1, True, 2.0])
def test_a_batch_of_no_images_is_refused(finished: RunResult, batch_size: int) -> None:
    with pytest.raises(ConfigError, match=r"batch_size: expected an integer of at least 1, got"):
        kaggle_ray.predict_proba(finished.run_dir, [Path("any.png")], batch_size=batch_size)


def test_what_of_an_image_no_model_sees_is_told_once(
    finished: RunResult, toy_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cut_out, opaque = np.full((2, 8, 8, 4), 255, dtype=np.uint8)
    cut_out[2:5, 2:5, 3] = 0
    files = [tmp_path / f"{name}.png" for name in ("cut_out", "again", "opaque")]
    for file, pixels in zip(files, (cut_out, cut_out, opaque), strict=True):
        assert cv2.imwrite(str(file), pixels)
    kaggle_ray.predict_proba(finished.run_dir, [*files, toy_data / "test" / "b000.png"])
    told = "2 images to predict have an alpha channel that is not opaque, such as cut_out.png: it is not read"
    assert caplog.messages == [told]
    caplog.clear()
    transform = kaggle_ray.load_model(finished.run_dir, "small_resnet", 0).transform
    transform(files[2])
    assert not caplog.messages
    transform(files[0])
    assert len(caplog.messages) == 1


def test_values_of_16_bits_beyond_those_that_were_trained_on_are_named_and_depths_are_not_mixed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, data = written_toy(tmp_path, "regression"), tmp_path / "data"
    prepare = toy_of("regression").prepare
    assert prepare is not None
    data.mkdir()
    prepare(data)
    for image in (data / "images").iterdir():
        assert cv2.imwrite(str(image), np.asarray(cv2.imread(str(image)), dtype=np.uint16) * 16)
    result = run(file, tmp_path / "runs", data)
    dark: Any = np.zeros((8, 8, 3), dtype=np.uint16)
    bright = dark.copy()
    bright[0, 0] = 65535
    caplog.clear()
    kaggle_ray.predict_proba(result.run_dir, [dark, bright])
    (told,) = caplog.messages
    assert told.startswith("1 image to predict has values outside of 0 to 4095, the range of those to train on")
    assert "such as images[1]: they are cut there" in told
    new = shutil.copytree(data, tmp_path / "new")
    first = sorted((new / "images").iterdir())[-1]
    assert cv2.imwrite(str(first), bright)
    caplog.clear()
    kaggle_ray.predict(result.run_dir, data=new, out=tmp_path / "new.csv")
    assert [message for message in caplog.messages if f"such as {first.name}: they are cut there" in message]
    transform = kaggle_ray.load_model(result.run_dir, "small_resnet", 0).transform
    unknown = replace(transform, layout=replace(transform.layout, image_reading=None))
    with pytest.raises(DataError, match=r"expected all of one depth, got uint16 and uint8"):
        unknown([dark, dark.astype(np.uint8)])


WRONG_CELLS: dict[object, str] = {
    "wide": r"expected a number, or NaN, got 'wide'",
    float("inf"): r"expected a finite float32, got inf",
    1e300: r"expected a finite float32, got 1e\+300",
    pd.Timestamp("2026-11-27"): r"expected a number, or NaN, got Timestamp",
}


def test_a_table_is_asked_for_where_models_take_one_and_refused_where_none_does(
    finished: RunResult, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image, table = np.zeros((8, 8, 3), dtype=np.uint8), pd.DataFrame({"width": [1.0]})
    with pytest.raises(DataError, match=r"its models take no table"):
        kaggle_ray.predict_proba(finished.run_dir, [image], table=table)
    result = run(
        written_toy(tmp_path, "table"), tmp_path / "runs", tmp_path / "data", model="table_linear", model_args={}
    )
    columns = result.plan.samples.test_table.columns if result.plan.samples.test_table else ()
    with pytest.raises(DataError, match=rf"take a table beside each image: {len(columns)} columns, {columns[0]}"):
        kaggle_ray.predict_proba(result.run_dir, [image])
    with pytest.raises(DataError, match=rf"columns? of the run (is|are) missing, such as '{columns[0]}'"):
        kaggle_ray.predict_proba(result.run_dir, [image], table=table)
    with pytest.raises(DataError, match=r"a row for each of 2 images, got 1"):
        kaggle_ray.predict_proba(result.run_dir, [image, image], table=table)
    numbers = pd.DataFrame({column: [0.5] for column in columns})
    assert kaggle_ray.predict_proba(result.run_dir, [image], table=numbers)["target"].shape == (1, 2)
    for cells, message in WRONG_CELLS.items():
        with pytest.raises(DataError, match=rf"table: row 2, column '{columns[0]}': {message}"):
            kaggle_ray.predict_proba(
                result.run_dir, [image, image], table=pd.DataFrame({column: [0.5, cells] for column in columns})
            )
    with pytest.raises(DataError, match=f"columns? of the run (is|are) there twice, such as '{columns[0]}'"):
        kaggle_ray.predict_proba(result.run_dir, [image], table=pd.concat([numbers, numbers], axis=1))
    caplog.clear()
    texts = numbers.astype(str)
    of_text = kaggle_ray.predict_proba(result.run_dir, [image], table=texts)["target"]
    assert np.array_equal(of_text, kaggle_ray.predict_proba(result.run_dir, [image], table=numbers)["target"])
    assert not caplog.messages
    far = pd.DataFrame({column: [0.5, 1e9 if column == columns[1] else 0.5] for column in columns})
    kaggle_ray.predict_proba(result.run_dir, [image, image], table=far)
    (told,) = caplog.messages
    assert told.endswith(f", cut there: {columns[1]} of row 2 (1e+09)")


def test_a_model_of_the_competition_s_own_is_loaded_from_the_file_that_is_named(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kaggle_ray.registry import registrations_undone

    file = tmp_path / "own.py"
    file.write_text(OWN_MODEL)
    with registrations_undone():
        result = run(file, tmp_path / "runs", toy_data, model="flat", model_args={})
    monkeypatch.setenv("KAGGLE_RAY_CACHE", str(tmp_path / "of_another_machine"))
    with pytest.raises(ConfigError, match=r"you have not run .*own\.py.*--competition"):
        kaggle_ray.load_model(result.run_dir, "flat", 0)
    loaded = kaggle_ray.load_model(result.run_dir, "flat", 0, competition=file)
    assert loaded.module(loaded.transform(np.zeros((8, 8, 3), dtype=np.uint8))[None]).shape == (1, 1)


READER = """
import numpy as np
from dataclasses import replace
from kaggle_ray import Samples, SubmissionFormat, as_ids
from kaggle_ray.testing.toy import COMPETITION as TOY

def read_scan(path):
    return np.load(path)[:, :, :2]

def prepare(folder):
    rng = np.random.default_rng(0)
    for number in range(40):
        for side in "ab":
            scan = rng.normal(-300 + 200 * (number % 2), 100, (8, 8, 2)).astype(np.float32)
            np.save(folder / f"{number:02d}{side}.npy", scan)
    rows = "".join(f"{number:02d},0.5\\n" for number in range(32, 40))
    (folder / "sample_submission.csv").write_text("id,bright\\n" + rows)

def read(folder):
    ids = [f"{number:02d}" for number in range(40)]
    paths = [(folder / f"{each}a.npy", folder / f"{each}b.npy") for each in ids]
    return Samples(
        train_ids=as_ids(ids[:32]), train_paths=tuple(paths[:32]), target=np.arange(32) % 2,
        test_ids=as_ids(ids[32:]), test_paths=tuple(paths[32:]),
    )

COMPETITION = replace(
    TOY, name="scans", read=read, prepare=prepare, channels=2, reader=READER,
    submission=SubmissionFormat(id_column="id", columns=("bright",)),
    folds=replace(TOY.folds, find_near_duplicates=False),
)
"""


@pytest.mark.parametrize(("reader", "fuse"), [('"npy"', "attention"), ("read_scan", "mean")])
def test_files_of_a_reader_are_read_as_the_run_read_them_and_fused(
    reader: str, fuse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "scans.py"
    file.write_text(READER.replace("READER", reader))
    result = run(file, tmp_path / "runs", tmp_path / "data", fuse=fuse)
    submitted = kaggle_ray.read_table(result.submission, columns=["id", "bright"])["bright"].astype(float)
    files = [[tmp_path / f"data/{each:02d}{side}.npy" for side in "ab"] for each in range(32, 40)]
    arrays = [[np.load(file) for file in of_sample] for of_sample in files]
    monkeypatch.setenv("KAGGLE_RAY_CACHE", str(tmp_path / "of_another_machine"))
    own = None if reader == '"npy"' else file
    if own is not None:  # on a machine where nobody has run it, no word of the record is enough
        with pytest.raises(ConfigError, match=r"read by a reader of its competition\..*you have not run .*scans\.py"):
            kaggle_ray.predict_proba(result.run_dir, files)
    for images in (files, arrays):
        found = kaggle_ray.predict_proba(result.run_dir, images, competition=own)["target"][:, 1]
        np.testing.assert_allclose(found, submitted, atol=1e-6)
    loaded = kaggle_ray.load_model(result.run_dir, "small_resnet", 0, competition=own)
    input_VCHW = loaded.transform(files[0])
    assert (input_VCHW.shape, input_VCHW.min().item() < -1) == ((2, 2, 8, 8), True)
    alone = loaded.module(input_VCHW[None])
    assert alone.shape == (1, 1)
    if fuse != "mean":
        with pytest.raises(DataError, match=r"expected several to a sample, which the run's models fuse, got one"):
            loaded.transform(files[0][0])
        with pytest.raises(DataError, match=r"expected several to a sample"):
            kaggle_ray.predict_proba(result.run_dir, [of_sample[0] for of_sample in files])
    with pytest.raises(DataError, match=r"an array \(8, 8, 3\) of uint8: the reader .*: expected 2 channels"):
        loaded.transform([np.zeros((8, 8, 3), dtype=np.uint8)] * 2)
    timing = measure(result.run_dir, result.plan.samples, competition=file, refit=False, device="cpu")
    assert timing.total_s(8) > 0
