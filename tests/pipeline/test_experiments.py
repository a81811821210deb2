from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kaggle_ray.config import SearchSpace, with_seeds
from kaggle_ray.pipeline.experiments import make_experiments
from kaggle_ray.train.content import Content
from kaggle_ray.types import JsonValue

values_of_experiments = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["resnet18", "small_resnet"]),
        "model_args": st.dictionaries(st.sampled_from(["width", "dropout", "lr"]), st.integers(0, 9), max_size=3),
        "lr": st.integers(1, 3) | st.floats(1e-6, 10),
        "epochs": st.integers(1, 100),
    },
)


def names(space: SearchSpace) -> list[str]:
    return [e.name for e in make_experiments(space.expand(), Content())]


def test_a_name_is_the_model_and_what_tells_the_experiments_apart() -> None:
    assert names(SearchSpace(base={"epochs": 3}, grid={"lr": [1e-2, 1e-3]})) == [
        "resnet18 lr=0.01", "resnet18 lr=0.001",
    ]  # fmt: skip
    assert names(SearchSpace(experiments=[{"model": "resnet18"}, {"model": "resnet34"}])) == ["resnet18", "resnet34"]
    assert names(SearchSpace()) == ["resnet18"]


def test_what_is_kept_of_an_experiment_names_it_where_nothing_else_tells_it_from_another() -> None:
    kept: list[dict[str, JsonValue]] = [{"lr": 1e-2, "keep_epochs": [1]}, {"lr": 1e-3, "keep_epochs": []}]
    assert names(SearchSpace(experiments=kept)) == ["resnet18 lr=0.01", "resnet18 lr=0.001"]
    assert names(SearchSpace(experiments=[*kept, {"lr": 1e-3, "keep_epochs": [2]}])) == [
        "resnet18 lr=0.01", "resnet18 keep_epochs=[] lr=0.001", "resnet18 keep_epochs=[2] lr=0.001",
    ]  # fmt: skip


def test_a_long_name_has_no_more_than_tells_the_experiments_apart() -> None:
    tuned: dict[str, JsonValue] = {"freeze": "none", "image_size": 192, "batch_size": 16, "epochs": 8, "lr": 1e-3}
    space = SearchSpace(
        base={"pretrained": True, "freeze": "backbone", "image_size": 224, "batch_size": 32, "epochs": 30, "lr": 3e-3},
        experiments=[{"model": "resnet18"}, {"model": "resnet34"}, {"model": "resnet18", **tuned}],
    )
    assert names(space) == ["resnet18 freeze=backbone", "resnet34 freeze=backbone", "resnet18 freeze=none"]
    crossed: list[dict[str, JsonValue]] = [
        {"lr": lr, "epochs": epochs, "label_smoothing": lr} for lr in (1e-3, 1e-2) for epochs in (10, 200)
    ]
    assert names(SearchSpace(experiments=crossed))[0] == "resnet18 epochs=10 label_smoothing=0.001 lr=0.001", (
        "short names say all that varies"
    )


@given(st.lists(values_of_experiments, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_names_tell_experiments_apart(experiments: list[dict[str, JsonValue]]) -> None:
    space = SearchSpace(experiments=experiments)
    assert len(set(names(space))) == len(space.expand())


def test_a_child_names_its_parent_by_its_id() -> None:
    space = SearchSpace(
        base={"image_size": 128}, experiments=[{"init_from": {"image_size": 64, "init_from": {"image_size": 32}}}, {}]
    )
    experiments = make_experiments(space.expand(), Content())
    assert [experiment.parent_id for experiment in experiments] == [
        None, experiments[0].experiment_id, experiments[1].experiment_id, None,
    ]  # fmt: skip


def test_a_childs_seeds_start_from_parents_of_the_same_seeds() -> None:
    hyperparameter_sets = SearchSpace(base={"init_from": {"epochs": 3}}).expand()
    seeded = with_seeds(hyperparameter_sets, 2)
    experiments = make_experiments(seeded, Content())
    by_id = {experiment.experiment_id: experiment for experiment in experiments}
    children = [experiment for experiment in experiments if experiment.parent_id is not None]
    assert [child.hyperparameters["seed"] for child in children] == [0, 1]
    assert [by_id[child.parent_id or ""].hyperparameters["seed"] for child in children] == [0, 1]
    for child in children:
        assert experiments.index(by_id[child.parent_id or ""]) < experiments.index(child)
