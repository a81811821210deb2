from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from kaggle_ray.config import Hyperparameters
from kaggle_ray.errors import ConfigError
from kaggle_ray.pipeline import known_names
from kaggle_ray.pipeline.known_names import check_known
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.plan import make_plan
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.train.sampling import register_sampler


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "smal_resnet"}, r"unknown model 'smal_resnet'\. Did you mean 'small_resnet'\? timm's models are"),
        ({"model": "timm/resnet18x.a1_in1k"}, r"unknown timm model 'resnet18x'\. Did you mean 'resnet18'\?"),
        ({"loss": "focl"}, r"unknown loss 'focl'\. Did you mean 'focal'\?"),
        ({"optimizer": "lino"}, r"unknown optimizer 'lino'\. Did you mean 'lion'\?"),
        ({"augment": "ligt"}, r"unknown augmentation 'ligt'\. Did you mean 'light'\?"),
        ({"sampler": "balancd"}, r"unknown sampler 'balancd'\. Did you mean 'balanced'\?"),
        ({"constraint": "max_nrm"}, r"unknown constraint 'max_nrm'\. Did you mean 'max_norm'\?"),
        ({"init_from": {"loss": "focl"}}, r"unknown loss 'focl'"),
    ],
)
def test_a_misspelt_name_is_told_before_any_file_is_looked_for(
    tmp_path: Path, wrong: dict[str, Any], message: str
) -> None:
    options = RunOptions(
        competition=TOY_FILE, data=tmp_path / "absent", runs=tmp_path, experiments=[TINY, {**TINY, **wrong}]
    )
    with pytest.raises(ConfigError, match=message):
        make_plan(options)


def test_names_that_are_kept_are_not_asked_for_again_until_other_versions_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def _losses() -> Iterable[str]:
        nonlocal asked
        asked += 1
        return ["default"]

    monkeypatch.setattr(known_names, "registered_names", lambda kind: set())  # as in a new process
    monkeypatch.setattr(known_names, "_SOURCES", {**known_names._SOURCES, "loss": (_losses,)})
    usual = [Hyperparameters(model="resnet9")]
    for _ in range(2):
        check_known(usual, tmp_path)
    with pytest.raises(ConfigError, match=r"unknown loss 'mse'\. Known: default\."):
        check_known([usual[0].replace(loss="mse")], tmp_path)
    assert asked == 1
    file = tmp_path / "names.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "versions": {"torch": "1.0"}}))
    check_known(usual, tmp_path)
    file.write_text("{torn")
    check_known(usual, tmp_path)
    assert asked == 3


def test_a_name_that_the_competitions_file_registers_is_known(tmp_path: Path) -> None:
    named = [Hyperparameters(model="resnet9", sampler="mine")]
    check_known([Hyperparameters(model="resnet9")], tmp_path)
    with pytest.raises(ConfigError, match="unknown sampler 'mine'"):
        check_known(named, tmp_path)
    register_sampler("mine")(lambda rows, generator: generator.permutation(len(rows.weights)))
    check_known(named, tmp_path)
