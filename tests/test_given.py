from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import kaggle_ray
from kaggle_ray import given
from kaggle_ray.config.loading import load_attribute, module_of
from kaggle_ray.errors import ConfigError
from kaggle_ray.models.registry import MODELS, SEGMENTERS
from kaggle_ray.train.content import registered_code
from kaggle_ray.train.losses import LOSSES
from kaggle_ray.train.optimizers import OPTIMIZERS
from kaggle_ray.train.sampling import SAMPLERS
from kaggle_ray.train.schedules import SCHEDULES

LIBRARY = """
from torch import nn


class Net(nn.Module):
    def __init__(self, num_outputs, num_channels=3):
        super().__init__()


def segmenter(num_outputs, num_channels, num_table_features):
    return nn.Conv2d(num_channels, num_outputs, 1)


def squared(head, count):
    return lambda logits, targets: (logits - targets).square().mean(dim=1)
"""


def hyperparameters(**values: Any) -> kaggle_ray.Hyperparameters:
    return kaggle_ray.Hyperparameters(**values)


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, empty in (("_asked", set[Any]()), ("_given", dict[Any, Any]()), ("_home", list[Any]())):
        monkeypatch.setattr(given, name, empty)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "given_library.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("given_library")
    sys.modules.pop("given_library", None)


def another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, empty in (("_asked", set[Any]()), ("_given", dict[Any, Any]())):
        monkeypatch.setattr(given, name, empty)
    sys.modules.pop("given_library", None)


def test_what_can_be_imported_need_not_be_registered_and_each_process_finds_it(
    library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = hyperparameters(model=library.Net, loss=library.squared, optimizer=torch.optim.ASGD)
    assert (point.model.name, point.loss.name) == ("given_library:Net", "given_library:squared")
    assert OPTIMIZERS[point.optimizer.name] is torch.optim.ASGD
    assert LOSSES["given_library:squared"].argument_names == ()
    assert "given_library:Net" in MODELS
    assert "given_library:Net" not in SEGMENTERS
    assert "given_library:squared" not in SCHEDULES, "it was given as a loss"
    values, code, travels = point.to_dict(), registered_code([point]), given.to_import()
    another_process(monkeypatch)
    again = hyperparameters(**values)
    assert "given_library:Net" not in MODELS, "nothing is imported on the word of a name"
    with pytest.raises(ConfigError, match=r"unknown model 'given_library:Net'\. Define it at the top level of the"):
        MODELS["given_library:Net"]
    given.import_given(travels)
    assert MODELS["given_library:Net"].__name__ == "Net"
    assert {*registered_code([again])} == {*code} == {"model given_library:Net", "loss given_library:squared",
                                                      "optimizer torch.optim.asgd:ASGD"}  # fmt: skip


def test_a_segmenter_that_is_given_is_one(library: Any) -> None:
    name = hyperparameters(model=library.segmenter).model.name
    assert name in SEGMENTERS
    assert name not in MODELS


def test_what_the_competitions_file_defines_or_imports_is_found_by_its_name(library: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"from given_library import squared\nimport os\n{LIBRARY}\nNUMBER = 1\n")
    load_attribute(file, "NUMBER", int)
    mine = module_of(file)
    given.set_home(mine)
    hyperparameters(model=":Net", loss=":squared", sampler=":os.system", schedule="os:system")
    assert MODELS[":Net"] is mine.Net
    assert ":os.system" not in SAMPLERS
    assert "os:system" not in SCHEDULES
    assert hyperparameters(loss=mine.squared).loss.name == ":squared"


def test_another_one_of_the_same_name_in_the_competitions_file_is_refused(tmp_path: Path) -> None:
    names = {}
    for name, power in (("mine", 1), ("other", 2)):
        file = tmp_path / f"{name}.py"
        file.write_text(f"NUMBER = {power}\ndef squared(head, count):\n    return {power}\n")
        load_attribute(file, "NUMBER", int)
        names[name] = module_of(file)
    given.set_home(names["mine"])
    point = hyperparameters(loss=names["other"].squared)
    with pytest.raises(ConfigError, match=r"loss ':squared': .*mine\.py has another one of this name"):
        LOSSES[point.loss.name]


def test_what_no_other_process_could_find_is_refused_with_what_to_write_instead(library: Any) -> None:
    def within(head: Any, count: Any) -> None: ...

    for it, what in ((lambda head, count: None, "is a lambda"), (within, "is defined within a function")):
        with pytest.raises(ConfigError, match=rf"'loss': .* {what}, .* Define it by def or class at the top level"):
            hyperparameters(loss=it)
    with pytest.raises(ConfigError, match=r"expected a name, a function or a class, got .*Give what makes it"):
        hyperparameters(model=torch.nn.Linear(1, 1))
    squared, library.squared = library.squared, None
    with pytest.raises(ConfigError, match=r"given_library\.squared is something else now"):
        hyperparameters(loss=squared)


def typed_calls(library: Any) -> None:
    """Never run: mypy reads it, and calls an ignore that is not needed an error."""
    kaggle_ray.Hyperparameters(model=torch.nn.Identity, optimizer=torch.optim.ASGD, lr=0.1).replace(
        loss=library.squared
    )
    kaggle_ray.Hyperparameters(init_from={"model": torch.nn.Identity, "epochs": 3})
    kaggle_ray.Hyperparameters(lr={1, 2})  # type: ignore[arg-type]
    kaggle_ray.SearchSpace(
        base={"model": torch.nn.Identity, "epochs": 3},
        grid={"optimizer": [torch.optim.ASGD, "adamw"], "lr": [0.1, 0.2]},
        experiments=[{"augment": typed_calls, "model_args": {"width": 8}}],
    )
    kaggle_ray.SearchSpace(base={"lr": {1, 2}})  # type: ignore[dict-item]
    kaggle_ray.run("toy", [{"model": torch.nn.Identity}], overrides={"optimizer": torch.optim.ASGD})
    kaggle_ray.run("toy", [{"lr": {1, 2}}])  # type: ignore[dict-item]
    kaggle_ray.choice([torch.nn.Identity, "resnet18"])  # type: ignore[list-item]


def test_a_choice_of_what_no_file_can_keep_says_what_to_write_instead() -> None:
    values: Any = ["adamw", torch.optim.ASGD]
    with pytest.raises(ConfigError, match=r"got <class 'torch.optim.asgd.ASGD'>\. Register it and draw"):
        kaggle_ray.choice(values)


def test_what_is_given_of_another_experiment_is_kept_by_its_name_too(library: Any) -> None:
    point = hyperparameters(
        init_from={"loss": library.squared, "init_from": {"optimizer": torch.optim.ASGD}},
        distill_from={"optimizer": torch.optim.ASGD},
    )
    assert point.parent is not None
    assert point.parent.loss.name == "given_library:squared"
    assert point.parent.parent is not None
    assert point.parent.parent.optimizer.name == "torch.optim.asgd:ASGD"
    assert json.loads(json.dumps(point.to_dict()))["distill_from"] == {"optimizer": "torch.optim.asgd:ASGD"}
    with pytest.raises(
        ConfigError, match="'model_args': expected of 'act' a value that a run's files can keep, got <cl"
    ):
        hyperparameters(model_args={"act": torch.nn.ReLU})
    with pytest.raises(ConfigError, match="'soup_of': expected of 'lr' a value that a run's files can keep"):
        hyperparameters(soup_of=[{"lr": torch.nn.ReLU}, {}])
