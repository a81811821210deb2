from __future__ import annotations

import inspect
import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaggle_ray.config import (
    HYPERPARAMETER_NAMES,
    Hyperparameters,
    SearchSpace,
    parse_hyperparameters,
    with_seeds,
)
from kaggle_ray.errors import ConfigError
from kaggle_ray.types import JsonValue, canonical_json

FLOAT_FIELDS = sorted(name for name, default in Hyperparameters().to_dict().items() if isinstance(default, float))


def test_help_tells_of_each_hyperparameter() -> None:
    told = dict(re.findall(r"^    (\w+): (.+)$", inspect.getdoc(Hyperparameters) or "", re.MULTILINE))
    assert [name for name in HYPERPARAMETER_NAMES if not told.get(name, "").endswith(".")] == []
    assert told["lr"].startswith("Peak learning rate")


# Types and ranges ---------------------------------------------------------------------------------------------------

WRONG: list[tuple[str, Any, str]] = [
    ("soup_of", 3, "expected a list"),
    ("soup", "lentils", "expected one of"),
    ("model", 18, "expected str, got 18"),
    ("model_args", "wide", "expected a dictionary, got 'wide'"),
    ("pretrained", "yes", "expected bool, got 'yes'"),
    ("trust_weights", "mine.pth", "expected bool, got 'mine.pth'"),
    ("image_size", -1, "expected at least 0, got -1"),
    ("train_size", -1, "expected from 0 to image_size, got -1"),
    ("train_size", 65, "expected from 0 to image_size, got 65"),
    ("start_size", 65, "expected from 0 to image_size, got 65"),
    ("batch_size", 0, "expected at least 1, got 0"),
    ("epochs", 0, "expected at least 1, got 0"),
    ("sampler", 3, "expected str, got 3"),
    ("epochs", 1.5, "expected int, got 1.5"),
    ("epochs", True, "expected int, got True"),
    ("optimizer", 3, "expected str, got 3"),
    ("optimizer_args", "betas", "expected a dictionary, got 'betas'"),
    ("lr", 0.0, "expected more than 0, got 0.0"),
    ("lr", -1e-3, "expected more than 0, got -0.001"),
    ("lr", "1e-3", "expected float, got '1e-3'"),
    ("lr", True, "expected float, got True"),
    ("lr", math.nan, "expected a finite number, got nan"),
    ("weight_decay", -0.1, "expected at least 0, got -0.1"),
    ("momentum", 1.0, "expected from 0 to below 1, got 1.0"),
    ("beta2", 1.0, "expected from 0 to below 1, got 1.0"),
    ("schedule", 3, "expected str, got 3"),
    ("schedule_args", 3, "expected a dictionary, got 3"),
    ("head", "avg", "expected a dictionary, got 'avg'"),
    ("freeze", "head", "expected one of none, norms, stages, backbone, got 'head'"),
    ("fuse", "sum", "expected one of mean, max, attention, lstm, transformer, got 'sum'"),
    ("freeze_epochs", -1, "expected at least 0, got -1"),
    ("freeze_stages", -1, "expected at least 0, got -1"),
    ("freeze_names", 1, "expected str, got 1"),
    ("gradient_checkpointing", 1, "expected bool, got 1"),
    ("accumulate", 0, "expected at least 1, got 0"),
    ("epoch_rule", "best", "expected one of last, inner, other_folds, scored_fold, got 'best'"),
    ("inner_share", 1.0, "expected above 0 and below 1, got 1.0"),
    ("patience", -1, "expected at least 0, got -1"),
    ("patience", 2, "expected 0 with epoch_rule last, got 2"),
    ("evaluate_every", 0, "expected at least 1, got 0"),
    ("average_best", 0, "expected at least 1, got 0"),
    ("average_best", 3, "expected 1 with epoch_rule last, got 3"),
    ("keep_epochs", [11], "expected epochs from 1 to 10, got 11"),
    ("keep_epochs", 5, "expected a list, got 5"),
    ("layer_decay", 1.5, "expected above 0 and at most 1, got 1.5"),
    ("clip_norm", -1.0, "expected at least 0, got -1.0"),
    ("loss", 1, "expected str, got 1"),
    ("distill_from", "resnet50", "expected a dictionary, got 'resnet50'"),
    ("distill_weight", 0.0, "expected above 0 and at most 1, got 0.0"),
    ("distill_out_of_fold", 1, "expected bool, got 1"),
    ("swa_epochs", 99, "expected at most epochs, which is 10, got 99"),
    ("pseudolabel_share", 1.0, "expected from 0 to below 1, got 1.0"),
    ("pseudolabel_kind", "firm", "expected one of soft, hard, got 'firm'"),
    ("pseudolabel_from", "resnet50", "expected a dictionary, got 'resnet50'"),
    ("pseudolabel_min_confidence", 1.5, "expected from 0 to 1, got 1.5"),
    ("temperature", 0.0, "expected more than 0, got 0.0"),
    ("loss_args", "focal", "expected a dictionary, got 'focal'"),
    ("warmup", 1.0, "expected from 0 to below 1, got 1.0"),
    ("warmup", -0.1, "expected from 0 to below 1, got -0.1"),
    ("label_smoothing", 1.0, "expected from 0 to below 1, got 1.0"),
    ("mixup", -1.0, "expected at least 0, got -1.0"),
    ("ema_decay", 1.0, "expected from 0 to below 1, got 1.0"),
    ("constraint", 3, "expected str, got 3"),
    ("constraint_args", 3.0, "expected a dictionary, got 3.0"),
    ("l1", -1e-4, "expected at least 0, got -0.0001"),
    ("augment", 1, "expected str, got 1"),
    ("augment_copies", -1, "expected at least 0, got -1"),
    ("aspect", 0.0, "expected from 0.1 to 10, got 0.0"),
    ("cutmix", -1.0, "expected at least 0, got -1.0"),
    ("tile", -1, "expected at least 0, got -1"),
    ("init_from", "resnet18", "expected a dictionary, got 'resnet18'"),
    ("tta", "vflip", "got 'vflip'"),
    ("seed", -1, "expected from 0 to 2**31 - 1, got -1"),
    ("seed", 2**31, "expected from 0 to 2**31 - 1, got 2147483648"),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG)
