"""New test data, predicted by the weights that a run kept."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load, save

import kaggle_ray
from kaggle_ray.cli import main
from kaggle_ray.combine.tempered import TemperedMean, at_least, tempered_by
from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.data.head import place_heads
from kaggle_ray.data.opening import load_competition, open_competition, open_to_predict
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.submitted import read_cells, submitted_values
from kaggle_ray.testing.tasks import TOY_TASKS, ToyTask
from kaggle_ray.testing.toy import NUM_TEST, TINY, TOY_FILE
from kaggle_ray.train.reload import TestRows
from kaggle_ray.types import JsonValue, Trial

BASE = {**TINY, "epochs": 6, "lr": 2e-2, "schedule": "constant"}


def run(folder: Path, data: Path, *experiments: Mapping[str, JsonValue], **options: Any) -> RunResult:
    return kaggle_ray.run(
        TOY_FILE, experiments=experiments, data=data, runs=folder, launcher="local", reporters=[], device="cpu",
        **options,
    )  # fmt: skip


def written_toy(folder: Path, task: ToyTask) -> Path:
    file = folder / f"toy_{task}.py"
    file.write_text(f"from kaggle_ray.testing.tasks import toy_of\n\nCOMPETITION = toy_of({task!r})\n")
    return file


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> RunResult:
    return run(tmp_path_factory.mktemp("inference"), toy_data, BASE, {**BASE, "lr": 5e-3})


@pytest.mark.parametrize("task", TOY_TASKS)
def test_the_same_data_give_the_submission_of_the_run_for_every_task(task: ToyTask, tmp_path: Path) -> None:
    result = kaggle_ray.run(
        written_toy(tmp_path, task), overrides={"epochs": 3}, data=tmp_path / "data", runs=tmp_path / "runs",
        launcher="local", reporters=[], device="cpu",
    )  # fmt: skip
    out = kaggle_ray.predict(result.run_dir, data=tmp_path / "data", out=tmp_path / "new" / "again.csv")
    assert out == tmp_path / "new" / "again.csv"
    assert out.read_bytes() == result.submission.read_bytes()
    assert [file.name for file in out.parent.iterdir()] == ["again.csv"]
    check_probabilities(result, task)


def test_what_is_stacked_with_the_table_predicts_anew_with_a_table(tmp_path: Path) -> None:
    result = kaggle_ray.run(
        written_toy(tmp_path, "table"), overrides={"epochs": 1}, data=tmp_path / "data", runs=tmp_path / "runs",
        ensemble="boosting", launcher="local", reporters=[], device="cpu",
    )  # fmt: skip
    assert result.ensemble is not None
    assert result.ensemble.combiner == "boosting"
    assert result.ensemble.fitted.to_json()["num_table_columns"] == 2
    out = kaggle_ray.predict(result.run_dir, data=tmp_path / "data", out=tmp_path / "again.csv")
    assert out.read_bytes() == result.submission.read_bytes()
    check_probabilities(result, "table")
    with pytest.raises(DataError, match="expected the table of 2 columns"):
        kaggle_ray.open_run(result.run_dir).predictions()


@pytest.mark.parametrize(
    ("task", "method", "why"),
    [("masks", "boosting", "got masks"), ("regression", "logistic", "expected probabilities of classes or labels")],
)
def test_a_way_to_ensemble_for_another_kind_of_prediction_is_refused_before_training(
    task: ToyTask, method: str, why: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=f"ensemble '{method}': .*{why}"):
        kaggle_ray.run(
            written_toy(tmp_path, task), data=tmp_path / "data", runs=tmp_path / "runs", ensemble=method,
            launcher="local", reporters=[], device="cpu",
        )  # fmt: skip
    assert not list((tmp_path / "runs").glob("*/*/trials/*"))


def check_probabilities(result: RunResult, task: ToyTask) -> None:
    """Check that the test rows, passed as a person's own images, are predicted as the run's ensemble did."""
    samples, ensemble, competition = result.plan.samples, result.ensemble, result.plan.competition
    assert ensemble is not None
    expected = ensemble.apply(result.pool.test, result.pool.test_table)[:]
    table = samples.test_table
    found = kaggle_ray.predict_proba(
        result.run_dir, samples.test_paths,
        table=None if table is None else pd.DataFrame(table.values, columns=list(table.columns)),
    )  # fmt: skip
    for place in place_heads(competition.heads):
        got = found[place.head.name]
        of_head = expected if competition.is_segmentation else expected[:, place.outputs]
        if place.head.task == "binary":
            assert np.allclose(got.sum(axis=1), 1)
            got = got[:, 1:]
        assert np.array_equal(got.reshape(of_head.shape), of_head), task


@pytest.mark.parametrize(
    "hyperparameter_sets",
    [
        [{**BASE, "seed": seed} for seed in range(2)],
        [{**BASE, "schedule": "snapshot", "schedule_args": {"num_cycles": 3}}],
        [{**BASE, "epoch_rule": "other_folds", "lr": 0.3}],
        [{**BASE, "epochs": 2, "init_from": {"epochs": 3}}],
        [{**BASE, "ema_decay": 0.9, "tta": "hflip", "label_smoothing": 0.1}],
    ],
    ids=["seeds", "snapshots", "other_folds", "init_from", "averaged"],
)
@pytest.mark.parametrize("method", ["greedy", "mean"])
def test_the_same_data_give_the_submission_of_the_run_for_every_kind_of_member(
    hyperparameter_sets: list[dict[str, JsonValue]], method: str, tmp_path: Path, toy_data: Path
) -> None:
    result = run(tmp_path, toy_data, *hyperparameter_sets, ensemble=method)
    out = kaggle_ray.predict(result.run_dir, data=toy_data, out=tmp_path / "again.csv")
    assert out.read_bytes() == result.submission.read_bytes()


def test_a_member_is_calibrated_model_by_model_in_a_run_and_of_the_same_data(tmp_path: Path, toy_data: Path) -> None:
    hyperparameter_sets = [{**BASE, "seed": seed, "epochs": 6, "lr": 0.1} for seed in range(2)]
    result = run(tmp_path, toy_data, *hyperparameter_sets, ensemble="tempered")
    assert result.ensemble is not None
    fitted = result.ensemble.fitted
    assert isinstance(fitted, TemperedMean)
    (temperature,) = fitted.of_members.values()
    store, folds = open_run(result.run_dir), range(result.plan.folds.num_folds)
    trials = [Trial(experiment_id=each.experiment_id, fold=fold) for each in result.plan.experiments for fold in folds]
    models = [store.predictions(of)[1].values for of in map(store.result, trials) if of is not None]
    tempered = [tempered_by(model.astype(np.float64), "labels", temperature) for model in models]
    expected = at_least(np.mean(tempered, axis=0), "labels", fitted.least)
    assert fitted.predict(result.pool.test)[:] == pytest.approx(expected, abs=1e-6)
    of_the_mean = tempered_by(np.mean(models, axis=0, dtype=np.float64), "labels", temperature)
    assert not np.allclose(np.mean(tempered, axis=0), of_the_mean, atol=1e-4)
    out = kaggle_ray.predict(result.run_dir, data=toy_data, out=tmp_path / "again.csv")
    assert out.read_bytes() == result.submission.read_bytes()


def test_new_rows_are_predicted_as_the_new_sample_submission_asks(
    finished: RunResult, toy_data: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    shutil.copytree(toy_data, new)
    shutil.rmtree(new / "test")
    (new / "test").mkdir()
    of_rows = {"c2": "b003", "c1": "b000", "c3": "b007"}
    for name, copied in of_rows.items():
        shutil.copy(toy_data / "test" / f"{copied}.png", new / "test" / f"{name}.png")
    (new / "sample_submission.csv").write_text("\n".join(["id,label", *(f"{name},0.5" for name in of_rows)]) + "\n")
    out = kaggle_ray.predict(finished.run_dir, data=f"file://{new}", out=tmp_path / "new.csv")
    got, of_run = read_cells(out), read_cells(finished.submission)
    assert got.ids == tuple(of_rows)
    expected = submitted_values(finished.submission)[[of_run.ids.index(copied) for copied in of_rows.values()]]
    assert np.allclose(submitted_values(out), expected, atol=1e-6)  # in other batches


@pytest.mark.parametrize("left", ["some training images", "no training folder"])
def test_new_rows_need_no_training_images(finished: RunResult, toy_data: Path, tmp_path: Path, left: str) -> None:
    new = tmp_path / "new"
    shutil.copytree(toy_data, new)
    (new / "train/a003.png").unlink() if left == "some training images" else shutil.rmtree(new / "train")
    out = kaggle_ray.predict(finished.run_dir, data=new, out=tmp_path / "new.csv")
    assert out.read_bytes() == Path(finished.submission).read_bytes()


def test_numbers_of_new_rows_that_are_cut_or_only_there_missing_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data, new = tmp_path / "data", tmp_path / "new"
    result = kaggle_ray.run(
        written_toy(tmp_path, "table"), overrides={"epochs": 1}, data=data, runs=tmp_path / "runs", launcher="local",
        reporters=[], device="cpu",
    )  # fmt: skip
    shutil.copytree(data, new)
    lines = (new / "test.csv").read_text().splitlines()
    for row, column, cell in ((2, 2, "1e9"), (3, 2, "nan")):
        cells = lines[row].split(",")
        cells[column] = cell
        lines[row] = ",".join(cells)
    (new / "test.csv").write_text("\n".join(lines) + "\n")
    caplog.clear()
    kaggle_ray.predict(result.run_dir, data=new, out=tmp_path / "new.csv")
    ids = [line.split(",")[0] for line in lines]
    cut, missing = caplog.messages
    assert cut.endswith(f", cut there: striped of {ids[2]} (1e+09)")
    assert missing.endswith(f"no model has learnt what that means: {ids[3]}")
    caplog.clear()
    kaggle_ray.predict(result.run_dir, data=data, out=tmp_path / "same.csv")
    assert not caplog.messages


def test_what_new_rows_do_need_is_named(finished: RunResult, toy_data: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    shutil.copytree(toy_data, new)
    (new / "test/b003.png").unlink()
    with pytest.raises(DataError, match=r"1 id has no image in .*test: b003"):
        kaggle_ray.predict(finished.run_dir, data=new, out=tmp_path / "new.csv")
    (new / "train.csv").unlink()
    with pytest.raises(DataError, match=r"train\.csv: no such file.*tables of the training rows .* images need not"):
        kaggle_ray.predict(finished.run_dir, data=new, out=tmp_path / "new.csv")


def test_a_competition_whose_labels_are_names_of_images_predicts_new_rows_alone(tmp_path: Path) -> None:
    declared, _ = load_competition("dogs_vs_cats")
    (tmp_path / "test").mkdir()
    (tmp_path / "test/1.jpg").touch()
    (tmp_path / "sample_submission.csv").write_text("id,label\n1,0.5\n")
    _, samples = open_to_predict(declared, tmp_path)
    assert (samples.test_ids.tolist(), samples.num_views) == (["1"], 1)


def test_nothing_of_the_run_changes(finished: RunResult, toy_data: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.run_dir.rglob("*")}
    kaggle_ray.predict(finished.run_dir, data=toy_data, out=tmp_path / "again.csv")
    assert {path: path.stat().st_mtime_ns for path in finished.run_dir.rglob("*")} == before


def test_a_run_from_another_machine_is_predicted_with_by_the_competition_that_the_user_names(
    finished: RunResult, toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(finished.run_dir, moved)
    record = json.loads((moved / "run.json").read_text())
    (moved / "run.json").write_text(json.dumps({**record, "competition_file": "/not/here/toy.py"}))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "competitions").mkdir()
    shutil.copy(TOY_FILE, tmp_path / "competitions" / "toy.py")
    with pytest.raises(ConfigError, match=r"/not/here/toy\.py is not here.*--competition"):
        kaggle_ray.predict(moved, data=toy_data)
    out = kaggle_ray.predict(moved, data=toy_data, competition="toy")
    assert out == Path("submission.csv")
    assert out.read_bytes() == finished.submission.read_bytes()


def test_the_file_is_packed_where_its_name_says_so_and_named_last_on_the_command_line(
    finished: RunResult, toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = kaggle_ray.predict(finished.run_dir, data=toy_data, out=tmp_path / "packed.csv.gz")
    assert gzip.decompress(packed.read_bytes()) == finished.submission.read_bytes()
    out = tmp_path / "by_cli.csv"
    words = ["predict", str(finished.run_dir), "--data", str(toy_data), "--out", str(out), "--device", "cpu"]
    main([*words, "--threads", "1"])
    assert capsys.readouterr().out.splitlines()[-1] == str(out)
    assert out.read_bytes() == finished.submission.read_bytes()


def test_a_test_image_that_does_not_decode_is_predicted_from_grey_where_one_says_so(
    finished: RunResult, toy_data: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    shutil.copytree(toy_data, new)
    (new / "test" / "b003.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"b003\.png"):
        kaggle_ray.predict(finished.run_dir, data=new, out=tmp_path / "x.csv")
    out = kaggle_ray.predict(finished.run_dir, data=new, out=tmp_path / "x.csv", skip_unreadable=True)
    assert len(read_cells(out).ids) == NUM_TEST


def test_what_a_run_with_unreadable_files_predicted_is_predicted_again(toy_data: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    shutil.copytree(toy_data, bad)
    (bad / "test" / "b003.png").write_bytes(b"no image")
    result = run(tmp_path / "runs", bad, BASE, skip_unreadable=True)
    out = kaggle_ray.predict(result.run_dir, data=bad, out=tmp_path / "again.csv")
    assert out.read_bytes() == result.submission.read_bytes()
    repaired = kaggle_ray.predict(result.run_dir, data=toy_data, out=tmp_path / "repaired.csv")
    assert repaired.read_bytes() != result.submission.read_bytes()


# What cannot be predicted -------------------------------------------------------------------------------------------


def test_images_are_normalised_as_they_were_in_the_run(tmp_path: Path, toy_data: Path) -> None:
    """A network that was built with the library's weights may know other statistics than one without."""
    result = run(tmp_path, toy_data, BASE)
    trial = Trial(experiment_id=result.plan.experiments[0].experiment_id, fold=0)
    committed = open_run(result.run_dir).result(trial)
    assert committed is not None
    weights = load(open_run(result.run_dir).weights(committed))
    assert torch.equal(weights["images.mean"], torch.tensor([0.485, 0.456, 0.406]))
    assert weights["images.std"].shape == (3,)
    hyperparameters = parse_hyperparameters(BASE, where="here")
    competition, samples = open_competition(load_competition(TOY_FILE)[0], toy_data)
    rows = TestRows(competition, samples, result.plan.settings, tmp_path / "cache")
    of_run = np.concatenate(list(rows.predict(hyperparameters, save(weights), where="here")))
    shifted = save({**weights, "images.mean": torch.zeros(3)})
    assert not np.allclose(of_run, np.concatenate(list(rows.predict(hyperparameters, shifted, where="here"))))
