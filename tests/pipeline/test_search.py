"""A run that searches: proposed in rounds, saved before it is trained, resumed, refused by name."""

from __future__ import annotations

import json
import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import kaggle_ray
from kaggle_ray import SearchSpace, choice, log_uniform
from kaggle_ray.errors import ConfigError, RunMismatchError
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import RunPlan, make_plan
from kaggle_ray.pipeline.plan_table import plan_table
from kaggle_ray.reporters.events import RoundBegan, RunInterrupted, RunStarted
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import RunStore
from kaggle_ray.testing.recorder import Recorder
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.train.estimate import Estimate
from kaggle_ray.typed_json import from_json

SPACE = SearchSpace(
    base={**TINY, "epochs": 1}, search={"lr": log_uniform(1e-4, 1e-1), "augment": choice(["none", "light"])}
)
OF_SEARCH: dict[str, Any] = {"space": SPACE, "search": "tpe", "num_experiments": 5, "round_size": 2}


@pytest.fixture
def options(tmp_path: Path, toy_data: Path) -> dict[str, Any]:
    fixed = {"launcher": "local", "device": "cpu", "threads": 1, "dtype": "float32", "ignore_near_duplicates": True}
    return {"data": toy_data, "runs": tmp_path / "runs", **fixed}


def run(options: dict[str, Any], recorder: Recorder | None = None, **named: Any) -> kaggle_ray.RunResult:
    return kaggle_ray.run(TOY_FILE, reporters=[recorder or Recorder()], **{**options, **OF_SEARCH, **named})


def plan_of(options: dict[str, Any], **named: Any) -> RunPlan:
    return make_plan(RunOptions(competition=TOY_FILE, **{**options, **OF_SEARCH, **named}))


def proposed_in(store: RunStore) -> list[list[str]]:
    return [from_json(list[str], decided["proposed"], where="a round") for decided in store.rounds()]


class StopsAfter(Recorder):
    """A user who stops the run once so many trials have ended."""

    def __init__(self, num_trials: int) -> None:
        super().__init__()
        self.num_trials = num_trials

    def emit(self, envelope: Any) -> None:
        super().emit(envelope)
        if self.kinds.count("trial_ended") == self.num_trials:
            raise KeyboardInterrupt


def test_a_search_is_run_in_rounds_and_submitted_and_a_rerun_trains_nothing(options: dict[str, Any]) -> None:
    recorder = Recorder()
    result = run(options, recorder, refit=True, num_experiments=3)
    store = open_run(str(result.run_dir))
    assert [len(proposed) for proposed in proposed_in(store)] == [2, 1, 0]
    ids = [each.experiment_id for each in result.tried]
    assert ids == [each for proposed in proposed_in(store) for each in proposed]
    assert len(set(ids)) == 3
    assert {each.name for each in result.tried} == set(result.experiments["experiment"])
    assert all(each.name.startswith("small_resnet augment=") and " lr=" in each.name for each in result.tried)
    assert recorder.all(RunStarted)[0].num_experiments == 3
    assert [event.number for event in recorder.all(RoundBegan)] == [1]
    told = {**recorder.all(RunStarted)[0].hyperparameters, **recorder.all(RoundBegan)[0].hyperparameters}
    assert told == {each.experiment_id: each.hyperparameters for each in result.tried}
    assert result.refit is not None
    again = run(options, refit=True, num_experiments=3)
    assert again.num_epochs_trained == 0
    assert again.submission.read_bytes() == result.submission.read_bytes()
    assert kaggle_ray.predict(
        str(result.run_dir), data=options["data"], competition=TOY_FILE, out=options["runs"] / "new.csv"
    )


