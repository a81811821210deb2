"""What a space may draw values from, and what is refused on import, before anything is rented."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from kaggle_ray import SearchSpace, choice, int_uniform, log_uniform, uniform
from kaggle_ray.config import Search
from kaggle_ray.config.loading import load_attribute
from kaggle_ray.errors import ConfigError
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import JsonValue

SPACE = SearchSpace(
    base={"epochs": 2},
    experiments=[{"model": "resnet9"}, {"model": "small_resnet", "model_args": {"width": 8}}],
    search={
        "lr": log_uniform(1e-4, 1e-1),
        "batch_size": int_uniform(8, 32, step=8),
        "augment": choice(["light", "heavy"]),
    },
)


def search_of(space: SearchSpace, **named: Any) -> Search:
    defaults: dict[str, Any] = {"sampler": "random", "num_experiments": 6, "round_size": 3, "seed": 0}
    points = tuple(point.to_dict() for point in space.expand())
    return Search(points=points, distributions=space.search, **{**defaults, **named})


@pytest.mark.parametrize(
    ("distribution", "shares", "values"),
    [
        (uniform(0, 1), (0.0, 0.25, 0.999999), [0.0, 0.25, 1.0]),
        (uniform(0, 1), (1 / 3,), [0.3333]),
        (log_uniform(1e-5, 1e-1), (0.0, 0.5, 0.99999999), [1e-5, 1e-3, 1e-1]),
        (int_uniform(1, 3), (0.0, 0.34, 0.999), [1, 2, 3]),
        (int_uniform(10, 40, step=10), (0.0, 0.25, 0.5, 0.75), [10, 20, 30, 40]),
        (int_uniform(1, 100, log=True), (0.0, 0.999999), [1, 100]),
        (choice(["a", {"width": 8}]), (0.0, 0.49, 0.5), ["a", "a", {"width": 8}]),
    ],
)  # fmt: skip
def test_shares_of_all_draws_are_values(distribution: Any, shares: tuple[float, ...], values: list[JsonValue]) -> None:
    assert [distribution.at(share) for share in shares] == values


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: uniform(1, 1), r"uniform\(1, 1\): is empty"),
        (lambda: uniform(0, float("inf")), "expected finite numbers, got inf"),
        (lambda: uniform("0", 1), "expected finite numbers, got '0'"),  # type: ignore[arg-type]
        (lambda: log_uniform(0, 1), r"log_uniform\(0, 1\): expected more than 0"),
        (lambda: int_uniform(1, 2.5), "expected whole numbers, got 2.5"),  # type: ignore[arg-type]
        (lambda: int_uniform(1, 10, step=2), "step of at least 1 that leads from 1 to 10"),
        (lambda: int_uniform(1, 9, step=2, log=True), "step of 1 where the logarithm"),
        (lambda: choice(["light"]), "at least two values"),
        (lambda: choice([1, 2, 1]), "each of them once"),
        (lambda: choice("light"), "expected a list"),
    ],
)
def test_what_leaves_nothing_to_draw_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"search": {"learning_rate": uniform(0.1, 1)}}, "search: unknown hyperparameter 'learning_rate'"),
        ({"search": {"weight_decya": uniform(0, 1)}}, "Did you mean 'weight_decay'?"),
        ({"search": {"lr": [1e-3, 1e-2]}}, r"expected uniform\(...\).*got \[0.001, 0.01\]"),
        ({"base": {"lr": 1e-3}, "search": {"lr": uniform(0.1, 1)}}, "search: 'lr': base has it, too"),
        ({"grid": {"lr": [1e-3]}, "search": {"lr": uniform(0.1, 1)}}, "search: 'lr': grid has it, too"),
        ({"experiments": [{}, {"lr": 1.0}], "search": {"lr": uniform(0.1, 1)}}, r"experiments\[1\] has it"),
        ({"search": {"lr": uniform(0, 1)}}, "hyperparameter 'lr': expected more than 0, got 0.0"),
        ({"search": {"momentum": uniform(0.5, 1)}}, "hyperparameter 'momentum': expected from 0 to below 1, got 1.0"),
        ({"search": {"epochs": uniform(1, 3)}}, "hyperparameter 'epochs': expected int, got 1.0"),
        ({"search": {"tta": choice(["hflip", "hflop"])}}, "hyperparameter 'tta'.*got 'hflop'"),
        ({"base": {"init_from": {"epochs": 3}}, "search": {"lr": uniform(0.1, 1)}}, "expected no init_from"),
    ],
)
def test_a_space_that_cannot_work_fails_where_it_is_made(space: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SearchSpace(**space)


def test_a_file_with_a_misspelt_key_fails_on_import_and_is_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from kaggle_ray import SearchSpace, uniform\nSPACE = SearchSpace(search={'lrr': uniform(1, 2)})\n")
    with pytest.raises(ConfigError, match=r"mine.py: search: unknown hyperparameter 'lrr'. Did you mean 'lr'\?"):
        load_attribute(file, "SPACE", SearchSpace)


def test_what_is_searched_is_not_overridden() -> None:
    with pytest.raises(ConfigError, match="--set lr: the search space varies it"):
        SPACE.expand({"lr": 1.0})


def test_a_draw_is_put_into_a_point_and_found_again_in_the_experiment() -> None:
    search = search_of(SPACE)
    draw: dict[str, JsonValue] = {"point": 1, "lr": 0.02, "batch_size": 24, "augment": "heavy"}
    hyperparameters = search.hyperparameters(draw)
    assert hyperparameters.model.name == "small_resnet"
    assert hyperparameters.optimizer.lr == 0.02
    assert search.draw_of(hyperparameters.to_dict()) == draw
    assert search.draw_of(hyperparameters.replace(model="resnet18").to_dict()) is None


def test_the_extremes_have_each_end_and_each_choice_at_every_point() -> None:
    found = [(h.model.name, h.optimizer.lr, h.training.batch_size, h.images.augment) for h in search_of(SPACE).extremes]
    assert found == [
        (model, *values)
        for model in ("resnet9", "small_resnet")
        for values in ((1e-4, 8, "light"), (1e-1, 8, "light"), (1e-4, 32, "light"), (1e-4, 8, "heavy"))
    ]


def test_a_search_is_the_same_after_it_was_written_and_read() -> None:
    search = search_of(SPACE, sampler="tpe")
    read = from_json(Search, json.loads(json.dumps(asdict(search))), where="run.json")
    assert read == search