def test_a_value_of_the_wrong_type_or_range_is_named(name: str, value: JsonValue, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_hyperparameters({name: value}, where="experiment 3")
    assert str(caught.value).startswith(f"experiment 3: hyperparameter {name!r}: expected ")
    assert message in str(caught.value)


def test_every_hyperparameter_has_a_wrong_value_above() -> None:
    assert {name for name, *_ in WRONG} >= set(HYPERPARAMETER_NAMES)


@pytest.mark.parametrize("name", FLOAT_FIELDS)
@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_no_float_may_be_infinite_or_nan(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"hyperparameter '{name}': expected"):
        parse_hyperparameters({name: value}, where="here")


def test_the_defaults_are_in_range_and_plain_json() -> None:
    assert json.loads(canonical_json(Hyperparameters().to_dict()))["epochs"] == Hyperparameters().training.epochs


# Spaces -------------------------------------------------------------------------------------------------------------


def test_a_grid_is_expanded_in_order_the_last_key_fastest() -> None:
    space = SearchSpace(base={"epochs": 3}, grid={"lr": [1e-2, 1e-3], "seed": [0, 1, 2]})
    assert [(hyperparameters.optimizer.lr, hyperparameters.training.seed) for hyperparameters in space.expand()] == [
        (1e-2, 0), (1e-2, 1), (1e-2, 2), (1e-3, 0), (1e-3, 1), (1e-3, 2),
    ]  # fmt: skip
    assert {hyperparameters.training.epochs for hyperparameters in space.expand()} == {3}


def test_each_further_experiment_is_combined_with_the_grid_which_has_the_last_word() -> None:
    space = SearchSpace(
        base={"lr": 1.0}, experiments=[{"model": "resnet18"}, {"model": "resnet34", "lr": 2.0}], grid={"seed": [0, 1]}
    )
    assert [(each.model.name, each.optimizer.lr, each.training.seed) for each in space.expand()] == [
        ("resnet18", 1.0, 0), ("resnet18", 1.0, 1), ("resnet34", 2.0, 0), ("resnet34", 2.0, 1),
    ]  # fmt: skip


def test_thousands_of_points_are_told_apart_without_comparing_each_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[object] = []
    equal = Hyperparameters.__eq__

    def counting(self: Hyperparameters, other: object) -> bool:
        compared.append(other)
        return equal(self, other)

    monkeypatch.setattr(Hyperparameters, "__eq__", counting)
    space = SearchSpace(grid={"lr": [number / 1000 for number in range(1, 101)], "model_args": [{"width": [4]}, {}]})
    assert len(with_seeds(space.expand(), 2)) == 400
    assert len(compared) < 400


def test_equal_points_have_one_hash_however_their_arguments_are_spelt() -> None:
    alike: list[JsonValue] = [{"width": 4, "blocks": {"a": [1, 2]}}, {"blocks": {"a": [1.0, 2]}, "width": 4.0}]
    one, other = (Hyperparameters(model_args=args) for args in alike)
    assert one == other
    assert hash(one) == hash(other)


def test_duplicates_are_removed_also_where_they_are_spelt_differently() -> None:
    space = SearchSpace(grid={"lr": [1, 1.0, 2]}, experiments=[{}, {"seed": 0}])
    assert [hyperparameters.optimizer.lr for hyperparameters in space.expand()] == [1.0, 2.0]


def test_an_empty_space_is_the_default_experiment() -> None:
    assert SearchSpace().expand() == (Hyperparameters(),)


def test_an_override_replaces_what_the_base_says() -> None:
    space = SearchSpace(base={"epochs": 3}, grid={"lr": [1e-2]})
    assert [hyperparameters.training.epochs for hyperparameters in space.expand({"epochs": 5, "seed": 7})] == [5]
    assert [hyperparameters.training.seed for hyperparameters in space.expand({"epochs": 5, "seed": 7})] == [7]


OF_DICTIONARIES = SearchSpace(base={"model_args": {"width": 4, "blocks": [1]}}, grid={"loss_args": [{}, {"gamma": 2}]})


def test_an_override_with_a_dot_replaces_one_value_of_a_dictionary() -> None:
    def model_args(**overrides: JsonValue) -> JsonValue:
        (point, _) = OF_DICTIONARIES.expand({name.replace("__", "."): value for name, value in overrides.items()})
        return point.model.args

    assert model_args(model_args__width=8) == {"width": 8, "blocks": [1]}
    assert model_args(model_args__norm__eps=0.1) == {"width": 4, "blocks": [1], "norm": {"eps": 0.1}}
    assert model_args(model_args__width=8, model_args={"depth": 2}) == {"depth": 2, "width": 8}
    assert model_args(head__pooling="max") == model_args() == {"width": 4, "blocks": [1]}  # the space's own is left


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("modle_args.width", r"--set: unknown hyperparameter 'modle_args'\. Did you mean 'model_args'\?"),
        ("lr.head", r"--set lr\.head: expected a dictionary before the dot, got 0\.001"),
        ("model_args.width.deep", r"--set model_args\.width\.deep: expected a dictionary before the dot, got 4"),
        ("loss_args.gamma", r"--set loss_args\.gamma: the search space varies it"),
    ],
)
def test_an_override_with_a_dot_of_what_is_not_there_is_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OF_DICTIONARIES.expand({name: 8})


