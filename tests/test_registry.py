from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import kaggle_ray
from kaggle_ray import registry
from kaggle_ray.combine import COMBINERS
from kaggle_ray.config.loading import load_attribute
from kaggle_ray.errors import ConfigError
from kaggle_ray.images.augment import RECIPES
from kaggle_ray.images.compose import AUGMENTATIONS
from kaggle_ray.metrics import METRICS
from kaggle_ray.models.registry import MODELS
from kaggle_ray.registry import Registry, registrations_undone
from kaggle_ray.train.constraints import CONSTRAINTS
from kaggle_ray.train.losses import LOSSES
from kaggle_ray.train.optimizers import OPTIMIZERS
from kaggle_ray.train.schedules import SCHEDULES

Builder = Callable[[], str]
REGISTER: dict[str, Callable[[str], Callable[[Any], Any]]] = {
    "model": kaggle_ray.register_model,
    "augmentation": kaggle_ray.register_augmentation,
    "constraint": kaggle_ray.register_constraint,
    "ensemble": kaggle_ray.register_combiner,
    "loss": lambda name: kaggle_ray.register_loss(name, "binary"),
    "optimizer": kaggle_ray.register_optimizer,
    "schedule": kaggle_ray.register_schedule,
    "metric": lambda name: kaggle_ray.register_metric(name, greater_is_better=True),
}
REGISTRIES: dict[str, Registry[Any]] = {
    "model": MODELS,
    "augmentation": AUGMENTATIONS,
    "constraint": CONSTRAINTS,
    "ensemble": COMBINERS,
    "loss": LOSSES,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "metric": METRICS,
}


@pytest.fixture
def shapes() -> Registry[Builder]:
    shapes: Registry[Builder] = Registry("shape", reserved=("none",))
    shapes.register("round")(lambda: "o")
    return shapes


def test_what_is_registered_is_found_by_its_name(shapes: Registry[Builder]) -> None:
    @shapes.register("square")
    def square() -> str:
        return "[]"

    assert square() == shapes["square"]() == "[]"
    assert [*shapes] == ["round", "square"]
    assert shapes.names() == ["none", "round", "square"]
    assert "square" in shapes
    assert "none" not in shapes
    assert len(shapes) == 2
    assert dict(shapes.items())["square"] is square


def test_an_unknown_name_suggests_the_nearest(shapes: Registry[Builder]) -> None:
    with pytest.raises(ConfigError, match=r"unknown shape 'rond'\. Did you mean 'round'\?"):
        shapes["rond"]
    with pytest.raises(ConfigError, match=r"unknown shape 'non'\. Did you mean 'none'\?"):
        shapes.check("non")
    shapes.check("none")
    shapes.check("round")


def test_a_name_is_given_once(shapes: Registry[Builder]) -> None:
    with pytest.raises(ConfigError, match=r"shape 'round' is registered twice: as .*<lambda> in .*_registry.py, and"):
        shapes.register("round")(str)
    assert shapes["round"]() == "o"
    with pytest.raises(ConfigError, match="shape 'none' is built in"):
        shapes.register("none")


def test_the_same_builder_may_come_again(shapes: Registry[Builder]) -> None:
    for text in ("a", "b"):

        @shapes.register("letter")
        def letter(text: str = text) -> str:
            return text

    assert shapes["letter"]() == "b", "the newer one counts"
    shapes.register("part")(partial(str, "x"))
    shapes.register("part")(partial(str, "y"))
    assert shapes["part"]() == "y"


def test_what_is_registered_need_not_be_the_builder_itself() -> None:
    lengths: Registry[int] = Registry("length")

    def length_of(build: Builder) -> int:
        return len(build())

    @lengths.register_as("word", length_of)
    def word() -> str:
        return "four"

    assert word() == "four"
    assert lengths["word"] == 4


def test_what_a_test_registers_is_gone_afterwards(shapes: Registry[Builder]) -> None:
    before = [*CONSTRAINTS]
    with registrations_undone():
        shapes.register("square")(lambda: "[]")
        kaggle_ray.register_constraint("mine")(lambda: lambda weight: weight)
        late: Registry[Builder] = Registry("late")
        late.register("one")(lambda: "1")
    assert [*shapes] == ["round"]
    assert [*CONSTRAINTS] == before
    assert len(late) == 0


@pytest.mark.parametrize("kind", REGISTER)
def test_every_kind_refuses_the_name_of_a_built_in_one(kind: str) -> None:
    for name in REGISTRIES[kind].names():
        with pytest.raises(ConfigError, match=f"{kind} '{name}' is built in"):
            REGISTER[kind](name)(lambda *args, **kwargs: None)


@pytest.mark.parametrize("kind", REGISTER)
def test_a_competitions_file_registers_anew_whenever_it_is_loaded_and_another_file_does_not(
    kind: str, tmp_path: Path
) -> None:
    more = {"loss": ", 'binary'", "metric": ", greater_is_better=True"}.get(kind, "")
    register = "register_combiner" if kind == "ensemble" else f"register_{kind}"
    text = (
        f"import kaggle_ray\n@kaggle_ray.{register}('mine'{more})\nclass Mine:\n    number = 1\n"
        "competition = 'loaded'\n"
    )
    file, other = tmp_path / "mine.py", tmp_path / "other.py"
    file.write_text(text)
    other.write_text(text)
    load_attribute(file, "competition", str)
    file.write_text(text.replace("= 1", "= 22"))
    load_attribute(file, "competition", str)
    registered = REGISTRIES[kind]["mine"]
    (mine,) = (
        value for value in (registered, *(getattr(registered, name, None) for name in ("build", "score_fn")))
        if hasattr(value, "number")
    )  # fmt: skip
    assert mine.number == 22
    with pytest.raises(ConfigError, match=rf"{kind} 'mine' is registered twice: as Mine in .*mine.py, and as Mine in"):
        load_attribute(other, "competition", str)


def test_a_notebooks_cell_registers_anew_though_each_version_of_it_has_another_file_name(
    shapes: Registry[Builder],
) -> None:
    for version in (1, 2):
        cell = compile(f"@shapes.register('mine')\ndef mine(): return '{version}'", f"/tmp/cell_{version}.py", "exec")
        exec(cell, {"__name__": "__main__", "shapes": shapes})
    assert shapes["mine"]() == "2"


def test_the_augmentations_without_albumentations_are_reserved() -> None:
    assert AUGMENTATIONS.reserved == tuple(RECIPES)


def test_a_loss_is_for_tasks_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"loss 'mine': expected one task or several of binary, .*, got none"):
        kaggle_ray.register_loss("mine")
    with pytest.raises(ConfigError, match=r"got \['binray'\]"):
        kaggle_ray.register_loss("mine", "binray")  # type: ignore[arg-type]


def test_every_registry_of_the_package_is_known_to_what_undoes() -> None:
    assert {id(each) for each in REGISTRIES.values()} <= {id(each) for each in registry._REGISTRIES}
