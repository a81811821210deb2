from __future__ import annotations

import dataclasses
import inspect
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kaggle_ray
from kaggle_ray.config import HYPERPARAMETER_NAMES, Hyperparameters, PredictHyperparameters, TestTimeAugmentation
from kaggle_ray.config.images import ImageHyperparameters
from kaggle_ray.config.part import flat_names
from kaggle_ray.errors import ConfigError


def test_each_name_is_in_one_part_only() -> None:
    parts = [type(getattr(Hyperparameters(), spec.name)) for spec in dataclasses.fields(Hyperparameters)]
    counts = Counter(name for part in parts for name in flat_names(part))
    assert {name for name, count in counts.items() if count > 1} == set()
    assert tuple(counts) == HYPERPARAMETER_NAMES


def test_flat_values_go_to_their_parts_and_come_back() -> None:
    hyperparameters = Hyperparameters(model="resnet34", model_args={"width": 4}, lr=1, schedule="step",
                                      schedule_args={"every": 3}, tta="hflip", seed=7)  # fmt: skip
    assert (hyperparameters.model.name, hyperparameters.model.args) == ("resnet34", {"width": 4})
    assert (hyperparameters.optimizer.name, hyperparameters.optimizer.lr) == ("adamw", 1.0)
    assert (hyperparameters.schedule.name, hyperparameters.schedule.args) == ("step", {"every": 3})
    assert (hyperparameters.predict.tta, hyperparameters.training.seed) == ("hflip", 7)
    values = hyperparameters.to_dict()
    assert tuple(values) == HYPERPARAMETER_NAMES
    assert values["lr"] == 1.0
    assert Hyperparameters(**values) == hyperparameters


@settings(deadline=None)  # the first example waits for other work of the machine
@given(lr=st.floats(1e-6, 1), epochs=st.integers(1, 99))
def test_what_is_replaced_is_checked_and_nothing_else_changes(lr: float, epochs: int) -> None:
    before = Hyperparameters(tta="hflip")
    after = before.replace(lr=lr, epochs=epochs)
    assert after.to_dict() == {**before.to_dict(), "lr": lr, "epochs": epochs}
    with pytest.raises(ConfigError, match="hyperparameter 'lr': expected more than 0, got 0"):
        after.replace(lr=0.0)


def test_a_misspelt_name_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown hyperparameter 'epoch'\. Did you mean 'epochs'\?"):
        kaggle_ray.Hyperparameters(epoch=3)


def test_help_lists_the_flat_names_with_their_defaults() -> None:
    parameters = inspect.signature(Hyperparameters).parameters
    assert tuple(parameters) == HYPERPARAMETER_NAMES
    assert parameters["lr"].default == 1e-3


@pytest.mark.parametrize(
    ("tta", "sizes", "expected"),
    [
        ("none", (64, 0), (64,)),
        ("hflip", (64, 32), (32,)),
        ("hflip_sizes", (64, 0), (64,)),
        ("hflip_sizes", (64, 32), (32, 40)),
        ("hflip_sizes", (36, 32), (32, 36)),
        ("scales", (64, 40), (32, 40, 50)),
        ("scales", (32, 0), (25, 32)),
        ("dihedral", (64, 0), (64,)),
    ],
)
def test_test_time_augmentation_predicts_at_these_heights(
    tta: TestTimeAugmentation, sizes: tuple[int, int], expected: tuple[int, ...]
) -> None:
    images = ImageHyperparameters(image_size=sizes[0], train_size=sizes[1])
    assert PredictHyperparameters(tta=tta).heights(images) == expected


@pytest.mark.parametrize(
    ("tta", "aspect", "expected"),
    [
        ("none", 1.0, ["as it is"]),
        ("hflip", 1.0, ["as it is", "mirrored"]),
        ("flips", 1.0, ["as it is", "turned by 180", "mirrored", "turned by 180, mirrored"]),
        ("dihedral", 1.5, ["as it is", "turned by 180", "mirrored", "turned by 180, mirrored"]),
        ("five_crop", 1.0, ["centre", "top left", "top right", "bottom left", "bottom right"]),
    ],
)
def test_test_time_augmentation_is_of_these_views(
    tta: TestTimeAugmentation, aspect: float, expected: list[str]
) -> None:
    views = PredictHyperparameters(tta=tta).views(ImageHyperparameters(aspect=aspect))
    assert [str(view) for view in views] == expected
