"""The sink of Weights & Biases, in its offline mode: what is in the files that it would upload."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kaggle_ray.errors import ConfigError, ServiceError
from kaggle_ray.reporters.events import EpochEnded, TrialEnded
from kaggle_ray.reporters.wandb import WandbSink, make_sink
from kaggle_ray.testing.reporter_contract import every_kind_of_event, sample_pictures
from kaggle_ray.testing.sink_contract import check_sink

STORY = every_kind_of_event()
EPOCHS = [each for each in STORY if isinstance(each.event, EpochEnded)]
PARTS = ("oof", "test")
UNTIL_END = STORY[: STORY.index(next(each for each in STORY if isinstance(each.event, TrialEnded)))]


def sink_in(folder: Path) -> WandbSink:
    return make_sink({"mode": "offline", "folder": str(folder)}, sample_pictures().get)


def records(path: Path) -> Iterator[Any]:
    """Yield what a file of W&B holds: chunks in blocks as LevelDB's log has them, which together are records."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = path.read_bytes(), 7, b""  # after the file's own header
    while at + 7 <= len(data):
        left = 2**15 - at % 2**15
        if left < 7:
            at += left
            continue
        _, num_bytes, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + num_bytes]
        at += 7 + num_bytes
        if kind in (1, 4):  # the only, or the last chunk of a record
            yield Record.FromString(whole)
            whole = b""


def told(folder: Path) -> dict[str, dict[str, Any]]:
    """Return name of a run -> what its file holds of it."""
    import wandb

    wandb.teardown()  # its own process writes the last of a file after a run has finished
    found: dict[str, dict[str, Any]] = {}
    for path in folder.glob("wandb/offline-run-*/*.wandb"):
        run: dict[str, Any] = {"epochs": [], "summary": {}, "pictures": {}}
        for record in records(path):
            if record.WhichOneof("record_type") == "run":
                config = {each.key: json.loads(each.value_json) for each in record.run.config.update}
                run |= {"id": record.run.run_id, "group": record.run.run_group, "config": config}
                found[record.run.display_name] = run
            elif record.WhichOneof("record_type") == "history":
                values = {"/".join(each.nested_key): json.loads(each.value_json) for each in record.history.item}
                if "loss/train" in values:
                    run["epochs"].append((values["_step"], values["loss/train"]))
                pictures = {name.removesuffix("/path"): at for name, at in values.items() if name.endswith("/path")}
                run["pictures"] |= {name: (path.parent / "files" / at).read_bytes() for name, at in pictures.items()}
            elif record.WhichOneof("record_type") == "summary":
                run["summary"] |= {each.key: json.loads(each.value_json) for each in record.summary.update}
    return found


def test_a_trial_is_a_run_in_the_group_of_its_experiment_with_its_epochs_and_hyperparameters(tmp_path: Path) -> None:
    sink = sink_in(tmp_path)
    sink.send(STORY)
    sink.close()
    runs = told(tmp_path)
    of_samples = {"resnet [a] fold0 samples": "a", "ensemble samples": "e"}
    assert set(runs) == {"resnet [a] fold0", "resnet [a] fold1", "ensemble", *of_samples}
    for name, key in of_samples.items():
        jpegs = {f"samples/{of}-samples": sample_pictures()[f"artifacts/samples/{key}-{of}.jpg"] for of in PARTS}
        assert runs[name]["pictures"] == jpegs
    assert runs["resnet [a] fold0 samples"]["group"] == "resnet [a]"
    trial = runs["resnet [a] fold0"]
    assert trial["epochs"] == [(1, 0.5), (2, 0.25)]
    assert trial["group"] == "resnet [a]"
    assert trial["config"]["lr"] == 1e-3
    assert (trial["config"]["competition"], trial["config"]["run"], trial["config"]["fold"]) == (
        "toy",
        "run-1",
        "fold0",
    )
    assert trial["summary"]["final/score"] == 0.25
    assert runs["ensemble"]["summary"]["score/log_loss, ensemble"] == 0.25


def test_a_process_that_goes_on_with_a_trial_tells_all_of_its_epochs_once_in_one_file(tmp_path: Path) -> None:
    first = sink_in(tmp_path / "first")
    first.send(UNTIL_END)
    first.close()
    following = sink_in(tmp_path / "next")
    following.recall(UNTIL_END)
    second = replace(EPOCHS[1], time=5000.0)  # trained again
    following.send([second, *STORY[len(UNTIL_END) :]])
    assert told(tmp_path / "next")["resnet [a] fold0"]["epochs"] == [(1, 0.5), (2, 0.25)]


def test_an_unknown_mode_is_refused_and_without_a_key_it_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"there is no 'offlin'. Did you mean 'offline'"):
        make_sink({"mode": "offlin"}, lambda key: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(ServiceError, match="Set KAGGLE_RAY_WANDB_API_KEY"):
        make_sink({"folder": str(tmp_path)}, lambda key: None).send(STORY)


@pytest.mark.slow
def test_it_takes_what_a_sink_has_to_take(tmp_path: Path) -> None:
    check_sink(make_sink, {"mode": "offline", "folder": str(tmp_path)})
