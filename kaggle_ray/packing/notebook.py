"""The notebook that predicts with a package, and the same as a script: cells between lines of ``# %%``."""

from __future__ import annotations

import json
from string import Template

from kaggle_ray.types import JsonValue

_SCRIPT = Template('''\
# %%
"""Predicts the test rows of $competition by run $run_id, without a network."""

import os
import sys
import tempfile
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

PACKAGE = Path(os.environ.get("PACKAGE", "/kaggle/input/$dataset"))  # this folder, as a dataset
DATA = Path(os.environ.get("DATA", "/kaggle/input/$slug"))  # the competition's files
OUT = Path(os.environ.get("OUT", "/kaggle/working/submission.csv"))

# %%
# What the notebook lacks, or has in a version that will not do, is taken from the package's wheels.
work = Path(tempfile.mkdtemp(prefix="kaggle_ray_"))
site = work / "site-packages"  # by which what is in it is told from code of your own


def lacks(requirement: Requirement) -> bool:
    opencv = ("opencv-python", "opencv-contrib-python", "opencv-python-headless")  # the same module, thrice
    for name in opencv if requirement.name in opencv else (requirement.name,):
        try:
            if requirement.specifier.contains(version(name), prereleases=True):
                return False
        except PackageNotFoundError:
            continue
    return True


def wheels_of(name: str) -> list[Path]:
    return sorted((PACKAGE / "wheels").glob(name.replace("-", "_") + "-*.whl"))


requirements = [Requirement(line) for line in (PACKAGE / "requirements.txt").read_text().splitlines()]
taken = [requirement.name for requirement in requirements if lacks(requirement)]
if absent := [name for name in taken if not wheels_of(name)]:
    raise SystemExit(f"the notebook lacks {', '.join(absent)}, and {PACKAGE / 'wheels'} has no wheels of them.")
for name in ["kaggle_ray", *taken]:
    for wheel in wheels_of(name):
        with zipfile.ZipFile(wheel) as opened:
            opened.extractall(site)
sys.path.insert(0, str(site))
sys.path.append(str(PACKAGE / "competition"))  # for what the competition's file imports beside itself
os.environ["KAGGLE_RAY_CACHE"] = str(work / "cache")  # decoded images, beside the notebook's output

# %%
import torch

import kaggle_ray

device = "cuda" if torch.cuda.is_available() else "cpu"
submission = kaggle_ray.predict(
    PACKAGE / "run" / "$competition" / "$run_id",
    data=DATA,
    competition=PACKAGE / "competition" / "$file",
    out=OUT,
    device=device,
    refit=$refit,
    onnx=$onnx and device == "cpu",  # graphs, which are faster there than torch
)
print(f"{submission}: by kaggle_ray of {Path(kaggle_ray.__file__).parent}")
''')


def script_of(*, competition: str, run_id: str, file: str, dataset: str, slug: str, refit: bool, onnx: bool) -> str:
    """Return the script that predicts with a package.

    Args:
        competition: name of the competition.
        run_id: name of the run.
        file: name of the competition's file.
        dataset: name that the package has on Kaggle.
        slug: name that the competition has on Kaggle.
        refit: whether the models of all rows predict.
        onnx: whether ONNX graphs predict where there is no GPU.
    """
    return _SCRIPT.substitute(
        competition=competition, run_id=run_id, file=file, dataset=dataset, slug=slug, refit=refit, onnx=onnx
    )


def notebook_of(script: str) -> str:
    """Return the JSON text of a notebook with the cells of a script."""
    cells: list[dict[str, JsonValue]] = [
        {"cell_type": "code", "execution_count": None, "id": f"cell{number}", "metadata": {}, "outputs": [],
         "source": cell.strip("\n").splitlines(keepends=True)}
        for number, cell in enumerate(script.split("# %%\n")[1:])
    ]  # fmt: skip
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1) + "\n"
