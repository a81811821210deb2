"""Every network of the bundled spaces takes a step: on noise of a few pixels, and from scratch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kaggle_ray import SearchSpace, Table, as_ids
from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.loading import load_attribute
from kaggle_ray.config.settings import Machine, Settings
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.opening import load_competition
from kaggle_ray.data.samples import Samples
from kaggle_ray.testing.samples import samples_of
from kaggle_ray.train.estimate import made_up_data
from kaggle_ray.train.loop import Fit

REPOSITORY = Path(__file__).resolve().parent.parent
COMPETITIONS = sorted(path.stem for path in (REPOSITORY / "competitions").glob("*.py"))
SPACES = sorted((REPOSITORY / "search_spaces").glob("*.py"))
MACHINES = (Machine(num_cpus=2, num_gpus=0), Machine(num_cpus=16, num_gpus=1))
SETTINGS = Settings(device="cpu", threads_per_trial=1, dtype="float32")
NUM_COLUMNS = {"carvana": 2, "tgs_salt": 1, "leaf": 192}
"""Columns of the tables that come with the images of some competitions."""
TINY = {"pretrained": False, "image_size": 32, "start_size": 0, "train_size": 0, "batch_size": 2, "epochs": 1}


def networks() -> dict[str, tuple[Competition, Hyperparameters]]:
    """Return the first experiment of each network among the competitions' spaces, made small, by a name of its own."""
    found: dict[str, tuple[Competition, Hyperparameters]] = {}
    for name in COMPETITIONS:
        competition, _ = load_competition(name)
        spaces = [competition.default_space(machine.settings()) for machine in MACHINES]
        spaces += [load_attribute(path, "SPACE", SearchSpace) for path in SPACES if path.stem.startswith(name)]
        for hyperparameters in (each for space in spaces for each in space.expand()):
            model = hyperparameters.model
            small = hyperparameters.replace(**TINY, schedule="constant")
            found.setdefault(f"{model.name} {dict(model.args)} {dict(model.head)}", (competition, small))
    return found


NETWORKS = networks()


def made_up_rows(competition: Competition) -> Samples:
    """Return a few rows with targets and tables as the competition's own have them, and files that do not exist."""
    ids, head = as_ids([f"row {number}" for number in range(4)]), competition.heads[0]
    target = {"multilabel": np.eye(4)[:, : len(head.classes)], "segmentation": np.zeros(4)}
    rows = samples_of(ids, target.get(head.task, np.arange(4) % 2), test_ids=ids)
    if head.task == "segmentation":
        rows = replace(rows, train_masks=tuple(Path(f"{name}.png") for name in ids.tolist()))
    if competition.name not in NUM_COLUMNS:
        return rows
    values = np.random.default_rng(0).normal(size=(4, NUM_COLUMNS[competition.name])).astype(np.float32)
    table = Table(columns=tuple(map(str, range(values.shape[1]))), values=values)
    return replace(rows, train_table=table, test_table=table)


@pytest.mark.slow
@pytest.mark.parametrize("network", list(NETWORKS))
def test_every_network_of_the_bundled_spaces_takes_a_step(network: str) -> None:
    competition, hyperparameters = NETWORKS[network]
    data = made_up_data(competition, made_up_rows(competition), hyperparameters)
    data = replace(data, train_rows=data.train_rows[:2], valid_rows=data.valid_rows[:2])
    (metrics,) = Fit(data, hyperparameters, SETTINGS).epochs()
    assert np.isfinite(metrics.train_loss)
