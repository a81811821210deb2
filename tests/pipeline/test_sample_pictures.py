from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kaggle_ray
from kaggle_ray.pipeline.sample_pictures import drawing_samples
from kaggle_ray.reporters.events import Event, SamplesDrawn, TrialEnded
from kaggle_ray.reporters.visdom.history import RunHistory
from kaggle_ray.reporters.visdom.pictures import sample_windows
from kaggle_ray.store.artifacts import read_artifact
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.reporter_contract import sample_pictures
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import Trial


@pytest.fixture(scope="module")
def result(toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> kaggle_ray.RunResult:
    return kaggle_ray.run(
        TOY_FILE, data=toy_data, runs=tmp_path_factory.mktemp("runs"), launcher="local", device="cpu", threads=1,
        reporters=[], experiments=[{**TINY, "epochs": 1}],
    )  # fmt: skip


def committed(result: kaggle_ray.RunResult, fold: int) -> TrialEnded:
    (experiment,) = result.tried
    trial = Trial(experiment_id=experiment.experiment_id, fold=fold)
    return TrialEnded(trial=trial, status="committed", score=0.5, duration_s=1.0)


def test_samples_of_an_experiment_s_first_fold_and_of_the_ensemble_are_drawn_and_told(
    result: kaggle_ray.RunResult,
) -> None:
    told: list[Event] = []
    assert result.ensemble is not None
    with drawing_samples(result.plan, told.append, are_shown=True) as pictures:
        for fold in (0, 1):
            pictures.emit(committed(result, fold))
        pictures.of_ensemble(result.ensemble, result.pool)
    drawn = [event for event in told if isinstance(event, SamplesDrawn)]
    assert [event.trial for event in drawn] == [committed(result, 0).trial, None]
    for key in (drawn[0].oof, drawn[0].test, drawn[1].oof, drawn[1].test):
        jpeg = read_artifact(open_run(result.run_dir).blobs, key)
        assert jpeg is not None
        assert len(jpeg) < 300_000
        assert np.asarray(Image.open(io.BytesIO(jpeg))).shape[2] == 3


def test_nothing_is_drawn_where_nobody_shows_it_and_what_cannot_be_drawn_costs_a_warning(
    result: kaggle_ray.RunResult, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Event] = []
    with drawing_samples(result.plan, told.append, are_shown=False) as pictures:
        pictures.emit(committed(result, 0))
    unknown = TrialEnded(trial=Trial(experiment_id="f" * 12, fold=0), status="committed", score=1.0, duration_s=1.0)
    with drawing_samples(result.plan, told.append, are_shown=True) as pictures:
        pictures.emit(unknown)
    assert told == [committed(result, 0), unknown]
    assert f"samples of trial {unknown.trial} are not drawn" in caplog.text


def test_visdom_shows_the_pictures_that_are_there() -> None:
    history = RunHistory(samples=SamplesDrawn(trial=None, oof="there", test="gone"))
    (window,) = sample_windows(history, {"there": sample_pictures()["artifacts/samples/e-oof.jpg"]}.get)
    assert (window.name, window.content.caption) == ("oof-samples", "ensemble")  # type: ignore[union-attr]