@pytest.mark.parametrize(
    "num_trials", [pytest.param(1, marks=pytest.mark.slow), 4, pytest.param(7, marks=pytest.mark.slow)]
)
def test_a_search_that_is_stopped_and_resumed_proposes_and_submits_the_same(
    num_trials: int, options: dict[str, Any], tmp_path: Path
) -> None:
    whole = run(options, runs=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(options, StopsAfter(num_trials))
    by_name = {key: None for key in OF_SEARCH}
    resumed = run(options, run_id=whole.plan.run_id, **by_name)  # the run itself knows what it searches
    assert resumed.tried == whole.tried
    assert resumed.submission.read_bytes() == whole.submission.read_bytes()


def test_a_search_that_runs_out_of_time_submits_what_it_has_and_goes_on_later(options: dict[str, Any]) -> None:
    recorder = Recorder()
    nothing = run(options, recorder, budget="0s")
    assert nothing.ensemble is None
    assert nothing.tried
    assert recorder.all(RunInterrupted)[0].num_trials == 10
    assert len(run(options).tried) == 5


def test_an_experiment_is_saved_before_the_round_that_proposes_it(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: RunStore, *_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunStore, "save_round", killed)
        with pytest.raises(KeyboardInterrupt):
            run(options)
    (store,) = [open_run(path.parent) for path in options["runs"].glob("*/*/run.json")]
    assert len(list(Path(store.location).glob("trials/*/experiment.json"))) == 2
    assert store.experiments() == (), "no round says that they are the run's"
    assert len(run(options).tried) == 5


def test_a_run_s_name_is_made_of_all_that_decides_what_is_proposed(options: dict[str, Any], tmp_path: Path) -> None:
    first = plan_of(options).run_id
    assert plan_of(options).run_id == first
    others: list[dict[str, Any]] = [
        {"search": "random"}, {"num_experiments": 6}, {"round_size": 3}, {"overrides": {"seed": 1}},
        {"space": SearchSpace(base={**TINY, "epochs": 1}, search={**SPACE.search, "lr": log_uniform(1e-4, 1e-2)})},
    ]  # fmt: skip
    shutil.copytree(options["data"], tmp_path / "other")
    (tmp_path / "other" / "train" / "a001.png").write_bytes((tmp_path / "other" / "train" / "a003.png").read_bytes())
    others.append({"data": tmp_path / "other"})
    assert len({first, *(plan_of(options, **other).run_id for other in others)}) == 1 + len(others)


def test_a_resume_with_another_search_is_refused_and_what_differs_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(options, StopsAfter(1), run_id="x")
    with pytest.raises(RunMismatchError, match=r"search sampler: expected 'tpe', got 'random'"):
        run(options, run_id="x", search="random")
    narrower = SearchSpace(base={**TINY, "epochs": 1}, search={**SPACE.search, "lr": log_uniform(1e-4, 1e-2)})
    with pytest.raises(RunMismatchError, match=r"search distributions.lr.high: expected 0.1, got 0.01"):
        run(options, run_id="x", space=narrower)


def test_a_run_json_of_before_there_was_a_search_is_read_as_one_without(options: dict[str, Any]) -> None:
    of_grid = {key: None for key in OF_SEARCH}
    first = run(options, run_id="x", **of_grid)
    file = first.run_dir / "run.json"
    values = json.loads(file.read_text())
    assert values.pop("search") is None
    file.write_text(json.dumps(values))
    assert run(options, run_id="x", **of_grid).num_epochs_trained == 0


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"space": SearchSpace(base=TINY)}, "--search tpe: the space has nothing to draw values from"),
        ({"space": None, "search": None}, "--num-experiments 5: the space has nothing to draw values from"),
        ({"seeds": 2}, "--seeds 2: the space is searched"),
        ({"source": kaggle_ray.ListSource}, "a source of your own or a space that is searched, got both"),
        ({"search": "tpee"}, "unknown searcher 'tpee'. Did you mean 'tpe'?"),
        ({"overrides": {"lr": 1.0}}, "--set lr: the search space varies it"),
        ({"num_experiments": 0}, "--num-experiments 0: expected at least 1"),
    ],
)
def test_options_that_contradict_the_space_are_refused(
    named: dict[str, Any], message: str, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as error:
        plan_of(options, **named)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"model": choice(["small_resnet", "resnet99"])}, "resnet99"),
        ({"augment": choice(["light", "hevy"])}, "Did you mean 'heavy'?"),
    ],
)
def test_what_no_trial_could_train_is_refused_before_anything_is_trained(
    search: dict[str, Any], message: str, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as error:
        run(options, space=SearchSpace(base={"image_size": 8, "epochs": 1}, search=search))
    assert message in str(error.value)
    assert not list(options["runs"].glob("*/*/trials"))


def test_a_fast_dev_run_tries_the_ends_of_what_is_searched(options: dict[str, Any]) -> None:
    result = run(options, fast_dev=True)
    assert sorted(f"{e.hyperparameters['lr']} {e.hyperparameters['augment']}" for e in result.tried) == [
        "0.0001 light", "0.0001 none", "0.1 none"
    ]  # fmt: skip


def test_the_plan_tells_what_is_drawn_and_how_many_trials_that_makes(options: dict[str, Any]) -> None:
    plan = plan_of(options)
    console = Console(width=200, record=True, file=StringIO())
    shared = Estimate(trial_s=2.0, features_s={"the same features": 60.0})
    console.print(plan_table(plan, {each.experiment_id: shared for each in plan.examples}))
    text = " ".join(console.export_text().split())
    assert "5 experiments x 2 folds" in text
    assert (
        "tpe draws, 2 experiments a round: lr from log_uniform(0.0001, 0.1), augment from choice(['none', 'light'])"
        in text
    )
    assert "10 trials" in text
    assert "of which frozen backbones take 1:00 of one slot, unless the cache has their features" in text


def test_what_a_search_proposes_may_race_and_a_resume_ends_the_same(options: dict[str, Any], tmp_path: Path) -> None:
    whole = run(options, runs=tmp_path / "whole", policy="race")
    assert len(whole.tried) == 5
    with pytest.raises(KeyboardInterrupt):
        run(options, StopsAfter(4), policy="race")
    resumed = run(options, policy="race")
    assert resumed.tried == whole.tried
    assert resumed.submission.read_bytes() == whole.submission.read_bytes()
    rounds = [open_run(str(each.run_dir)).rounds() for each in (whole, resumed)]
    assert rounds[0] == rounds[1]
