"""A competition's file that brings its own loss, metric, decision, searcher, reporter and way to ensemble: a whole run.

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
from kaggle_ray.testing.own_parts import FILE
from kaggle_ray.testing.submitted import submitted_values
from kaggle_ray.testing.toy import NUM_TEST, TINY


def options_of(folder: Path, data: Path) -> dict[str, Any]:
    return {
        "space": kaggle_ray.SearchSpace(
            base={**TINY, "epochs": 2, "loss": "squared"}, search={"lr": kaggle_ray.log_uniform(1e-4, 1e-1)}
        ),
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
    assert finished.plan.competition.metric.name == "hits"
    assert {each.hyperparameters["loss"] for each in finished.tried} == {"squared"}
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


def test_what_is_registered_may_be_given_itself_and_all_else_says_how_to_register_it(
    finished: RunResult, file: Path, toy_data: Path
) -> None:
    parts: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), parts)  # as a script or a cell does that calls run
    options = options_of(file.parent, toy_data)
    space = kaggle_ray.SearchSpace(
        base={**options["space"].base, "loss": parts["squared"]}, search=options["space"].search
    )
    given = {**options, "space": space, "search": parts["halving"], "ensemble": parts["LastTwo"]}
    again = kaggle_ray.run(file, **given)
    assert again.run_dir == finished.run_dir
    assert again.num_epochs_trained == 0
    with pytest.raises(ConfigError, match="'loss': expected a name, a function or a class, got <function hits"):
        kaggle_ray.Hyperparameters(loss=parts["hits"])
    with pytest.raises(ConfigError, match=r"--ensemble: expected a name, .* kaggle_ray\.register_combiner"):
        kaggle_ray.run(file, **{**given, "ensemble": object()})


def test_a_name_that_the_file_does_not_register_is_told(file: Path, toy_data: Path) -> None:
    for option, kind in (("search", "searcher"), ("ensemble", "ensemble")):
        with pytest.raises(ConfigError, match=f"unknown {kind}|there is no"):
            kaggle_ray.run(file, **{**options_of(file.parent, toy_data), "run_id": "two", option: "nobody"})


def test_what_is_kept_of_the_decision_names_it(finished: RunResult) -> None:
    saved = json.loads((finished.run_dir / "ensembles/last_two/ensemble.json").read_text())
    assert saved["decision"]["kind"] == "rounded_up"
    assert saved["decision"]["cut"] in (0.3, 0.4, 0.5, 0.6)
