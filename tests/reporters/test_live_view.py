from __future__ import annotations

import dataclasses

from kaggle_ray.reporters.events import (
    EpochEnded,
    TrialStarted,
)
from kaggle_ray.types import EpochMetrics
from tests.reporters.stories import (
    RESNET,
    VIT,
    at,
    decoding,
    epoch,
    finished,
    live,
    started,
    trial,
    whole_trial,
)


def test_live_view_shows_the_trials_under_way() -> None:
    story = [
        started(),
        at(1.0, TrialStarted(trial=trial(VIT, 1))),
        epoch(trial(VIT, 1), 2, time=9.0),
    ]
    *_, last = live(story).splitlines()
    assert last.split() == ["vit-b", "1", "2/6", "0.2500", "0.3750", "0.50000", "0:04"]  # its last epoch took 1 s


def test_live_view_counts_epochs_and_estimates_the_time_left_from_this_session() -> None:
    story = [started(num_folds=1), *whole_trial(trial(RESNET), 4, start=0.0, score=0.5)]
    drawn = live(story)
    assert "4/10" in drawn
    assert "0:04 elapsed  eta 0:06" in drawn


def test_epochs_of_before_count_as_done_but_not_as_pace() -> None:
    story = [
        started(ended=[trial(VIT), trial(VIT, 1), trial(RESNET, 1)]),
        epoch(trial(RESNET), 1, time=15.0, duration_s=10.0),
    ]
    drawn = live(story)
    assert "17/20" in drawn
    assert "eta 0:30" in drawn
    assert "best 0.25000 (vit-b, mean of all folds)" in drawn


def test_trial_resumed_in_the_middle_counts_only_what_it_trained_here() -> None:
    story = [started(num_folds=1, num_slots=1), epoch(trial(VIT), 5, time=10.0, duration_s=9.0)]
    drawn = live(story)
    assert "5/10" in drawn
    assert "eta 0:45" in drawn


def test_what_comes_once_before_the_first_epoch_is_no_part_of_the_time_left() -> None:
    story = [started(num_folds=1), epoch(trial(RESNET), 1, time=600.0), epoch(trial(VIT), 1, time=600.1)]
    assert "eta 0:04" in live(story), "8 epochs of a second, two at once"
    slow_to_begin = [*story, epoch(trial(RESNET), 2, time=606.0)]
    assert "eta 0:21" in live(slow_to_begin), "two epochs have ended within six seconds of the first"


def test_second_attempt_runs_again_and_clears_the_failure() -> None:
    story = [
        started(),
        finished(trial(RESNET), status="failed", error="worker died", time=1.0),
        at(2.0, TrialStarted(trial=trial(RESNET))),
    ]
    drawn = live(story)
    assert "failed" not in drawn
    assert "trials 0/4 done" in drawn


def test_single_fold_is_best_only_until_an_experiment_is_complete() -> None:
    story = [started(), finished(trial(RESNET, 0), score=0.1, time=1.0), finished(trial(VIT, 0), score=0.2, time=2.0)]
    assert "best 0.10000 (resnet-a, fold 0 alone)" in live(story)
    story.append(finished(trial(VIT, 1), score=0.4, time=3.0))
    assert "best 0.30000 (vit-b, mean of all folds)" in live(story)


def test_greater_score_is_best_where_the_metric_says_so() -> None:
    scores = [finished(trial(RESNET), score=0.8, time=1.0), finished(trial(VIT), score=0.9, time=1.0)]
    assert "best 0.90000 (vit-b" in live([started(greater_is_better=True), *scores])


def test_resumed_run_with_nothing_left_is_full() -> None:
    drawn = live([started(ended=[trial(VIT), trial(VIT, 1), trial(RESNET), trial(RESNET, 1)])])
    assert "20/20" in drawn
    assert "trials 4/4 done" in drawn
    assert "eta" not in drawn


def test_run_of_no_trials_is_drawn() -> None:
    assert "trials 0/0 done" in live([started(experiments={}, epochs={})])


def test_unknown_experiment_is_shown_by_its_id() -> None:
    unknown = trial("f" * 12, 7)
    drawn = live([started(), epoch(unknown, 3, time=1.0)])
    assert "ffffffffffff" in drawn
    assert "trials 0/4 done" in drawn
    assert "3/3" in drawn


def test_preparation_is_a_bar_on_a_terminal_before_and_after_the_run_has_its_name() -> None:
    (bar,) = live([decoding(500, time=1.0)]).splitlines()
    assert bar.startswith("decoding images ")
    assert bar.rstrip().endswith("500/2000")
    lines = live([started(), decoding(500, time=1.0, competition="mnist-mini")]).splitlines()
    assert lines[0].startswith("mnist-mini")
    assert lines[-1].rstrip().endswith("500/2000")


def test_preparation_that_is_done_is_shown_no_more() -> None:
    assert "decoding" not in live([decoding(500, time=1.0), decoding(2000, time=2.0)])


def test_live_view_shows_a_trials_throughput_and_memory() -> None:
    metrics = EpochMetrics(
        epoch=1, train_loss=0.25, valid_loss=0.375, score=0.5, lr=0.1, duration_s=1.0,
        samples_per_s=1234.5, resident_bytes=3 * 2**29,
    )  # fmt: skip
    on_cpu, on_gpu = (dataclasses.replace(metrics, gpu_peak_bytes=peak) for peak in (None, 2**31))
    drawn = live([started(), at(1.0, EpochEnded(trial=trial(RESNET), metrics=on_cpu))])
    assert drawn.splitlines()[-1].split()[-4:] == ["1,234", "1.5", "GiB", "0:03"]
    drawn = live([started(), at(1.0, EpochEnded(trial=trial(RESNET), metrics=on_gpu))])
    assert drawn.splitlines()[-1].split()[-5:] == ["1,234", "2.0", "GiB", "GPU", "0:03"]