def test_an_override_with_a_dot_is_of_each_experiment_that_varies_the_dictionary_but_not_this_value() -> None:
    space = SearchSpace(
        base={"model_args": {"width": 2}, "loss_args": {"alpha": 0.5}},
        experiments=[{"model_args": {"width": 4, "blocks": [1]}}, {"model_args": {"width": 4, "blocks": [2]}}],
        grid={"loss_args": [{"gamma": 1}, {"gamma": 2}]},
    )
    of_base = SearchSpace(base=space.base, experiments=[*space.experiments, {"seed": 1}])
    with pytest.raises(ConfigError, match=r"--set model_args\.width: the search space varies it, 2 and 4 and 4"):
        of_base.expand({"model_args.width": 8})
    with pytest.raises(ConfigError, match=r"--set loss_args\.gamma: the search space varies it, 1 and 2"):
        space.expand({"loss_args.gamma": 3})
    assert [
        (each.model.args, each.loss.args) for each in space.expand({"model_args.width": 8, "loss_args.smooth": 1})
    ] == [({"width": 8, "blocks": [blocks]}, {"gamma": gamma, "smooth": 1}) for blocks in (1, 2) for gamma in (1, 2)]


@pytest.mark.parametrize(
    "space", [SearchSpace(grid={"lr": [1e-2]}), SearchSpace(experiments=[{"lr": 1e-2}, {"seed": 1}])]
)
def test_an_override_of_what_the_space_varies_is_refused(space: SearchSpace) -> None:
    with pytest.raises(ConfigError, match=r"--set lr: the search space varies it\. Override only what it fixes"):
        space.expand({"lr": 1.0})


