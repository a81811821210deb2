from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import EpochEnded
from kaggle_ray.reporters.visdom.charts import MAX_EXPERIMENTS, MAX_POINTS, chart_windows, mean_over_folds, thinned
from kaggle_ray.reporters.visdom.history import RunHistory
from kaggle_ray.reporters.visdom.windows import Plot
from kaggle_ray.testing.told import told_run


def names(number: int) -> dict[str, str]:
    return {f"{each:012x}": f"resnet-{each}" for each in range(number)}


def plots_of(story: Iterable[Envelope]) -> dict[str, Any]:
    history = RunHistory()
    for envelope in story:
        history.update(envelope)
    found: dict[str, Any] = {}
    for window in chart_windows(history):
        assert isinstance(window.content, Plot)
        found[window.name] = window.content
    return found


def test_each_chart_has_a_line_for_each_fold_and_one_for_their_mean() -> None:
    plots = plots_of(told_run(names=names(1), num_folds=3, num_epochs=4))
    assert list(plots) == ["score", "loss", "metric-accuracy", "lr", "gradient", "throughput", "memory"]
    assert [trace["meta"] for trace in plots["loss"].traces] == [
        f"resnet-0 {series} {rows}"
        for series in ("validation", "train")
        for rows in ("fold 0", "fold 1", "fold 2", "mean of 3 folds")
    ]
    *folds, mean = plots["gradient"].traces
    values = [[fold["y"][epoch] for fold in folds] for epoch in range(4)]
    assert mean["y"] == [sum(each) / 3 for each in values]
    assert mean["x"] == [1, 2, 3, 4]


def test_a_mean_is_of_the_epochs_that_all_folds_have() -> None:
    assert mean_over_folds([{1: 1.0, 2: 2.0}, {1: 3.0}, {1: 5.0, 3: 1.0}]) == {1: 3.0}
    assert mean_over_folds([]) == {}


def test_a_line_that_is_thinned_keeps_its_ends() -> None:
    points = [(epoch, float(epoch)) for epoch in range(1, 1001)]
    thin = thinned(points, 50)
    assert len(thin) == 50
    assert (thin[0], thin[-1]) == (points[0], points[-1])
    assert thinned(points, 1000) is points


def test_a_window_stays_small_however_long_a_run_is() -> None:
    plots = plots_of(told_run(names=names(30), num_folds=5, num_epochs=150))
    for plot in plots.values():
        num_points = sum(len(trace["x"]) for trace in plot.traces)
        assert num_points <= MAX_POINTS
        assert len({trace["legendgroup"] for trace in plot.traces}) == MAX_EXPERIMENTS
        assert "the best 6 of 30 experiments" in json.dumps(plot.layout)


def test_names_of_lines_are_told_apart_and_each_experiment_has_one_key() -> None:
    for plot in plots_of(told_run(names=names(3), num_folds=2, num_epochs=2)).values():
        shown = [trace["name"] for trace in plot.traces]
        assert len(set(shown)) == len(shown)
        assert [trace["name"] for trace in plot.traces if trace["showlegend"]] == ["resnet-0", "resnet-1", "resnet-2"]


def test_what_is_no_number_is_left_out() -> None:
    story = []
    for envelope in told_run(names=names(1), num_folds=1, num_epochs=3):
        event = envelope.event
        if isinstance(event, EpochEnded) and event.metrics.epoch == 2:
            metrics = replace(event.metrics, score=math.nan, train_loss=math.inf, gpu_peak_bytes=None)
            event = replace(event, metrics=metrics)
        story.append(replace(envelope, event=event))
    plots = plots_of(story)
    assert plots["score"].traces[0]["x"] == [1, 3]
    json.dumps([[plot.traces, plot.layout] for plot in plots.values()], allow_nan=False)


def test_names_from_a_run_are_no_markup_of_a_plot() -> None:
    story = told_run(names={"0" * 12: '<a href="javascript:x">$x$</a>'}, num_folds=1, num_epochs=2)
    for plot in plots_of(story).values():
        assert "<a" not in json.dumps(plot.traces)
        assert "$" not in json.dumps(plot.traces)
