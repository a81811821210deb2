"""A competition's file that brings its own decision, searcher, reporter and way to ensemble: in one whole run.

Whatever looks at the run afterwards is a process of its own, which knows none of the names before it loads the file:
here they are forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kaggle_ray
from kaggle_ray.errors import ConfigError
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.registry import registered_names, registrations_undone
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.command_line import said
from kaggle_ray.testing.submitted import submitted_values
from kaggle_ray.testing.toy import NUM_TEST, TINY

FILE = '''
import dataclasses
import pathlib

import numpy as np

import kaggle_ray
from kaggle_ray.testing.toy import COMPETITION as TOY


@kaggle_ray.register_decision("rounded_up", whole_numbers=True)
class RoundedUp:
    """Answers 1 above a cut that the rows teach."""

    def fit(self, metric, target, values):
        cuts = [0.3, 0.4, 0.5, 0.6]
        return {"cut": cuts[int(np.argmax([metric.score(target, self.apply(values, {"cut": cut})) for cut in cuts]))]}

    def default(self, num_columns):
        return {"cut": 0.5}

    def apply(self, values, parameters):
        return (values > parameters["cut"]).astype(np.float32)


@kaggle_ray.register_searcher("halving")
def halving(of):
    """Half the best learning rate so far."""
    best = min(of.told, key=lambda told: told.loss, default=None)
    rate = 2e-2 if best is None else best.draw["lr"] / 2
    for number in range(100):
        yield {"lr": rate / 2**number}


@kaggle_ray.register_combiner("last_two")
class LastTwo:
    """Half of each of the two members whose ids come last."""

    def fit(self, members, target, fold_of, metric):
        chosen = sorted(members)[-2:]
        return kaggle_ray.WeightedMean(weights={each: 1 / len(chosen) for each in chosen})

    def from_json(self, value):
        return kaggle_ray.WeightedMean.from_json(value)


class Chat:
    """Writes what kinds of events it is told into a file."""

    name = "chat"

    def recall(self, envelopes):
        pass

    def send(self, envelopes):
        with (pathlib.Path(__file__).parent / "chat.txt").open("a") as file:
            file.writelines(f"{type(each.event).__name__}\\n" for each in envelopes)

    def close(self):
        pass


@kaggle_ray.register_reporter("chat")
def make_sink(settings, read_artifact):
    return Chat()


METRIC = dataclasses.replace(kaggle_ray.metric_by_name("f1"), decision="rounded_up")
COMPETITION = dataclasses.replace(TOY, name="own_parts", heads=(dataclasses.replace(TOY.heads[0], metric=METRIC),))
'''


def options_of(folder: Path, data: Path) -> dict[str, Any]:
    return {
        "space": kaggle_ray.SearchSpace(base={**TINY, "epochs": 2}, search={"lr": kaggle_ray.log_uniform(1e-4, 1e-1)}),
        "data": data, "runs": folder / "runs", "run_id": "one", "launcher": "local", "device": "cpu", "threads": 1,
        "search": "halving", "num_experiments": 3, "round_size": 2, "ensemble": "last_two", "reporters": ["chat"],
    }  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("own_parts") / "own_parts.py"
    file.write_text(FILE)
    return file


@pytest.fixture(scope="module")
def finished(file: Path, toy_data: Path) -> RunResult:
    with registrations_undone():
        return kaggle_ray.run(file, **options_of(file.parent, toy_data))


@pytest.fixture(autouse=True)
def _nothing_is_known(finished: RunResult) -> Iterator[None]:
    with registrations_undone():
        assert "last_two" not in registered_names("ensemble")
        yield


def test_each_of_them_has_its_say_in_the_run(finished: RunResult, file: Path) -> None:
    rates = [each.hyperparameters["lr"] for each in open_run(finished.run_dir).experiments()]
    assert rates[:2] == [2e-2, 1e-2]
    assert rates[2] in (1e-2, 5e-3, 2.5e-3)
    assert finished.ensemble is not None
    assert sorted(finished.ensemble.weights) == sorted(finished.pool.oof)[-2:]
    assert set(np.unique(submitted_values(finished.submission))) <= {0.0, 1.0}
    told = (file.parent / "chat.txt").read_text().split()
    assert {"RunStarted", "EpochEnded", "TrialEnded", "EnsembleChosen", "RunEnded"} <= set(told)


def test_new_rows_are_predicted_by_them(finished: RunResult, toy_data: Path, tmp_path: Path) -> None:
    again = kaggle_ray.predict(finished.run_dir, data=toy_data, out=tmp_path / "again.csv")
    assert again.read_bytes() == finished.submission.read_bytes()


def test_images_of_ones_own_are_predicted_by_the_own_ensemble(finished: RunResult) -> None:
    assert finished.ensemble is not None
    expected = finished.ensemble.apply(finished.pool.test)[:]
    found = kaggle_ray.predict_proba(finished.run_dir, finished.plan.samples.test_paths)["target"]
    assert found.shape == (NUM_TEST, 2)
    assert np.allclose(found[:, 1], expected[:, 0], atol=1e-5)


def test_the_same_command_resumes(finished: RunResult, file: Path, toy_data: Path) -> None:
    before = finished.submission.read_bytes()
    again = kaggle_ray.run(file, **options_of(file.parent, toy_data))
    assert again.num_epochs_trained == 0
    assert again.submission.read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ["board", "RUN"],
        ["status", "RUN"],
        ["report", "RUN"],
        ["evaluate", "RUN", "--data", "DATA"],
        ["deliver", "RUN", "--reporter", "chat", "--again"],
        ["ensemble", "RUN", "--data", "DATA", "--ensemble", "last_two", "--out", "OUT"],
        ["names", "searchers"],
    ],
    ids=lambda words: words[0],
)
def test_commands_that_look_at_the_run_know_what_they_need(
    words: list[str], finished: RunResult, toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"RUN": str(finished.run_dir), "DATA": str(toy_data), "OUT": str(tmp_path / "out")}
    out, err, code = said(capsys, *(places.get(word, word) for word in words))
    assert code == 0, out + err
    assert "Traceback" not in err
    if words[0] == "deliver":
        assert out.startswith("chat: ")
    if words[0] == "status":
        assert "complete" in out


def test_what_is_shared_by_others_is_told_what_it_needs(
    finished: RunResult, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_RAY_CACHE", str(tmp_path / "cache"))  # of somebody who has not run it
    _, err, code = said(capsys, "evaluate", str(finished.run_dir))
    assert code == 1
    assert "the code of its competition is not run on the word of a run's record" in err
    past = kaggle_ray.open_run(finished.run_dir)
    with pytest.raises(ConfigError, match="decision 'rounded_up': no rule of this name is known here"):
        past.evaluation()
    with pytest.raises(ConfigError, match="ensemble 'last_two': no combiner of this name is known here"):
        past.predictions()
    assert said(capsys, "evaluate", str(finished.run_dir), "--competition", str(file))[2] == 0


def test_a_name_that_the_file_does_not_register_is_told(file: Path, toy_data: Path) -> None:
    for option, kind in (("search", "searcher"), ("ensemble", "ensemble")):
        with pytest.raises(ConfigError, match=f"unknown {kind}|there is no"):
            kaggle_ray.run(file, **{**options_of(file.parent, toy_data), "run_id": "two", option: "nobody"})


def test_what_is_kept_of_the_decision_names_it(finished: RunResult) -> None:
    saved = json.loads((finished.run_dir / "ensembles/last_two/ensemble.json").read_text())
    assert saved["decision"]["kind"] == "rounded_up"
    assert saved["decision"]["cut"] in (0.3, 0.4, 0.5, 0.6)