@pytest.mark.parametrize("grid", [{"lr": 1e-3}, {"model": "resnet18"}])
def test_a_grid_value_that_is_no_list_is_refused(grid: dict[str, Any]) -> None:
    (name,) = grid
    with pytest.raises(ConfigError, match=rf"grid.*{name}.*list"):
        SearchSpace(grid=grid)


def test_a_bad_value_names_the_experiment() -> None:
    with pytest.raises(ConfigError, match=r"experiment 1: hyperparameter 'lr': expected more than 0, got -1"):
        SearchSpace(experiments=[{"lr": 1}, {"lr": -1}])


def test_the_points_of_a_space_do_not_share_what_can_be_changed() -> None:
    shared = {"width": 4}
    one, other = SearchSpace(base={"model_args": shared}, grid={"seed": [0, 1]}).expand()
    shared["width"] = 5
    assert one.model.args == other.model.args == {"width": 4}


# Progressive sizes --------------------------------------------------------------------------------------------------


@given(
    image_size=st.integers(1, 16).map(lambda number: 16 * number),
    start=st.integers(9, 256),
    epochs=st.integers(2, 60),
)
def test_the_training_size_only_grows_and_ends_at_the_size_that_is_predicted(
    image_size: int, start: int, epochs: int
) -> None:
    hyperparameters = Hyperparameters(image_size=image_size, start_size=min(start, image_size), epochs=epochs)
    sizes = [hyperparameters.size_at(epoch) for epoch in range(1, epochs + 1)]
    assert sizes == sorted(sizes)
    assert all(1 <= size <= image_size for size in sizes)
    assert sizes[-1] == hyperparameters.images.predict_size


def test_no_training_size_is_zero() -> None:
    assert Hyperparameters(image_size=64, start_size=8).size_at(1) >= 1


def test_a_training_size_that_is_no_multiple_of_16_is_reached_too() -> None:
    assert Hyperparameters(image_size=72, start_size=32, epochs=10).size_at(10) == 72


# Where weights come from ----------------------------------------------------------------------------------------------


def test_a_space_has_the_parents_before_their_children() -> None:
    space = SearchSpace(
        base={"image_size": 128}, experiments=[{"init_from": {"image_size": 64, "init_from": {"image_size": 32}}}, {}]
    )
    hyperparameter_sets = space.expand()
    assert [hyperparameters.images.image_size for hyperparameters in hyperparameter_sets] == [32, 64, 128, 128]
    assert hyperparameter_sets[1].parent == hyperparameter_sets[0]
    assert hyperparameter_sets[2].parent == hyperparameter_sets[1]
    assert hyperparameter_sets[3].parent is None


def test_children_share_a_parent() -> None:
    space = SearchSpace(base={"init_from": {"lr": 1e-2}}, grid={"lr": [1e-3, 1e-4]})
    assert [hyperparameters.optimizer.lr for hyperparameters in space.expand()] == [1e-2, 1e-3, 1e-4]


@pytest.mark.parametrize(
    "changed", [{"epoch_rule": "last"}, {"epoch_rule": "other_folds"}, {"inner_share": 0.2}, {"seed": 5}]
)
def test_a_parent_may_not_have_trained_on_the_rows_that_an_epoch_is_chosen_by(changed: dict[str, JsonValue]) -> None:
    child: dict[str, JsonValue] = {"epoch_rule": "inner", "init_from": {"image_size": 32, **changed}}
    with pytest.raises(ConfigError, match="would be chosen by rows that the experiment it starts from was trained on"):
        SearchSpace(base=child).expand()
    assert len(SearchSpace(base={**child, "init_from": {"image_size": 32}}).expand()) == 2
    assert len(SearchSpace(base={"init_from": {"epoch_rule": "inner", **changed, "epochs": 3}}).expand()) == 2


