from __future__ import annotations

import dataclasses
import json
import math
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from kaggle_ray.report.board import BestExperiment, Board, BoardRow
from kaggle_ray.report.figures import MOST_DRAWN, NUM_SHOWN, PALETTE, marks, ticks_of
from kaggle_ray.report.html import ReportData, render_report
from kaggle_ray.types import EpochMetrics, JsonValue

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
TTA_GAIN = 0.01
"""How much better the final predictions are than the last epoch's."""
MODELS = ["resnet18", "convnext-atto", "wide-cnn", "efficientnet-b0", "vit-tiny", "mixer-s"]


def invented_history(rng: np.random.Generator, *, skill: float, num_epochs: int) -> list[EpochMetrics]:
    """A fold's epochs: losses that fall, overfit a little, and wobble."""
    history = []
    for epoch in range(1, num_epochs + 1):
        progress = 1 - math.exp(-4 * epoch / num_epochs)
        train = 2.3 - (2.3 - 0.7 * skill) * progress + rng.normal(0, 0.01)
        valid = 2.3 - (2.3 - skill) * progress + 0.10 * max(0.0, epoch / num_epochs - 0.6) + rng.normal(0, 0.025)
        history.append(
            EpochMetrics(epoch=epoch, train_loss=train, valid_loss=valid, score=valid * 0.97, lr=0.001, duration_s=7.5)
        )
    return history


def demo_report(num_experiments: int = 6, *, num_folds: int = 5, seed: int = 0) -> ReportData:
    """A run with realistic figures, the last experiment of which failed in fold 3."""
    rng = np.random.default_rng(seed)
    histories, rows = {}, []
    experiments: dict[str, dict[str, JsonValue]] = {}
    for index in range(num_experiments):
        name = f"{MODELS[index % len(MODELS)]}-{['lr1e-3', 'lr3e-4', 'mixup', 'ema'][index % 4]}-{index:02d}"
        skill, num_epochs = 0.42 + 0.035 * index + rng.normal(0, 0.005), 12 if index % 2 else 20
        folds = [
            invented_history(rng, skill=skill + rng.normal(0, 0.015), num_epochs=num_epochs) for _ in range(num_folds)
        ]
        is_broken = num_experiments > 1 and index == num_experiments - 1
        if is_broken:
            folds[3] = folds[3][:2]
        finals = [fold[-1].score for fold in folds]
        histories[name] = folds
        rows.append(
            BoardRow(
                name=name,
                kind="experiment",
                score=None if is_broken else float(np.mean(finals)),
                score_std=None if is_broken else float(np.std(finals)),
                weight=[0.48, 0.31, 0.21][index] if index < 3 and num_experiments > 3 else None,
                folds_done=num_folds - is_broken,
                num_folds=num_folds,
                epochs=num_epochs,
                duration_s=num_folds * num_epochs * 7.5,
                error="NonFiniteLossError: training loss is nan at epoch 3" if is_broken else None,
            )
        )
        experiments[name] = {
            "model": MODELS[index % len(MODELS)],
            "lr": [1e-3, 3e-4][index % 2],
            "epochs": num_epochs,
            "batch_size": 64,
            "augment": "flip_crop",
            "model_args": {"width": 24},
            "seed": 0,
        }
    best = min(row.score for row in rows if row.score is not None)
    rows.append(
        BoardRow(name="greedy", kind="ensemble", score=best - 0.0312, in_sample=best - 0.0341, is_submitted=True)
    )
    rows.append(BoardRow(name="constant", kind="baseline", score=2.302585))
    confusion = rng.integers(0, 25, (10, 10))
    confusion[3, 5] = confusion[5, 3] = 96
    confusion += np.diag(rng.integers(700, 940, 10))
    return ReportData(
        competition="cifar-10",
        run_id="20261123-5b1f9c02",
        command="kaggle-ray run cifar-10 --space search_spaces/small.py --folds 5 --launcher ray --hours 2",
        metric_name="log_loss",
        greater_is_better=False,
        board=Board(metric="log_loss", greater_is_better=False, rows=tuple(rows)),
        histories=histories,
        fold_scores={
            name: [fold[-1].score - TTA_GAIN if len(fold) == max(map(len, folds)) else None for fold in folds]
            for name, folds in histories.items()
        },
        confusion=confusion.astype(np.int64),
        class_names=CLASSES,
        experiments=experiments,
        facts={
            "hardware": "1 x NVIDIA H200, 16 CPU cores, 128 GiB",
            "kaggle_ray": "0.1.0",
            "torch": "2.15.0+cu132",
            "folds": "stratified, seed 0, digest 3f8a0c61d2e4",
        },
        failures={},
    )


