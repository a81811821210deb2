"""Each row of docs/torchsample.md is executed: what a library does today is what torchsample's feature did."""

from __future__ import annotations

import copy
import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import kaggle_ray
from kaggle_ray.config import Hyperparameters, parse_hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.head import Head
from kaggle_ray.images import compose
from kaggle_ray.images.augment import id_hashes
from kaggle_ray.images.cache import Images
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.reporters.jsonl import read_events
from kaggle_ray.store.diary import FileDiary
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.loop import Fit

PAGE = Path(__file__).parents[2] / "docs" / "torchsample.md"
HEADER = ["torchsample", "today", "do", "holds"]
Pairs = list[tuple[np.ndarray[Any, Any], dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Row:
    feature: str
    do: str
    holds: str

    @property
    def says_what_it_needs(self) -> str:
        return f"{self.do} {self.holds}"


def rows_of(page: str) -> list[Row]:
    """Return the rows of all tables with our header, in order."""
    rows: list[Row] = []
    header: list[str] = []
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.removeprefix("|").removesuffix("|").split(" | ")]
        if not line.startswith("|"):
            header = []
        elif not header:
            header = cells
        elif header == HEADER and not line.startswith("|---"):
            assert len(cells) == len(HEADER), f"expected {len(HEADER)} cells: {line}"
            assert all(cell.startswith("`") and cell.endswith("`") for cell in cells[2:]), line
            rows.append(Row(cells[0], cells[2].strip("`"), cells[3].strip("`")))
    return rows


ROWS = rows_of(PAGE.read_text())


# The names in the snippets ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result(toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return kaggle_ray.run(
        TOY_FILE, experiments=[{**TINY, "epochs": 1, "lr": lr} for lr in (1e-2, 1e-3)], data=toy_data,
        runs=tmp_path_factory.mktemp("runs"), launcher="local", device="cpu", threads=1, reporters=[],
    )  # fmt: skip


@pytest.fixture
def names(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[Row], dict[str, Any]]:
    """Return a function that makes what a row may name."""

    def make(row: Row) -> dict[str, Any]:
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        named = libraries() | inputs()
        named |= models(named["x"], named["y"])
        named |= {"folder": made_folder(tmp_path), "fit": fit, "weights": weights, "inner_score": inner_score}
        named |= {"draw": lambda transform, num=9: draw(transform, named["photo"], num), "distinct": distinct}
        if "result" in row.says_what_it_needs or "replay" in row.do:
            named["result"] = request.getfixturevalue("result")
            named["replay"] = lambda reporter: replay(reporter, named["result"])
        return named

    return make


def libraries() -> dict[str, Any]:
    import pandas as pd
    from torchvision.transforms import v2

    return {
        "np": np, "pd": pd, "torch": torch, "nn": nn, "F": functional, "v2": v2, "tf": v2.functional,
        "A": compose._albumentations(), "kaggle_ray": kaggle_ray,
    }  # fmt: skip


def inputs() -> dict[str, Any]:
    photo = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    return {
        "image": torch.from_numpy(photo).permute(2, 0, 1).contiguous() / 255,
        "photo": photo,
        "mask": (photo[..., 0] > 127).astype(np.uint8),
        "volume": torch.rand(4, 5, 6) + 0.1,
        "x": torch.randn(20, 4),
        "y": torch.arange(20) // 15,
    }


