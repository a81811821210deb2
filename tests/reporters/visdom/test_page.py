"""The page as a person sees it, in headless Chromium, wide and as a phone shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaggle_ray.reporters.visdom import make_sink
from kaggle_ray.testing.browser import CHROMIUM, chromium_page
from kaggle_ray.testing.told import told_run
from kaggle_ray.testing.visdom_server import AssetsMissingError, lay_assets, visdom_served

pytest.importorskip("visdom")
pytestmark = [pytest.mark.service, pytest.mark.slow]

BAD_NAME = '<img src=x onerror="window.wasRun=1"> $x$'
NAMES = {"0" * 12: BAD_NAME, "1" * 12: "resnet18-lr0.001"}

PLACES = """[...document.querySelectorAll('.react-grid-item')].map(item => {
    const {left, right, top, bottom} = item.getBoundingClientRect()
    return [left, right, top, bottom]
})"""


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_draws_each_window_in_its_own_place_wide_and_on_a_phone_and_runs_nothing_of_a_run_s(
    tmp_path: Path,
) -> None:
    try:
        static = lay_assets(tmp_path)
    except AssetsMissingError as error:
        pytest.skip(f"what Visdom's page is made of: {error}")
    with visdom_served(tmp_path, static=static) as server, chromium_page(tmp_path / "chromium") as page:
        make_sink({"port": str(server.port)}, lambda key: None).send(
            list(told_run(names=NAMES, num_folds=2, num_epochs=5))
        )
        for name, width, height in (("wide", 1500, 1000), ("phone", 390, 844)):
            page.open(f"{server.url}/env/toy_run-1", width=width, height=height)
            page.wait_for("document.querySelectorAll('.js-plotly-plot .xtick').length >= 7 * 2")
            page.wait_for(f"{PLACES}.length == 10")
            page.wait_for(f"{PLACES}.every(([left, right]) => left > -1 && right < {width + 1})")
            page.wait_for("document.getAnimations().length == 0")  # it has laid itself out for this width
            page.screenshot(tmp_path / f"{name}.png")
            assert page.errors == []
            assert BAD_NAME in page.value("document.body.innerText")
            assert page.value("window.wasRun") is None
            assert [url for url in page.requested if not url.startswith(server.url)] == []
            places = page.value(PLACES)
            assert not any(overlap(one, other) for one in places for other in places if one is not other)


def overlap(one: list[float], other: list[float]) -> bool:
    left, right, top, bottom = one
    return left < other[1] and other[0] < right and top < other[3] and other[2] < bottom