def test_init_from_is_checked() -> None:
    with pytest.raises(ConfigError, match="init_from: unknown hyperparameter 'image_sise'"):
        SearchSpace(base={"init_from": {"image_sise": 64}})
    with pytest.raises(ConfigError, match="expected values that differ"):
        SearchSpace(base={"lr": 0.5, "init_from": {"lr": 0.5}})


def test_sides_follow_the_aspect() -> None:
    assert parse_hyperparameters({"aspect": 1.5}, where="x").images.sides(128) == (128, 192)
    assert parse_hyperparameters({}, where="x").images.sides(101) == (101, 101)


def test_every_point_is_run_with_its_own_seed_and_the_next_ones() -> None:
    hyperparameter_sets = SearchSpace(base={"seed": 3}, grid={"lr": [0.1, 0.2]}).expand()
    assert [
        (hyperparameters.training.seed, hyperparameters.optimizer.lr)
        for hyperparameters in with_seeds(hyperparameter_sets, 2)
    ] == [
        (3, 0.1),
        (3, 0.2),
        (4, 0.1),
        (4, 0.2),
    ]
    assert with_seeds(hyperparameter_sets, 1) == hyperparameter_sets


def test_seeds_that_the_space_has_already_are_not_run_twice() -> None:
    hyperparameter_sets = SearchSpace(grid={"seed": [0, 1]}).expand()
    assert [hyperparameters.training.seed for hyperparameters in with_seeds(hyperparameter_sets, 2)] == [0, 1, 2]


def test_no_seeds_are_an_error() -> None:
    with pytest.raises(ConfigError, match="--seeds 0: expected at least 1"):
        with_seeds(SearchSpace().expand(), 0)


# What speaks against an honest score --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "foreign"),
    [
        ({}, ()),
        ({"weights": "IMAGENET1K_V1", "width": 3, "blocks": [1, 2]}, ()),
        ({"weights": "imagenet", "pretrained_cfg": "a1_in1k", "backbone": "timm/resnet18"}, ()),
        ({"weights": "/kaggle/input/x/resnet50.pth"}, ("/kaggle/input/x/resnet50.pth",)),
        ({"weights": "./mine"}, ("./mine",)),
        ({"checkpoint_path": "mine.tar"}, ("mine.tar",)),
        ({"pretrained_cfg_overlay": {"file": "w.bin", "num_classes": 2}}, ("w.bin",)),
        (
            {"pretrained_cfg": {"url": "https://x.org/w"}, "encoders": [{"hf_hub_id": "me/it"}]},
            ("https://x.org/w", "me/it"),
        ),
        ({"start": "a.safetensors", "parts": ["b.pt", "b.pt"]}, ("a.safetensors", "b.pt")),
    ],
)
def test_weights_that_are_not_the_librarys_own_are_untrusted_wherever_they_are_named(
    arguments: dict[str, JsonValue], foreign: tuple[str, ...]
) -> None:
    hyperparameters = Hyperparameters(model_args=arguments, pretrained=True)
    assert hyperparameters.model.foreign_weights == foreign
    assert (hyperparameters.why_unproven is None) == (not foreign)
    assert hyperparameters.replace(trust_weights=True).why_unproven is None


def test_what_an_experiment_learns_from_speaks_against_its_score() -> None:
    unproven: dict[str, JsonValue] = {"epoch_rule": "scored_fold", "epochs": 3}
    for values in (
        {"init_from": unproven},
        {"distill_from": unproven},
        {"init_from": {"epochs": 2, "init_from": unproven}},
    ):
        why = Hyperparameters(**values).why_unproven
        assert why is not None
        assert "of an experiment that it learns from: " in why
        assert why.endswith("(epoch_rule scored_fold)")
    assert Hyperparameters(init_from={"epochs": 3}, distill_from={"epochs": 4}).why_unproven is None