def models(x: Tensor, y: Tensor) -> dict[str, Any]:
    model = nn.Sequential(OrderedDict(body=nn.Linear(4, 8), relu=nn.ReLU(), fc=nn.Linear(8, 2)))
    untrained = copy.deepcopy(model.state_dict())

    def train(optimizer: torch.optim.Optimizer, num_steps: int = 1, term: Any = lambda model: 0) -> dict[str, Tensor]:
        for _ in range(num_steps):
            optimizer.zero_grad()
            (functional.cross_entropy(model(x), y) + term(model)).backward()
            optimizer.step()
        return {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def penalised(term: Any) -> dict[str, Tensor]:
        model.load_state_dict(untrained)
        return train(torch.optim.SGD(model.parameters(), lr=0.1), term=term)

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    layer = nn.Linear(200, 100)
    return {"model": model, "optimizer": optimizer, "train": train, "penalised": penalised, "layer": layer}


def draw(transform: Any, photo: Any, num: int) -> Pairs:
    albumentations = compose._albumentations()
    composed = albumentations.Compose([transform], save_applied_params=True)
    # Compose's own seed gives each transform a generator of the same numbers, so that they always act together.
    composed.set_random_state(np.random.default_rng(0), random.Random(0))
    pairs = []
    for _ in range(num):
        drawn = composed(image=photo)
        applied = drawn["applied_transforms"]
        pairs.append((drawn["image"], applied[-1][1] if applied else {}))
    return pairs


def distinct(pairs: Pairs) -> int:
    return len({image.tobytes() for image, _ in pairs})


def made_folder(folder: Path) -> Path:
    for name in ("a/0.png", "a/1.png", "b/0.png", "b/1.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        assert cv2.imwrite(str(folder / name), np.zeros((8, 12, 3), dtype=np.uint8))
    return folder


def fit(**hyperparameters: Any) -> Fit:
    base: dict[str, Any] = {
        "model": "small_resnet",
        "model_args": {"width": 4, "blocks": [1]},
        "image_size": 12,
        "batch_size": 8,
    }
    params = parse_hyperparameters({**base, "epochs": 2, "lr": 1e-2, **hyperparameters}, where="here")
    done = Fit(noise(params), params, Settings(device="cpu", threads_per_trial=1, dtype="float32"))
    assert list(done.epochs())
    return done


def noise(params: Hyperparameters) -> FitData:
    """Return 30 rows to train on, 15 to score and 7 to choose by."""
    rng, rows = np.random.default_rng(0), np.arange(52)
    return FitData(
        inputs=Inputs(images=Images.of_array(rng.integers(0, 256, (len(rows), 12, 12, 3), dtype=np.uint8))),
        target=rng.integers(0, 2, len(rows)), heads=(Head(task="binary", classes=("no", "yes"), metric=LOG_LOSS),),
        metric=LOG_LOSS, train_rows=rows[:30], valid_rows=rows[30:45],
        inner_rows=rows[45:] if params.training.epoch_rule == "inner" else None, fold=0,
        id_hashes=id_hashes(map(str, rows)),
        sample_ids=rows.astype(str),
    )  # fmt: skip


def weights(done: Fit) -> dict[str, Tensor]:
    of_network = {n.removeprefix("network."): w for n, w in done.weights.items() if n.startswith("network.")}
    return {name: weight for name, weight in of_network.items() if weight.ndim > 1}


def inner_score(done: Fit) -> float:
    data = noise(Hyperparameters(epoch_rule="inner"))
    assert data.inner_rows is not None
    return LOG_LOSS.score(data.target[data.inner_rows], done.predictor.values(data.inputs, data.inner_rows))


def replay(reporter: Any, result: RunResult) -> None:
    for envelope in read_events(FileDiary(result.run_dir / "events.jsonl")):
        reporter.emit(envelope)
    reporter.close()


# The page -----------------------------------------------------------------------------------------------------------


def carry_out(row: Row, named: dict[str, Any]) -> None:
    exec(compile(row.do, f"{PAGE.name}: {row.feature}", "exec"), named)


def is_true(row: Row, named: dict[str, Any]) -> bool:
    return bool(eval(compile(row.holds, f"{PAGE.name}: {row.feature}", "eval"), named))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.feature)
def test_what_the_row_does_is_what_the_feature_did(row: Row, names: Callable[[Row], dict[str, Any]]) -> None:
    named = names(row)
    carry_out(row, named)
    assert is_true(row, named), row.holds


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.feature)
def test_the_row_fails_where_its_call_does_nothing(row: Row, names: Callable[[Row], dict[str, Any]]) -> None:
    """In place of the result comes what went in, or nothing of the kind: none of it may pass."""
    assert "out" in row.holds
    named = names(row)
    for name in ("image", "photo", "x", "layer", "model"):
        assert not passes_with(named[name], row, named), name
    untouched: list[Any] = [None, True, 0, "", [], [(named["photo"], {})] * 9, {"fc.weight": named["model"].fc.weight}]
    if "fit(" in row.do:
        plain = fit()
        untouched += [plain, plain.state.history, weights(plain)]
    for instead in untouched:
        assert not passes_with(instead, row, named), instead


def passes_with(out: Any, row: Row, named: dict[str, Any]) -> bool:
    try:
        return is_true(row, {**named, "out": out})
    except Exception:
        return False


def test_every_line_of_the_tables_is_a_row_that_is_run() -> None:
    assert len(ROWS) >= 120
    assert len({row.do for row in ROWS}) == len(ROWS)
    features = PAGE.read_text().partition("\n## ")[2]
    lines = [line for line in features.splitlines() if line.startswith("| ") and not line.startswith("| torchsample ")]
    assert len(lines) == len(ROWS), "a table of features has another header"


def test_every_name_of_the_legend_is_there(names: Callable[[Row], dict[str, Any]]) -> None:
    legend = PAGE.read_text().partition("| name | what it is |")[2].partition("\n## ")[0]
    listed = {
        word.strip("`").partition("(")[0]
        for line in legend.splitlines()
        if line.startswith("| `")
        for word in line.split(" | ")[0].removeprefix("| ").split(", `")
    }
    given = names(Row("", "result replay", ""))
    assert listed == set(given)


def test_a_cell_that_is_no_snippet_is_an_error() -> None:
    page = "| torchsample | today | do | holds |\n|---|---|---|---|\n| `Pad` | torch | pad it | `out` |\n"
    with pytest.raises(AssertionError, match="pad it"):
        rows_of(page)
