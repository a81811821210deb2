from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kaggle_ray import SearchSpace
from kaggle_ray.config.described import described
from kaggle_ray.config.loading import load_attribute
from kaggle_ray.config.packaged import PACKAGED
from kaggle_ray.config.settings import Machine
from kaggle_ray.data.opening import load_competition, open_competition
from kaggle_ray.pipeline.experiments import make_experiments
from kaggle_ray.train.content import Content
from kaggle_ray.types import short_digest

REPOSITORY = Path(__file__).resolve().parent.parent
DOGS = REPOSITORY.parent / "shared" / "data" / "dogs-vs-cats-redux-kernels-edition"
WEIGHTS = Content(weights={each.package: each.sha256 for each in PACKAGED.values()})
MACHINES = [Machine(num_cpus=2, num_gpus=0), Machine(num_cpus=16, num_gpus=1)]


@pytest.mark.parametrize("path", sorted((REPOSITORY / "competitions").glob("*.py")), ids=lambda path: path.stem)
@pytest.mark.parametrize("machine", MACHINES, ids=["cpu", "gpu"])
def test_every_competition_has_a_default_space_for_the_machine(path: Path, machine: Machine) -> None:
    competition, _ = load_competition(path)
    hyperparameter_sets = competition.default_space(machine.settings()).expand()
    assert competition.name == path.stem
    assert make_experiments(hyperparameter_sets, WEIGHTS)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "search_spaces").glob("*.py")), ids=lambda path: path.stem)
def test_every_search_space_expands_to_experiments_of_different_names(path: Path) -> None:
    hyperparameter_sets = load_attribute(path, "SPACE", SearchSpace).expand()
    names = [hyperparameters.name for hyperparameters in make_experiments(hyperparameter_sets, WEIGHTS)]
    assert len(set(names)) == len(names) > 0


def test_digits_are_all_there_once(tmp_path: Path) -> None:
    competition, _ = load_competition("digits")
    samples = open_competition(competition, tmp_path / "digits")[1]
    assert (len(samples.train_ids), len(samples.test_ids)) == (1437, 360)
    assert np.bincount(samples.target).min() > 100
    assert "label" not in (tmp_path / "digits" / "sample_submission.csv").read_text()


@pytest.mark.skipif(not DOGS.is_dir(), reason="the Dogs vs. Cats photographs are not here")
def test_dogs_vs_cats_reads_the_download() -> None:
    competition, _ = load_competition("dogs_vs_cats")
    samples = open_competition(competition, DOGS)[1]
    assert (len(samples.train_ids), len(samples.test_ids)) == (2000, 1000)
    assert samples.train_ids[0].startswith("cat.")
    assert samples.target[0] == 0
    assert samples.test_ids[:2].tolist() == ["1", "2"]
    assert samples.test_paths[:2] == (DOGS / "test" / "1.jpg", DOGS / "test" / "2.jpg")


@pytest.mark.parametrize(
    ("name", "digest"),
    {
        "digits": "9d34c795f735", "dogs_vs_cats": "ac0137ee6b81", "planet": "958b820ae32c", "carvana": "a0e21f7399c5",
        "tgs_salt": "1264d46f3774", "leaf": "f9f79c49f508", "cifar10": "4d94258f678b",
    }.items(),
)  # fmt: skip
def test_what_the_ids_of_past_runs_are_made_of_is_told_as_it_was(name: str, digest: str) -> None:
    """A field that a declaration gets is ``ADDED_LATER``, or every run there is would be begun anew."""
    assert short_digest(described(load_competition(name)[0])) == digest
