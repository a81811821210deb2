"""Plots of what was measured epoch by epoch: a line for each fold, and one for their mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kaggle_ray.counted import counted
from kaggle_ray.reporters.visdom.history import RunHistory
from kaggle_ray.reporters.visdom.windows import LOW, TALL, Plot, Window, escaped
from kaggle_ray.types import FULL_DATA, EpochMetrics, JsonValue, Trial

MAX_EXPERIMENTS = 6
"""The best ones, where a run has more."""
MAX_FOLDS = 10
"""The first ones, where an experiment has more; the mean is that of all."""
MAX_METRICS = 8
"""Windows of metrics beside the one that decides: the first ones, where a run has more."""
MAX_POINTS = 6000
"""Points of a window: the page draws all of them anew each time that it is replaced."""
MAX_POINTS_PER_LINE = 300

_COLORS = ("31, 119, 180", "214, 39, 40", "44, 160, 44", "148, 103, 189", "255, 127, 14", "23, 190, 207")
_DASHES = {"solid": "solid", "dot": "dotted", "dash": "dashed"}
"""Plotly's name of a dash -> a person's."""
_LEGEND_LETTERS = 34

Points = list[tuple[int, float]]
"""Epoch and value, ascending, thinned."""


@dataclass(frozen=True, slots=True)
class Series:
    """One of the quantities of a chart."""

    label: str
    dash: str
    """How Plotly draws its lines."""
    value_of: Callable[[EpochMetrics], float | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """One window of curves over the epochs."""

    name: str
    title: str
    series: tuple[Series, ...]
    has_legend: bool = False
    """Whether it says which color is which experiment, for all charts."""


def charts(metric: str, further: Sequence[str] = ()) -> tuple[Chart, ...]:
    """Return the charts of a run that is scored by ``metric``, and measured by ``further`` ones."""
    return (
        Chart(
            name="score",
            title=metric,
            series=(
                Series("validation", "solid", lambda epoch: epoch.score),
                Series("train", "dot", lambda epoch: epoch.train_score),
                Series("inner split", "dash", lambda epoch: epoch.inner_score),
            ),
            has_legend=True,
        ),
        Chart(
            name="loss",
            title="loss",
            series=(
                Series("validation", "solid", lambda epoch: epoch.valid_loss),
                Series("train", "dot", lambda epoch: epoch.train_loss),
            ),
        ),
        *map(_chart_of, further),
        Chart(name="lr", title="learning rate", series=(Series("", "solid", lambda epoch: epoch.lr),)),
        Chart(
            name="gradient",
            title="gradient norm",
            series=(Series("", "solid", lambda epoch: epoch.grad_norm),),
        ),
        Chart(
            name="throughput",
            title="training samples per second",
            series=(Series("", "solid", lambda epoch: epoch.samples_per_s),),
        ),
        Chart(
            name="memory",
            title="memory, GiB",
            series=(
                Series("RAM", "solid", lambda epoch: _gib(epoch.resident_bytes)),
                Series("GPU", "dot", lambda epoch: _gib(epoch.gpu_peak_bytes)),
            ),
        ),
    )


def _chart_of(metric: str) -> Chart:
    """Return the chart of a metric beside the one that decides."""
    return Chart(
        name=f"metric-{metric}",
        title=metric,
        series=(
            Series("validation", "solid", lambda epoch: epoch.metrics.get(metric)),
            Series("train", "dot", lambda epoch: epoch.train_metrics.get(metric)),
        ),
    )


def chart_windows(history: RunHistory) -> list[Window]:
    """Return a window for each chart that something was measured of."""
    shown = history.best_experiments(MAX_EXPERIMENTS)
    of_run = charts(history.progress.metric, history.further_metrics[:MAX_METRICS])
    drawn = [(chart, _plot(chart, shown, history)) for chart in of_run]
    return [
        Window(name=chart.name, title=chart.title, content=plot, height=TALL if chart.has_legend else LOW)
        for chart, plot in drawn
        if plot is not None
    ]


def mean_over_folds(folds: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Return epoch -> mean over ``folds``, of the epochs that every one of them has: no other compares like with like.

    >>> mean_over_folds([{1: 0.5, 2: 0.25}, {1: 0.75}])
    {1: 0.625}
    """
    shared = set(folds[0]).intersection(*folds[1:]) if folds else set()
    return {epoch: sum([fold[epoch] for fold in folds]) / len(folds) for epoch in sorted(shared)}


