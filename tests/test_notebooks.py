"""The notebooks beside the competitions run from their first cell to their last, on a few made-up photographs."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent
NOTEBOOKS = REPOSITORY / "competitions" / "notebooks"
LOCAL = {"launcher": "local", "device": "cpu", "threads": 1}


def photograph(path: Path, seed: int, *, width: int = 32, height: int = 32) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, size=(4, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((width, height)).save(path, quality=95)


def dogs(folder: Path) -> dict[str, Any]:
    for number in range(15):
        for name in ("cat", "dog"):
            photograph(folder / "train" / f"{name}.{number}.jpg", number + 100 * (name == "dog"))
    for number in range(1, 4):
        photograph(folder / "test" / f"{number}.jpg", 1000 + number)
    (folder / "sample_submission.csv").write_text("id,label\n1,0.5\n2,0.5\n3,0.5\n")
    return {"size": {"image_size": 16, "epochs": 1}, "options": LOCAL}


def planet(folder: Path) -> dict[str, Any]:
    rows = []
    for number in range(30):
        photograph(folder / "train-jpg" / f"train_{number}.jpg", number)
        rows.append(f"train_{number},clear{' water' * (number % 2)}{' road' * (number % 3 == 0)}\n")
    (folder / "train_v2.csv").write_text("image_name,tags\n" + "".join(rows))
    for number in range(3):
        photograph(folder / "test-jpg" / f"test_{number}.jpg", 1000 + number)
    tests = "".join(f"test_{number},clear\n" for number in range(3))
    (folder / "sample_submission_v2.csv").write_text("image_name,tags\n" + tests)
    return {"size": {"image_size": 16, "epochs": 1}, "options": LOCAL}


def carvana(folder: Path) -> dict[str, Any]:
    rows = []
    for number in range(10):
        name = f"car{number // 2}_{1 + number % 2:02d}"
        photograph(folder / "train" / f"{name}.jpg", number, width=1918, height=1280)
        mask = np.zeros((1280, 1918), dtype=np.uint8)
        mask[400 : 800 + 10 * number, 500:1400] = 255
        (folder / "train_masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(folder / "train_masks" / f"{name}_mask.gif")
        runs = " ".join(f"{row * 1918 + 501} 900" for row in range(400, 800 + 10 * number))
        rows.append(f"{name}.jpg,{runs}\n")
    (folder / "train_masks.csv").write_text("img,rle_mask\n" + "".join(rows))
    photograph(folder / "test" / "car9_01.jpg", 1000, width=1918, height=1280)
    (folder / "sample_submission.csv").write_text("img,rle_mask\ncar9_01.jpg,1 1\n")
    (folder / "metadata.csv").write_text("id,year\n" + "".join(f"car{number},2010\n" for number in range(10)))
    return {"size": {"image_size": 32, "aspect": 1.5, "epochs": 1, "model_args": {"width": 4}}, "options": LOCAL}


def digits(folder: Path) -> dict[str, Any]:
    return {}


PARAMETERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "dogs_vs_cats": dogs,
    "planet": planet,
    "carvana": carvana,
    "debugging": digits,
}


def with_parameters(name: str, data: Path) -> str:
    """Return a notebook's source whose cell of parameters is followed by others: of files that are made up."""
    source = (NOTEBOOKS / f"{name}.py").read_text()
    competition = "digits" if name == "debugging" else name
    given = {
        "competition": str(REPOSITORY / "competitions" / f"{competition}.py"),
        "data": str(data),
        **PARAMETERS[name](data),
    }
    before, tagged, after = source.partition('# %% tags=["parameters"]\n')
    assert tagged, f"{name}: no cell is tagged as parameters"
    cell, separator, rest = after.partition("\n# %%")
    lines = "".join(f"{key} = {value!r}\n" for key, value in given.items())
    return f"{before}{tagged}{cell}\n# %%\n{lines}{separator}{rest}"


def test_every_notebook_is_run_here() -> None:
    assert {path.stem for path in NOTEBOOKS.glob("*.py")} == PARAMETERS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["planet", "carvana", "debugging"])
def test_a_notebook_runs_from_its_first_cell_to_its_last(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script = tmp_path / f"{name}.py"
    script.write_text(with_parameters(name, tmp_path / "data"))
    left = runpy.run_path(str(script))
    assert left["result"].submission.is_file()


@pytest.mark.slow
def test_in_jupyter_a_run_is_a_widget_and_its_result_a_table(tmp_path: Path) -> None:
    import jupytext
    from nbclient import NotebookClient

    notebook = jupytext.reads(with_parameters("dogs_vs_cats", tmp_path / "data"), fmt="py:percent")
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (run,) = (cell for cell in notebook.cells if cell.cell_type == "code" and "kaggle_ray.run(" in cell.source)
    kinds = {kind for output in run.outputs for kind in output.get("data", {})}
    assert "application/vnd.jupyter.widget-view+json" in kinds
    *before, result = run.outputs
    assert "ensemble (greedy)" in result["data"]["text/html"]
    assert "ensemble (greedy)" not in "".join(output.get("data", {}).get("text/plain", "") for output in before)
    lines = "".join(output.get("text", "") for output in run.outputs).splitlines()
    assert len(lines) < 15, lines
