"""Names and notes that a search space has of its experiments: told everywhere, and no part of what is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import kaggle_ray
from kaggle_ray.errors import ConfigError
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import make_plan
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import JsonValue

BASE: dict[str, JsonValue] = {**TINY, "epochs": 1}
PLAIN: list[dict[str, JsonValue]] = [{**BASE, "lr": 1e-2}, {**BASE, "lr": 1e-3}]
NAMED: list[dict[str, JsonValue]] = [
    {**PLAIN[0], "name": "as last year", "notes": "0.31 on the board"},
    {**PLAIN[1], "notes": "too slow?"},
]


def options(data: Path, runs: Path, experiments: list[dict[str, JsonValue]], **more: Any) -> dict[str, Any]:
    return {
        "data": data, "runs": runs, "experiments": experiments, "launcher": "local", "device": "cpu", "threads": 1,
        **more,
    }  # fmt: skip


def planned(data: Path, runs: Path, experiments: list[dict[str, JsonValue]], **more: Any) -> Any:
    return make_plan(RunOptions(competition=TOY_FILE, **options(data, runs, experiments, **more)))


def test_a_run_tells_the_names_and_computes_what_it_would_without(toy_data: Path, tmp_path: Path) -> None:
    result = kaggle_ray.run(TOY_FILE, reporters=[], **options(toy_data, tmp_path, NAMED))
    without = planned(toy_data, tmp_path, PLAIN)
    assert [each.experiment_id for each in result.plan.experiments] == [e.experiment_id for e in without.experiments]
    assert result.plan.run_id == without.run_id
    store = open_run(result.run_dir)
    assert [each.name for each in store.experiments()] == ["as last year", without.experiments[1].name]
    assert [store.labels()[each.experiment_id].notes for each in without.experiments] == [
        "0.31 on the board", "too slow?",
    ]  # fmt: skip
    assert "as last year" in {row.name for row in result.board.rows}
    store.label(without.experiments[0].experiment_id, name="mine")
    again = kaggle_ray.run(TOY_FILE, reporters=[], **options(toy_data, tmp_path, NAMED))
    assert again.num_epochs_trained == 0
    assert "mine" in {row.name for row in again.board.rows}  # what was said later stays


def test_further_seeds_of_a_named_experiment_are_told_apart(toy_data: Path, tmp_path: Path) -> None:
    plan = planned(toy_data, tmp_path, NAMED[:1], seeds=2)
    names = [plan.labels[each.experiment_id].name for each in plan.experiments]
    assert names == ["as last year", "as last year seed=1"]


def test_a_name_is_of_one_experiment(toy_data: Path, tmp_path: Path) -> None:
    twice = [{**each, "name": "one"} for each in PLAIN]
    with pytest.raises(ConfigError, match=r"name 'one': the experiment .* has it already: one"):
        planned(toy_data, tmp_path, twice)
    both = [{**PLAIN[0], "name": name} for name in ("one", "two")]
    with pytest.raises(ConfigError, match="the space has it twice, by different names or notes"):
        planned(toy_data, tmp_path, both)
    with pytest.raises(ConfigError, match=r"experiments\[0\]: 'name': the grid makes 2 experiments of it"):
        kaggle_ray.SearchSpace(grid={"lr": [1e-2, 1e-3]}, experiments=[{"name": "one"}])
    with pytest.raises(ConfigError, match=r"experiments\[0\]: 'notes': a space that is searched"):
        kaggle_ray.SearchSpace(search={"lr": kaggle_ray.uniform(0.1, 0.2)}, experiments=[{"notes": "one"}])
    with pytest.raises(ConfigError, match=r"experiments\[0\]: 'name': expected a text, got 3"):
        kaggle_ray.SearchSpace(experiments=[{"name": 3}])
    space = kaggle_ray.SearchSpace(grid={"lr": [1e-2, 1e-3]}, experiments=[{"notes": "of both"}])
    assert [texts["notes"] for _, texts in space.texts()] == ["of both", "of both"]


def test_what_a_named_experiment_starts_from_is_not_named(toy_data: Path, tmp_path: Path) -> None:
    child: dict[str, JsonValue] = {**PLAIN[0], "init_from": {"lr": 1e-3}, "name": "child"}
    plan = planned(toy_data, tmp_path, [child])
    assert len(plan.experiments) == 2
    assert list(plan.labels) == [plan.experiments[1].experiment_id]