class Page(HTMLParser):
    """The texts and the attributes of a page, scripts and styles apart."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._open: tuple[str, dict[str, str | None]] = ("", {})
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = (tag, dict(attrs))
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self._open = ("", {})

    def handle_data(self, data: str) -> None:
        if self._open[0] == "script":
            self.scripts.append((self._open[1], data))
        elif self._open[0] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    @property
    def figures(self) -> dict[str, Any]:
        found = [text for attributes, text in self.scripts if attributes.get("id") == "figures"]
        figures: dict[str, Any] = json.loads(found[0]) if found else {}  # a page without figures has no scripts
        return figures


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_report(demo_report()))


def test_an_axis_of_few_epochs_has_no_ticks_between_two() -> None:
    assert (ticks_of(2), ticks_of(100)) == ({"dtick": 1}, {})


def test_page_shows_the_honest_score_the_best_single_model_and_the_command(page: Page) -> None:
    data = demo_report()
    best = next(row for row in data.board.rows if row.kind == "experiment")
    ensemble = next(row for row in data.board.rows if row.kind == "ensemble")
    for expected in (f"{best.score:.5f}", f"{ensemble.score:.5f}", best.name, data.command, "summed over", "H200"):
        assert expected in page.text
    assert "a little pessimistic" in page.text


def test_the_headline_is_the_ensemble_that_was_submitted_and_the_best_single_says_among_how_many() -> None:
    data = demo_report()
    better = BoardRow(name="mean", kind="ensemble", score=0.12345, in_sample=0.1)
    page = Page(render_report(dataclasses.replace(
        data, board=dataclasses.replace(
            data.board,
            rows=(better, *data.board.rows),
            best_experiment=BestExperiment(name="resnet18", score=0.45678, num_candidates=5),
        )
    )))  # fmt: skip
    submitted = data.board.submitted
    assert submitted is not None
    assert submitted.score is not None
    headline, _, of_single = page.text.partition("Best single")
    assert "0.45678" in of_single
    assert f"{submitted.score:.5f}" in headline
    assert "0.12345" not in headline
    assert "the best of 5, chosen on other rows than it is scored on" in page.text


def test_the_headline_of_an_unproven_ensemble_is_no_score() -> None:
    data = demo_report()
    rows = [row if row.kind == "baseline" else dataclasses.replace(row, score=None) for row in data.board.rows]
    page = Page(render_report(dataclasses.replace(data, board=dataclasses.replace(data.board, rows=tuple(rows)))))
    headline, _, _ = page.text.partition("Best single")
    assert "none" in headline
    assert "optimism" not in headline.lower()


def test_page_forbids_and_makes_no_request(page: Page) -> None:
    policy = [value for tag, name, value in page.attributes if tag == "meta" and name == "content"]
    assert any(value and value.startswith("default-src 'none'") for value in policy)
    assert not [found for found in page.attributes if found[1] in ("src", "href", "srcset", "action", "poster")]


def test_figures_have_no_button_that_uploads_them(page: Page) -> None:
    assert "showSendToCloud: false" in page.scripts[-1][1]


def test_page_of_twenty_trials_holds_its_drawing_library_once_and_has_less_than_two_megabytes() -> None:
    html = render_report(demo_report(4))
    assert sum("plotly.js (basic" in text[:200] for _, text in Page(html).scripts) == 1
    assert len(html.encode()) < 2e6


def test_figures_are_valid_plotly(page: Page) -> None:
    from plotly.graph_objects import Figure

    assert set(page.figures) == {"loss", "score", "fold-scores", "rates"}
    assert {trace["type"] for figure in page.figures.values() for trace in figure["data"]} == {"scatter"}
    for figure in page.figures.values():
        Figure(figure)


def test_every_text_is_escaped() -> None:
    evil = "<script>alert('x')</script>"
    data = demo_report(2)
    row = dataclasses.replace(data.board.rows[1], name=evil, error=evil)
    data = dataclasses.replace(
        data,
        competition=evil,
        run_id=evil,
        command=evil,
        metric_name=evil,
        board=Board(metric=evil, greater_is_better=False, rows=(row,)),
        histories={evil: next(iter(data.histories.values()))},
        fold_scores={evil: next(iter(data.fold_scores.values()))},
        class_names=[evil, *CLASSES[1:]],
        experiments={evil: {evil: evil}, "other": {evil: 1}},
        facts={evil: evil},
        failures={evil: evil},
    )
    html = render_report(data)
    assert "<script>alert" not in html
    assert "<script>alert" not in json.dumps(Page(html).figures)
    assert html.count("<script") == render_report(demo_report()).count("<script")


def test_band_reaches_from_the_lowest_fold_to_the_highest() -> None:
    data = demo_report(1)
    ((name, folds),) = data.histories.items()
    band, _train, mean = Page(render_report(data)).figures["loss"]["data"]
    losses = [fold[0].valid_loss for fold in folds]
    assert (band["y"][-1], band["y"][0]) == (pytest.approx(min(losses)), pytest.approx(max(losses)))
    assert mean["y"][0] == pytest.approx(np.mean(losses))
    assert name in mean["hovertemplate"]


def test_losses_that_are_not_numbers_are_left_out_of_the_curves() -> None:
    data = demo_report(1)
    ((name, folds),) = data.histories.items()
    broken = [[dataclasses.replace(metrics, valid_loss=math.nan) for metrics in folds[0]], *folds[1:]]
    figures = Page(render_report(dataclasses.replace(data, histories={name: broken}))).figures
    assert figures["loss"]["data"][2]["customdata"][0][2] == len(folds) - 1


def test_scores_by_fold_are_those_of_the_final_predictions_and_not_of_the_last_epoch() -> None:
    data = demo_report(1)
    ((name, scores),) = data.fold_scores.items()
    marks_of_folds, mean = Page(render_report(data)).figures["fold-scores"]["data"]
    assert marks_of_folds["x"] == scores
    assert scores != [fold[-1].score for fold in data.histories[name]]
    assert mean["x"] == [pytest.approx(np.mean([score for score in scores if score is not None]))]
    assert "with test-time augmentation" in render_report(data)


def test_unfinished_fold_has_no_score_and_its_experiment_no_mean() -> None:
    data = demo_report(6)
    *_, last = data.histories
    of_folds, means = Page(render_report(data)).figures["fold-scores"]["data"]
    assert [text for text in of_folds["text"] if last in text] == [f"{last}<br>fold {fold}" for fold in (0, 1, 2, 4)]
    assert [text for text in means["text"] if last in text] == []


def test_of_many_experiments_the_best_ten_are_drawn_at_first() -> None:
    page = Page(render_report(demo_report(50)))
    pressed = [value for _, name, value in page.attributes if name == "aria-pressed"]
    assert pressed == ["true"] * NUM_SHOWN + ["false"] * (50 - NUM_SHOWN)
    visible = {trace["legendgroup"] for trace in page.figures["loss"]["data"] if trace["visible"]}
    assert visible == {str(rank) for rank in range(NUM_SHOWN)}


def test_of_hundreds_of_experiments_the_best_are_drawn_and_the_page_says_so() -> None:
    data = demo_report(MOST_DRAWN + 20)
    page = Page(render_report(data))
    assert {trace["legendgroup"] for trace in page.figures["loss"]["data"]} == set(map(str, range(MOST_DRAWN)))
    assert len(page.figures["fold-scores"]["layout"]["yaxis"]["tickvals"]) == MOST_DRAWN
    assert f"the best {MOST_DRAWN} of {MOST_DRAWN + 20} experiments" in page.text
    assert all(name in page.text for name in data.experiments)


def test_a_long_curve_is_drawn_by_a_hundred_of_its_epochs_the_first_and_the_last_among_them() -> None:
    data = demo_report(1)
    ((name, folds),) = data.histories.items()
    long = [dataclasses.replace(folds[0][0], epoch=epoch, score=1 / epoch) for epoch in range(1, 1001)]
    *_, solid = Page(render_report(dataclasses.replace(data, histories={name: [long]}))).figures["score"]["data"]
    assert (len(solid["x"]), solid["x"][0], solid["x"][-1]) == (100, 1, 1000)
    assert solid["y"][-1] == 0.001


def test_experiment_has_one_colour_everywhere(page: Page) -> None:
    name = next(row.name for row in demo_report().board.rows if row.kind == "experiment")
    for figure in ("loss", "score"):
        traces = [trace for trace in page.figures[figure]["data"] if name in trace.get("hovertemplate", "")]
        assert {trace["marker"]["color"] for trace in traces if "marker" in trace} == {PALETTE[0]}
    for trace in page.figures["fold-scores"]["data"]:
        colours = zip(trace["text"], trace["marker"]["color"], strict=True)
        assert {colour for text, colour in colours if name in text} == {PALETTE[0]}


def test_fifty_experiments_differ_in_colour_or_symbol() -> None:
    looks = [(mark.colour, mark.symbol) for mark in marks(str(number) for number in range(50)).values()]
    assert len(set(looks)) == 50


@pytest.mark.parametrize("background", ["#ffffff", "#181c22"])
def test_palette_is_legible_in_light_and_dark(background: str) -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in PALETTE:
        low, high = sorted([luminance(colour), luminance(background)])
        assert (high + 0.05) / (low + 0.05) >= 3, colour


def test_failures_are_listed_with_their_reasons(page: Page) -> None:
    assert "4 of 5 folds done: NonFiniteLossError: training loss is nan at epoch 3" in page.text


def test_hyperparameters_that_differ_are_columns_and_the_others_are_said_once(page: Page) -> None:
    titles = re.findall(r'<th scope="col">(\w+)</th>', render_report(demo_report()))
    assert titles[-4:] == ["experiment", "model", "lr", "epochs"]
    assert page.texts.count('{"width": 24}') == 1


def test_run_in_which_nothing_succeeded_has_a_report() -> None:
    data = dataclasses.replace(
        demo_report(1),
        board=Board(metric="log_loss", greater_is_better=False),
        histories={},
        fold_scores={},
        confusion=None,
        class_names=[],
        experiments={},
        facts={},
        failures={"resnet18": "DataError: no images"},
    )
    page = Page(render_report(data))
    assert page.figures == {}
    assert "no experiment is complete and has an honest score" in page.text
    assert "DataError: no images" in page.text


def test_one_experiments_hyperparameters_are_listed_without_a_comparison() -> None:
    html = render_report(demo_report(1))
    assert "<summary>Hyperparameters</summary>" in html
    assert "The same for all" not in html


def test_long_names_that_differ_at_their_end_are_told_apart_on_an_axis() -> None:
    data = demo_report(2)
    longer = {f"small_resnet blocks=[1, 1, 1] {name}": folds for name, folds in data.histories.items()}
    scores = dict(zip(longer, data.fold_scores.values(), strict=True))
    figures = Page(render_report(dataclasses.replace(data, histories=longer, fold_scores=scores))).figures
    labels = figures["fold-scores"]["layout"]["yaxis"]["ticktext"]
    assert len(set(labels)) == 2
    assert max(map(len, labels)) <= 28


def test_experiment_without_an_epoch_is_no_gap_in_the_figures() -> None:
    data = demo_report(2)
    with_empty = {**data.histories, "never-started": [[], []]}
    scores = {**data.fold_scores, "never-started": [None, None]}
    figures = Page(render_report(dataclasses.replace(data, histories=with_empty, fold_scores=scores))).figures
    assert "never-started" in figures["fold-scores"]["layout"]["yaxis"]["ticktext"]


def test_the_report_of_a_run_under_way_says_of_an_experiment_what_the_board_says() -> None:
    data = demo_report(2)
    half = dataclasses.replace(data.board.rows[-1], score=None, folds_done=2, mean_so_far=0.125, error=None)
    html = render_report(dataclasses.replace(data, board=dataclasses.replace(data.board, rows=(half,))))
    assert "<td>~0.12500</td>" in html
    assert "incomplete</td>" not in html
