from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.tune.search import Searcher

from kaggle_ray.errors import ProcessDiedError
from kaggle_ray.launch.ray_bridge import NODE, RESULT, CallbackRelay, SourceBridge
from kaggle_ray.progress import Progress
from kaggle_ray.reporters.events import Event, TrialEnded, TrialProgressed, TrialStarted, TrialWarned
from kaggle_ray.schedule.source import ListSource
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.recorder import of_type
from kaggle_ray.train.failures import NUM_DEATHS_IN_A_ROW, NUM_LOST_NODES_IN_A_ROW
from kaggle_ray.types import EpochMetrics, Experiment, Trial, TrialResult

EXPERIMENT = Experiment(experiment_id="a" * 12, name="a", hyperparameters={})
FIRST, SECOND = (Trial(experiment_id=EXPERIMENT.experiment_id, fold=fold) for fold in range(2))
LIVING, LOST = "living", "lost"


class Tune:
    """Does what Tune does: asks for trials, begins them, and tells how they end."""

    def __init__(self, folder: Path) -> None:
        self.source = ListSource([EXPERIMENT], 2, lambda trial: None)
        self.events: list[Event] = []
        self.bridge = SourceBridge(
            self.source, open_run(folder), self.events.append, living_nodes=lambda: {LIVING, "another"}
        )
        self.words: list[tuple[Trial, Progress]] = []
        self.relay = CallbackRelay(self.bridge, lambda: self.words)
        self.num_asked = 0
        self.error_file = folder / "error.txt"

    def begin(self) -> str | None:
        """Return the next trial's id, None where there is none yet."""
        self.num_asked += 1
        trial_id = str(self.num_asked)
        config = self.bridge.suggest(trial_id)
        if not isinstance(config, dict):
            return None
        self.relay.on_trial_start(0, [], SimpleNamespace(trial_id=trial_id))
        return trial_id

    def die(self, trial_id: str | None, *, node: str | None, error: str = "died\nits last line") -> None:
        assert trial_id is not None
        self.bridge.on_trial_complete(trial_id, error=True)
        last_result = {} if node is None else {NODE: node}
        with self.error_file.open("a") as file:
            file.write(f"Failure # 1 (occurred at 2026-01-01)\n{error}\n")
        trial = SimpleNamespace(trial_id=trial_id, error_file=str(self.error_file), last_result=last_result)
        self.relay.on_trial_error(0, [], trial)

    def get_on(self, trial_id: str | None, epoch: int) -> None:
        assert trial_id is not None
        metrics = EpochMetrics(epoch=epoch, train_loss=0.5, valid_loss=0.5, score=0.5, lr=0.1, duration_s=1.0)
        assert self.bridge.goes_on(trial_id, metrics)

    def end(self, trial_id: str | None, trial: Trial) -> None:
        assert trial_id is not None
        result = TrialResult(trial=trial, status="committed", attempt_id="x")
        self.bridge.on_trial_complete(trial_id, {RESULT: result, NODE: LIVING})

    @property
    def is_finished(self) -> bool:
        return bool(self.bridge.suggest("last") == Searcher.FINISHED)

    @property
    def statuses(self) -> list[tuple[Trial, str]]:
        return [(event.trial, event.status) for event in of_type(self.events, TrialEnded)]


def test_what_a_trial_says_between_two_messages_is_told_while_it_runs(tune: Tune) -> None:
    first = tune.begin()
    tune.words = [(FIRST, Progress(stage="computing features", num_done=3, num_total=9))]
    tune.relay.on_step_begin(0, [])
    assert [(event.trial, event.progress) for event in of_type(tune.events, TrialProgressed)] == tune.words
    tune.end(first, FIRST)
    tune.relay.on_step_begin(1, [])
    assert len(of_type(tune.events, TrialProgressed)) == 1


@pytest.fixture
def tune(tmp_path: Path) -> Tune:
    return Tune(tmp_path)


def test_a_trial_whose_process_dies_is_begun_again_as_long_as_it_gets_on(tune: Tune) -> None:
    for epoch in range(1, 10):
        dying = tune.begin()
        for again in range(1, epoch + 1):
            tune.get_on(dying, again)
        tune.die(dying, node=LIVING)
    tune.end(tune.begin(), FIRST)
    assert tune.statuses == [(FIRST, "committed")]
    warnings = [event.warning for event in of_type(tune.events, TrialWarned)]
    assert [warning.epoch for warning in warnings] == list(range(2, 11)), "the epoch that it was in"
    assert {(warning.topic, warning.text) for warning in warnings} == {
        ("process_died", "its process died, and it begins again from its last checkpoint: its last line")
    }


def test_a_trial_that_dies_thrice_at_the_same_place_has_failed_for_now_of_what_it_died_of(
    tune: Tune, tmp_path: Path
) -> None:
    for _ in range(NUM_DEATHS_IN_A_ROW):
        assert tune.statuses == []
        dying = tune.begin()
        tune.get_on(dying, 1)
        tune.die(dying, node=LIVING)
    assert tune.statuses == [(FIRST, "failed")]
    assert tune.source.results[0].error == (
        "its process died 3 times in a row, before epoch 2 ended. The last one: its last line"
    )
    assert open_run(tmp_path).result(FIRST) is None, "the next run, with fewer slots maybe, tries it again"
    assert [event.trial for event in of_type(tune.events, TrialStarted)] == [FIRST] * 3
    tune.end(tune.begin(), SECOND)
    assert tune.is_finished


def test_a_trial_that_loses_its_nodes_is_begun_again_and_may_still_die_by_itself(tune: Tune) -> None:
    for node in (LOST, LIVING, LOST, LIVING, LOST):
        tune.die(tune.begin(), node=node)
        assert tune.statuses == []
    tune.end(tune.begin(), FIRST)
    assert tune.statuses == [(FIRST, "committed")]


def test_a_process_that_had_told_nothing_yet_died_with_its_node_where_ray_says_so(tune: Tune) -> None:
    for _ in range(3):
        tune.die(
            tune.begin(), node=None, error=f"The actor died because its node has died. Node Id: {LOST}\n\tpreempted"
        )
    assert tune.statuses == []
    for _ in range(NUM_DEATHS_IN_A_ROW):
        tune.die(tune.begin(), node=None, error="its constructor failed")
    assert tune.statuses == [(FIRST, "failed")]


def test_a_trial_that_takes_all_its_nodes_along_is_given_up_for_now(tune: Tune, tmp_path: Path) -> None:
    for _ in range(NUM_LOST_NODES_IN_A_ROW):
        assert tune.statuses == []
        tune.die(tune.begin(), node=LOST)
    assert tune.statuses == [(FIRST, "failed")]
    assert open_run(tmp_path).result(FIRST) is None


def test_a_trial_whose_workers_died_one_after_the_other_is_given_up_for_now(tune: Tune, tmp_path: Path) -> None:
    trial_id = tune.begin()
    tune.bridge.on_trial_complete(str(trial_id), {RESULT: ProcessDiedError("its process died"), NODE: LIVING})
    assert tune.statuses == [(FIRST, "failed")]
    assert open_run(tmp_path).result(FIRST) is None


def test_the_end_is_not_told_while_a_trial_runs_that_may_have_to_be_begun_again(tune: Tune) -> None:
    first, second = tune.begin(), tune.begin()
    tune.end(first, FIRST)
    assert tune.begin() is None
    assert not tune.is_finished
    tune.die(second, node=LOST)
    tune.end(tune.begin(), SECOND)
    assert tune.is_finished