def thinned(points: Points, max_points: int) -> Points:
    """Return at most ``max_points`` of them, two or more, evenly spaced, the first and the last among them.

    >>> thinned([(epoch, 0.5) for epoch in range(1, 8)], 3)
    [(1, 0.5), (4, 0.5), (7, 0.5)]
    """
    if len(points) <= max_points:
        return points
    step = (len(points) - 1) / (max_points - 1)
    return [points[round(number * step)] for number in range(max_points)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    """A line of a chart, before it is thinned."""

    experiment: str
    """Name of the experiment."""
    color: str
    """Red, green and blue."""
    series: Series
    rows: str
    """Which fold it is of, or of how many it is the mean."""
    is_mean: bool
    values: Mapping[int, float]

    @property
    def title(self) -> str:
        return " ".join(filter(None, (self.experiment, self.series.label, self.rows)))


def _plot(chart: Chart, shown: Sequence[str], history: RunHistory) -> Plot | None:
    by_experiment = [
        [line for series in chart.series for line in _lines(series, experiment_id, color, history)]
        for experiment_id, color in zip(shown, _COLORS, strict=False)
    ]
    lines = [line for of_experiment in by_experiment for line in of_experiment]
    if not lines:
        return None
    max_points = min(MAX_POINTS_PER_LINE, max(2, MAX_POINTS // len(lines)))
    keys = [next((line for line in each if line.is_mean), each[0]) for each in by_experiment if each]
    traces = [_trace(line, max_points=max_points, is_key=any(line is key for key in keys)) for line in lines]
    return Plot(traces=traces, layout=_layout(_remarks(lines, history), has_legend=chart.has_legend))


def _lines(series: Series, experiment_id: str, color: str, history: RunHistory) -> list[_Line]:
    """Return the lines of an experiment's folds, and the one of their mean above them."""
    name = _shortened(history.progress.names.get(experiment_id, experiment_id))
    measured = {trial: _values(epochs, series) for trial, epochs in sorted(history.epochs[experiment_id].items())}
    measured = {trial: values for trial, values in measured.items() if values}
    lines = [
        _Line(experiment=name, color=color, series=series, rows=_rows(trial), is_mean=False, values=values)
        for trial, values in list(measured.items())[:MAX_FOLDS]
    ]
    folds = [values for trial, values in measured.items() if trial.fold != FULL_DATA]
    if len(folds) > 1 and (mean := mean_over_folds(folds)):
        rows = f"mean of {counted(len(folds), 'fold')}"
        lines.append(_Line(experiment=name, color=color, series=series, rows=rows, is_mean=True, values=mean))
    return lines


def _values(epochs: Mapping[int, EpochMetrics], series: Series) -> dict[int, float]:
    """Return epoch -> value, where there is one: neither JSON nor a page knows another that is no number."""
    values = {epoch: series.value_of(metrics) for epoch, metrics in epochs.items()}
    return {epoch: value for epoch, value in values.items() if value is not None and math.isfinite(value)}


def _trace(line: _Line, *, max_points: int, is_key: bool) -> dict[str, JsonValue]:
    """Return Plotly's trace of a line; the key of an experiment stands for it in the legend.

    Names are told apart, for the page keeps by them which lines are hidden. The markers are written out, for the page
    fails without them where a person smooths a line; and it resets a line's opacity, so that its color has it.
    """
    points = thinned(sorted(line.values.items()), max_points)
    color = f"rgba({line.color}, {1 if line.is_mean else 0.4})"
    return {
        "type": "scatter",
        "mode": "lines" if len(points) > 1 else "markers",
        "x": [epoch for epoch, _ in points],
        "y": [value for _, value in points],
        "name": escaped(line.experiment if is_key else line.title),
        "meta": escaped(line.title),
        "hovertemplate": "%{meta}<br>epoch %{x}: %{y:.5g}<extra></extra>",
        "line": {"color": color, "width": 2.5 if line.is_mean else 1.2, "dash": line.series.dash},
        "marker": {"color": color, "size": 6, "line": {"width": 0}},
        "legendgroup": escaped(line.experiment),
        "showlegend": is_key,
    }


def _layout(remarks: str, *, has_legend: bool) -> dict[str, JsonValue]:
    """Return Plotly's layout: remarks left of the page's buttons, the legend beneath, where names may be long."""
    return {
        "margin": {"l": 48, "r": 12, "t": 38, "b": 42},
        "font": {"size": 11},
        "title": {"text": remarks, "font": {"size": 10}, "x": 0.02, "y": 0.94, "yanchor": "top"},
        "showlegend": has_legend,
        "legend": {"x": 0, "y": -0.22, "yanchor": "top", "font": {"size": 10}},
        "modebar": {"remove": ["zoom", "pan", "zoomin", "zoomout", "autoscale"], "color": "#aaa"},
        "hovermode": "closest",
        "xaxis": {"title": {"text": "epoch", "font": {"size": 10}, "standoff": 4}},
        "yaxis": {"automargin": True, "exponentformat": "power"},
    }


def _remarks(lines: Sequence[_Line], history: RunHistory) -> str:
    """Return a line on what the lines' dashes mean, and one on what is left out."""
    dashes = {line.series.label: line.series.dash for line in lines if line.series.label}
    left_out = []
    if (number := len(history.epochs)) > MAX_EXPERIMENTS:
        left_out.append(f"the best {MAX_EXPERIMENTS} of {counted(number, 'experiment')}")
    if history.progress.num_folds > MAX_FOLDS:
        left_out.append(f"{MAX_FOLDS} of {counted(history.progress.num_folds, 'fold')}")
    said = [", ".join(f"{_DASHES[dash]}: {label}" for label, dash in dashes.items()), ", ".join(left_out)]
    return "<br>".join(filter(None, said))


def _rows(trial: Trial) -> str:
    return "all rows" if trial.fold == FULL_DATA else f"fold {trial.fold}"


def _shortened(name: str) -> str:
    """Return a name that fits into a legend, by its beginning and its end: those of one space often differ there."""
    half = _LEGEND_LETTERS // 2
    return name if len(name) <= _LEGEND_LETTERS else f"{name[: half - 1]}…{name[-half:]}"


def _gib(num_bytes: int | None) -> float | None:
    return None if num_bytes is None else num_bytes / 2**30
