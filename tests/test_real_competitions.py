"""The competitions' files as Kaggle lays them out: real photographs where they are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kaggle_ray.data.competition import Competition
from kaggle_ray.data.opening import load_competition, open_competition
from kaggle_ray.data.samples import Samples

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def opened(name: str, folder: str) -> tuple[Competition, Samples]:
    if not (DATA / folder).is_dir():
        pytest.skip(f"the files of {folder} are not here")
    return open_competition(load_competition(name)[0], DATA / folder)


def test_planet_takes_its_tags_from_the_data() -> None:
    competition, samples = opened("planet", "natural-scenes-multilabel")
    assert competition.classes == ("desert", "mountains", "sea", "sunset", "trees")
    assert samples.target.shape == (400, 5)
    assert samples.target[0].tolist() == [0, 0, 1, 1, 0]
    assert len(samples.test_ids) == 200


def test_carvana_joins_masks_and_cars_by_name() -> None:
    _, samples = opened("carvana", "carvana-image-masking-challenge")
    assert (len(samples.train_ids), len(samples.test_ids)) == (32, 12)
    assert samples.groups is not None
    assert len(np.unique(samples.groups)) == 8
    assert samples.train_masks is not None
    for sample_id, mask in zip(samples.train_ids.tolist(), samples.train_masks, strict=True):
        assert mask.name == sample_id.replace(".jpg", "_mask.gif")
    assert samples.train_table is not None
    assert samples.train_table.values[0].tolist() == [1.0, 2012.0]


def test_salt_has_depths_and_the_share_of_foreground() -> None:
    _, samples = opened("tgs_salt", "tgs-salt-identification-challenge")
    assert (len(samples.train_ids), len(samples.test_ids)) == (400, 200)
    assert samples.train_table is not None
    assert samples.train_table.values[:2, 0].tolist() == [276.0, 639.0]
    assert 0 < (samples.target == 0).mean() < 1
    assert samples.target.max() <= 1


def test_leaf_takes_its_species_from_the_submissions_columns() -> None:
    competition, samples = opened("leaf", "leaf-classification")
    assert len(competition.classes) == 32
    assert competition.submission.columns == competition.classes
    assert samples.train_table is not None
    assert samples.train_table.values.shape == (160, 192)
    assert np.bincount(samples.target).tolist() == [5] * 32


def test_cifar_tells_training_images_from_test_images_of_the_same_number() -> None:
    _, samples = opened("cifar10", "cifar-10")
    assert (len(samples.train_ids), len(samples.test_ids)) == (2500, 1000)
    assert samples.train_ids[0] == "train_1"
    assert samples.test_ids[0] == "1"
    assert samples.train_paths[0] != samples.test_paths[0]
