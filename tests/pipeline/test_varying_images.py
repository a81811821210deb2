"""Ids with different numbers of images: a whole run of each way to fuse them, and what predicts new rows by it."""

from __future__ import annotations

import dataclasses
import shutil
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import kaggle_ray
from kaggle_ray.config import Hyperparameters
from kaggle_ray.data.opening import load_competition, open_competition
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.images.mix import check_mix
from kaggle_ray.images.randomness import sample_keys
from kaggle_ray.images.transform import Image
from kaggle_ray.packing.pack import pack
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.testing.submitted import submitted_values
from kaggle_ray.testing.toy import NUM_TEST, NUM_TRAIN, SIZE, TINY
from kaggle_ray.train.batches import EpochBatches
from kaggle_ray.train.fold_data import hashes_of, train_inputs
from kaggle_ray.train.inputs import FitData
from kaggle_ray.types import FloatArray

FILE = '''
import dataclasses
from kaggle_ray.testing.toy import COMPETITION as TOY, read as read_toy

def read(folder):
    """Each id has its image and up to three more."""
    samples = read_toy(folder)
    train, test = (tuple(map(several, paths)) for paths in (samples.train_paths, samples.test_paths))
    return dataclasses.replace(samples, train_paths=train, test_paths=test)

def several(path):
    return (path, *sorted((path.parents[1] / "more").glob(f"{path.stem}_*.png")))

COMPETITION = dataclasses.replace(TOY, name="varying", read=read, prepare=None)
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> Path:
    """A folder with the competition's file, and its data: images of the toy, and more of some ids."""
    folder = tmp_path_factory.mktemp("varying")
    (folder / "varying.py").write_text(FILE)
    shutil.copytree(toy_data, folder / "data")
    (folder / "data" / "more").mkdir()
    rng = np.random.default_rng(1)
    for part in ("train", "test"):
        for number, path in enumerate(sorted((folder / "data" / part).glob("*.png"))):
            for more in range(number % 4):
                read = cv2.imread(str(path))
                assert read is not None
                pixels = read.astype(np.int64) + rng.integers(-9, 10, (SIZE, SIZE, 3))
                cv2.imwrite(
                    str(folder / "data" / "more" / f"{path.stem}_{more}.png"), pixels.clip(0, 255).astype(np.uint8)
                )
    return folder


@pytest.fixture(scope="module")
def samples(folder: Path) -> Samples:
    declared, _ = load_competition(folder / "varying.py")
    return open_competition(declared, folder / "data")[1]


@pytest.fixture(scope="module")
def finished(folder: Path) -> RunResult:
    fused = [{**TINY, "epochs": 3, "lr": 2e-2, "fuse": fuse, "accumulate": 2} for fuse in ("mean", "lstm")]
    return kaggle_ray.run(
        folder / "varying.py", experiments=fused, data=folder / "data", runs=folder / "runs", launcher="local",
        reporters=[], device="cpu",
    )  # fmt: skip


def test_a_run_of_ids_with_different_numbers_of_images_is_scored_and_submitted(finished: RunResult) -> None:
    scores = {row.kind: row.score for row in finished.board.rows}
    assert scores["ensemble"] is not None
    assert scores["baseline"] is not None
    assert scores["ensemble"] < 0.8 * scores["baseline"]
    assert len(finished.pool.oof) == 2
    assert submitted_values(finished.submission).shape == (NUM_TEST, 1)


def test_new_rows_are_predicted_as_those_of_the_run(finished: RunResult, folder: Path, samples: Samples) -> None:
    again = kaggle_ray.predict(
        finished.run_dir, data=folder / "data", competition=folder / "varying.py", out=folder / "again.csv"
    )
    assert again.read_bytes() == finished.submission.read_bytes()
    for experiment in finished.plan.experiments:
        of_run = finished.pool.test[experiment.experiment_id][:]
        found = proba(finished, samples.test_paths, experiment.experiment_id)
        assert np.allclose(found, of_run[:, 0], atol=1e-5)


def test_a_sample_of_one_image_is_predicted_beside_others(finished: RunResult, samples: Samples) -> None:
    fused = finished.plan.experiments[1].experiment_id
    all_at_once = proba(finished, samples.test_paths[:8], fused)
    one_by_one = proba(finished, samples.test_paths[:8], fused, batch_size=1)
    assert np.allclose(all_at_once, one_by_one, atol=1e-5)


def test_a_loaded_model_takes_one_image_of_an_id_or_several(finished: RunResult, samples: Samples) -> None:
    num_folds = finished.plan.folds.num_folds
    several = samples.test_paths[:4]
    assert [len(of) for of in several if isinstance(of, tuple)] == [1, 2, 3, 4]
    for experiment in finished.plan.experiments:
        loaded = [kaggle_ray.load_model(finished.run_dir, experiment.experiment_id, fold) for fold in range(num_folds)]
        expected = proba(finished, several, experiment.experiment_id)
        for number, images in enumerate(several):
            assert isinstance(images, tuple)
            as_given: list[Image] = [images, images[0] if len(images) == 1 else [*map(str, images)]]
            for given in as_given:
                with torch.inference_mode():
                    logits = [each.module(each.transform(given)[None]) for each in loaded]
                found = float(torch.stack(logits).sigmoid().mean())
                assert found == pytest.approx(float(expected[number]), abs=1e-5)


def test_a_package_predicts_as_the_run_did(
    finished: RunResult, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kaggle_ray.packing.wheels.find_spec", lambda name: None)  # which would download some
    monkeypatch.setenv("PATH", "")
    packed = pack(finished.run_dir, tmp_path / "package", data=folder / "data", onnx=True)
    assert packed.timing is not None
    (run,) = (tmp_path / "package" / "run" / "varying").iterdir()
    for onnx in (False, True):
        again = kaggle_ray.predict(
            run, data=folder / "data", competition=folder / "varying.py", out=tmp_path / f"{onnx}.csv", onnx=onnx
        )
        assert np.allclose(submitted_values(again), submitted_values(finished.submission), atol=1e-4)


def proba(result: RunResult, images: object, experiment: str, batch_size: int = 64) -> FloatArray:
    found = kaggle_ray.predict_proba(result.run_dir, images, experiment=experiment, batch_size=batch_size)  # type: ignore[arg-type]
    return found["target"][:, 1]


def test_each_row_reads_its_own_images_wherever_it_comes(folder: Path, samples: Samples, tmp_path: Path) -> None:
    competition, _ = load_competition(folder / "varying.py")
    inputs = train_inputs(competition, samples, (SIZE, SIZE), tmp_path)
    assert inputs.counts is not None
    assert inputs.counts.tolist() == [1 + number % 4 for number in range(NUM_TRAIN)]
    rows = np.array([7, 0, 59, 7])
    assert inputs.views(rows).tolist() == [16, 17, 18, 19, 0, 146, 147, 148, 149, 16, 17, 18, 19]
    assert np.array_equal(inputs.read(rows)[:4], inputs.read(np.array([7])))
    hashes = hashes_of(samples)
    assert len(set(hashes.tolist())) == len(hashes) == inputs.images.shape[0]
    data = FitData(
        inputs=inputs, target=samples.target, heads=competition.heads, metric=competition.metric,
        train_rows=np.arange(NUM_TRAIN), valid_rows=np.arange(0), fold=0, id_hashes=hashes,
    )  # fmt: skip
    assert data.num_rows == NUM_TRAIN
    batches = EpochBatches(data, Hyperparameters(**{**TINY, "augment": "light"}), 1, uses_images=True)
    for number in (1, 0, 1):  # whatever was read before
        batch = batches[number]
        assert np.array_equal(batch.keys, sample_keys(0, 0, 1, hashes)[inputs.views(batch.rows)])
        assert np.array_equal(batch.pixels, batches[number].pixels)
        assert len(batch.pixels) == inputs.counts[batch.rows].sum()


def test_what_needs_the_same_number_of_images_is_refused(folder: Path, samples: Samples) -> None:
    for name, alphas in (("mixup", (0.2, 0.0)), ("cutmix", (0.0, 0.2))):
        with pytest.raises(ConfigError, match=f"'{name}': expected 0 where samples have different numbers of images"):
            check_mix(*alphas, has_table=False, varies=True)
    declared, _ = load_competition(folder / "varying.py")
    masks = tuple(paths[0] for paths in samples.train_paths if isinstance(paths, tuple))
    for changed, told in (
        ({"train_masks": masks}, "expected as many images of each id, as there are masks, got 1 to 4"),
        ({"test_paths": ((), *samples.test_paths[1:])}, "sample 'b000' has no image"),
    ):
        wrong = dataclasses.replace(samples, **changed)
        with pytest.raises(DataError, match=told):
            open_competition(dataclasses.replace(declared, read=partial(_given, wrong)), folder / "data")


def _given(samples: Samples, folder: Path) -> Samples:
    return samples


def test_whose_images_are_whose_is_a_part_of_a_runs_content(finished: RunResult) -> None:
    parts = set(finished.plan.content.to_json())
    assert {"images of each training row", "images of each test row"} <= parts
