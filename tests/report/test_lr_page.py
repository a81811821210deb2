from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import numpy as np
import pytest

from kaggle_ray.report.lr_page import lr_figure, render_lr_page, suggestion_text
from kaggle_ray.train.lr_sweep import LrSweep, lr_sweep

LRS = np.logspace(-6, 0, 60)


@pytest.fixture
def sweep() -> LrSweep:
    losses = 0.2 + 0.8 / (1 + (LRS / 1e-3) ** 2) + (LRS / 0.1) ** 2
    return lr_sweep(LRS.tolist(), losses.tolist())


def page_of(sweep: LrSweep) -> str:
    return render_lr_page(sweep, competition="a<b", experiment="net lr=1", hyperparameters={"lr": 0.1, "model": "<m>"})


def figures_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    figures: dict[str, Any] = json.loads(found.group(1))
    return figures


def test_the_page_names_the_suggestion_and_draws_the_curve(sweep: LrSweep) -> None:
    page = page_of(sweep)
    assert suggestion_text(sweep) in page
    assert 'id="lr"' in page
    assert figures_of(page)["lr"]["data"][1]["y"] == list(sweep.smoothed)


def test_the_page_asks_nobody_and_escapes_names(sweep: LrSweep) -> None:
    page = page_of(sweep).partition('<script type="application/json"')[0]
    assert "default-src 'none'" in page
    assert "a&lt;b" in page
    assert "&lt;m&gt;" in page
    assert "a<b" not in page
    assert "<m>" not in page


def test_the_line_stands_at_the_suggestion_and_the_axis_is_logarithmic(sweep: LrSweep) -> None:
    layout = lr_figure(sweep)["layout"]
    assert layout["shapes"][0]["x0"] == layout["shapes"][0]["x1"] == sweep.suggestion
    assert layout["xaxis"]["type"] == "log"


def test_what_diverges_does_not_flatten_the_curve(sweep: LrSweep) -> None:
    low, high = lr_figure(sweep)["layout"]["yaxis"]["range"]
    assert low < min(sweep.smoothed)
    assert max(sweep.smoothed) > high > sweep.smoothed[0]


def test_without_a_suggestion_there_is_no_line(sweep: LrSweep) -> None:
    nothing = dataclasses.replace(sweep, suggestion=None)
    assert lr_figure(nothing)["layout"]["shapes"] == []
    assert "none" in page_of(nothing)
