"""The report as a person sees it, in headless Chromium, wide and as a phone shows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from kaggle_ray.report.board import Board, BoardRow
from kaggle_ray.report.html import ReportData, render_report
from kaggle_ray.testing.browser import CHROMIUM, chromium_page
from kaggle_ray.types import EpochMetrics

pytestmark = [pytest.mark.service, pytest.mark.slow]

BAD_NAME = '<img src=x onerror="window.wasRun=1"> small_resnet blocks=[1, 1, 1] lr=0.001'
RIGHT_EDGE_OF_SCORE = "document.querySelector('.board tbody b').getBoundingClientRect().right"


def report() -> ReportData:
    """A run of one experiment, whose name is long and bad."""
    epochs = [
        EpochMetrics(epoch=epoch, train_loss=1 / epoch, valid_loss=1 / epoch, score=1 / epoch, lr=0.1, duration_s=1.0)
        for epoch in (1, 2, 3)
    ]
    epochs = [replace(epoch, metrics={"auc": 0.5}) for epoch in epochs]
    row = BoardRow(name=BAD_NAME, kind="experiment", score=0.5, score_std=0.1, weight=1.0, folds_done=2, num_folds=2)
    return ReportData(
        competition="toy",
        run_id="run-1",
        command="kaggle-ray run toy",
        metric_name="log_loss",
        greater_is_better=False,
        board=Board(metric="log_loss", greater_is_better=False, rows=(row,)),
        histories={BAD_NAME: [epochs, epochs]},
        fold_scores={BAD_NAME: [0.4, 0.6]},
        confusion=np.array([[9, 1], [2, 8]]),
        class_names=[BAD_NAME, "dog"],
        experiments={BAD_NAME: {"lr": 0.1}},
        facts={},
        failures={},
    )


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize(("width", "mode"), [(1280, "light"), (390, "dark")])
def test_the_page_draws_its_figures_asks_nobody_and_has_the_score_beside_the_longest_name(
    width: int, mode: Literal["light", "dark"], tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text(render_report(report()), encoding="utf-8")
    with chromium_page(tmp_path / "chromium") as page:
        page.prefer(mode)
        page.open(path.as_uri(), width=width, height=900)
        page.wait_for("document.querySelectorAll('.js-plotly-plot .xtick').length >= 6")
        assert page.errors == []
        assert page.requested == [path.as_uri()]
        assert page.value("window.wasRun") is None
        assert page.value("document.documentElement.scrollWidth") <= width
        assert page.value(RIGHT_EDGE_OF_SCORE) < width
        page.value("document.querySelector('details').open = true")
        page.wait_for("!!document.querySelector('details dl')")
        page.value("document.querySelector('.chip').click()")
        page.wait_for("['loss', 'score', 'metric-0'].every((id) => !document.querySelector(`#${id} .trace`))")
