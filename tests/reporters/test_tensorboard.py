from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import EpochEnded, RunInterrupted, TrialEnded
from kaggle_ray.reporters.tensorboard import TensorBoardSink, make_sink
from kaggle_ray.testing.reporter_contract import HYPERPARAMETERS, KNOWN, every_kind_of_event, sample_pictures
from kaggle_ray.testing.sink_contract import check_sink

STORY = every_kind_of_event()
EPOCHS = [each for each in STORY if isinstance(each.event, EpochEnded)]
TRIAL = Path("toy/run-1/resnet-a-aaaaaa/fold0")


def sink_in(folder: Path) -> TensorBoardSink:
    return make_sink({"folder": str(folder)}, sample_pictures().get)


def read(folder: Path) -> Any:
    """Return what TensorBoard itself reads."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def curve(folder: Path, tag: str) -> list[tuple[int, float, float]]:
    return [(point.step, round(point.value, 3), point.wall_time) for point in read(folder).Scalars(tag)]


def again(envelope: Envelope, *, later: float) -> Envelope:
    return replace(envelope, time=envelope.time + later)


def test_it_takes_what_a_sink_has_to_take(tmp_path: Path) -> None:
    check_sink(make_sink, {"folder": str(tmp_path)})


def test_a_trial_is_a_folder_of_curves_with_its_hyperparameters(tmp_path: Path) -> None:
    sink = sink_in(tmp_path)
    sink.send(STORY)
    sink.close()
    times = [each.time for each in EPOCHS]
    assert curve(tmp_path / TRIAL, "loss/train") == [(1, 0.5, times[0]), (2, 0.25, times[1])]
    assert [value for _, value, _ in curve(tmp_path / TRIAL, "score/log_loss")] == [0.6, 0.3]
    events = read(tmp_path / TRIAL)
    assert set(events.Tags()["scalars"]) == {
        "loss/train",
        "loss/valid",
        "score/log_loss",
        "score/log_loss__train",
        "score/auc",
        "score/auc__train",
        "score/of__a__head.f1",
        "lr",
        "gradient_norm",
        "speed/samples_per_s",
        "speed/epoch_s",
        "memory/process_gib",
        "memory/gpu_peak_gib",
        "final/score",
    }
    assert curve(tmp_path / TRIAL, "final/score")[0][:2] == (2, 0.25)
    start = events.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    told = metadata.parse_session_start_info_plugin_data(start).hparams
    assert told["lr"].number_value == HYPERPARAMETERS["lr"]
    assert told["model_args"].string_value == '{"width": 8, "stages": [2, 2]}'
    assert told["pretrained"].bool_value is False
    assert told["fold"].string_value == "fold0"
    assert curve(tmp_path / "toy/run-1/ensemble", "score/log_loss__ensemble")[0][:2] == (0, 0.25)


def pictures(folder: Path) -> list[tuple[str, int, int, bytes]]:
    events = read(folder)
    drawn = [(tag, point) for tag in events.Tags()["images"] for point in events.Images(tag)]
    return [(tag, point.step, point.width, point.encoded_image_string) for tag, point in drawn]


def test_samples_are_pictures_after_the_last_epoch_and_none_is_there_twice(tmp_path: Path) -> None:
    for _ in range(2):  # as by a driver that was killed before it had noted what it delivered, and the next one
        sink = sink_in(tmp_path)
        sink.send(STORY)
        sink.close()
    jpegs = sample_pictures()
    assert pictures(tmp_path / TRIAL) == [
        ("samples/oof-samples", 3, 20, jpegs["artifacts/samples/a-oof.jpg"]),
        ("samples/test-samples", 3, 21, jpegs["artifacts/samples/a-test.jpg"]),
    ]
    assert [step for step, _, _ in curve(tmp_path / TRIAL, "lr")] == [1, 2]
    of_ensemble = [jpeg for *_, jpeg in pictures(tmp_path / "toy/run-1/ensemble")]
    assert of_ensemble == [jpegs["artifacts/samples/e-oof.jpg"], jpegs["artifacts/samples/e-test.jpg"]]


def test_what_comes_again_is_drawn_once_and_an_epoch_that_is_trained_again_takes_the_place_of_the_first(
    tmp_path: Path,
) -> None:
    sink = sink_in(tmp_path)
    sink.send(STORY)
    sink.send(STORY)
    assert len(curve(tmp_path / TRIAL, "lr")) == 2
    following = sink_in(tmp_path)  # of the driver after a crash, from a checkpoint of the first epoch
    following.recall(STORY)
    second = again(EPOCHS[1], later=500.0)
    following.send([EPOCHS[0], second])
    assert [time for _, _, time in curve(tmp_path / TRIAL, "lr")] == [EPOCHS[0].time, second.time]


def test_a_sink_that_is_told_all_again_draws_it_once(tmp_path: Path) -> None:
    for _ in range(2):
        sink = sink_in(tmp_path)
        sink.recall([])
        sink.send(STORY)
        sink.close()
    assert len(curve(tmp_path / TRIAL, "loss/valid")) == 2


def test_after_a_disk_was_full_what_comes_again_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorboardX.event_file_writer import EventsWriter

    def full(_: object) -> None:
        raise OSError("no space left on device")

    sink = sink_in(tmp_path)
    until = STORY.index(next(each for each in STORY if isinstance(each.event, TrialEnded)))
    with monkeypatch.context() as patch:
        patch.setattr(EventsWriter, "flush", full)
        with pytest.raises(OSError, match="no space"):
            sink.send(STORY[:until])
    sink.send(STORY[:until])
    sink.send(STORY[until:])
    assert [step for step, _, _ in curve(tmp_path / TRIAL, "lr")] == [1, 2]


def test_names_of_a_run_lead_to_no_other_folder(tmp_path: Path) -> None:
    sink = sink_in(tmp_path / "inner")
    sink.send([replace(each, competition="../..", run_id="/etc") for each in STORY])
    assert list(tmp_path.iterdir()) == [tmp_path / "inner"]
    assert [path.name for path in (tmp_path / "inner").iterdir()] == ["-"]


def test_a_run_that_is_interrupted_leaves_what_was_told_on_the_disk(tmp_path: Path) -> None:
    sink = sink_in(tmp_path)
    until = STORY.index(next(each for each in STORY if isinstance(each.event, RunInterrupted)))
    sink.send(STORY[:until])  # and the process is killed
    assert len(curve(tmp_path / TRIAL, "score/log_loss")) == 2
    assert KNOWN.rows == TRIAL.name
