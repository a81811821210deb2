"""Whatever a function of a competition's file raises ends in an error of ours, with the user's file and line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import kaggle_ray
from kaggle_ray.errors import KaggleRayError
from kaggle_ray.registry import registrations_undone
from kaggle_ray.testing.toy import TINY
from kaggle_ray.types import JsonValue

RAISED = (
    "ValueError('one')",
    "KeyError('one')",
    "EOFError('one')",
    "MemoryError('one')",
    "SystemExit('one')",
    "Own('one')",
)
"""What is raised; Own is no Exception, as KeyboardInterrupt is none."""

FILE = """
import dataclasses, torch
from torch import nn
from kaggle_ray import *
from kaggle_ray.testing import toy

class Own(BaseException): ...

def boom(*_, **__):
    raise {raised}

TOY, HEAD = toy.COMPETITION, toy.COMPETITION.heads[0]
COMPETITION = TOY
{body}
"""
LINE = 10
"""Line of FILE that raises."""

BODIES = {
    "file": "boom()",
    "read": "COMPETITION = dataclasses.replace(TOY, read=boom)",
    "resolve": "COMPETITION = dataclasses.replace(TOY, resolve=boom)",
    "prepare": "COMPETITION = dataclasses.replace(TOY, prepare=boom)",
    "default_space": "COMPETITION = dataclasses.replace(TOY, default_space=boom)",
    "reader": "COMPETITION = dataclasses.replace(TOY, reader=boom)",
    "metric": "COMPETITION = dataclasses.replace(TOY, heads=(dataclasses.replace(HEAD, metric=Metric(name='m', "
    "score_fn=boom, greater_is_better=True)),))",
    "augmentation": "register_augmentation('mine')(boom)",
    "loss": "register_loss('mine', 'binary')(boom)",
    "loss of a batch": "register_loss('mine', 'binary')(lambda head, count: boom)",
    "model": "register_model('mine')(boom)",
    "forward": "@register_model('mine')\nclass Mine(nn.Sequential):\n    def __init__(self, num_outputs):\n"
    "        super().__init__(nn.Flatten(), nn.Linear(192, num_outputs))\n    forward = boom",
    "constraint": "register_constraint('mine')(lambda: boom)",
    "sampler": "register_sampler('mine')(boom)",
    "optimizer": "register_optimizer('mine')(boom)",
    "schedule": "register_schedule('mine')(boom)",
    "combiner": "@register_combiner('mine')\nclass Mine:\n    fit = from_json = boom",
    "decision": "@register_decision('mine')\nclass Mine:\n    fit = default = apply = boom\n"
    "COMPETITION = dataclasses.replace(TOY, heads=(dataclasses.replace(HEAD, metric=dataclasses.replace("
    "metric_by_name('f1'), decision='mine')),))",
}
HYPERPARAMETERS: dict[str, dict[str, JsonValue]] = {
    "augmentation": {"augment": "mine"},
    "loss": {"loss": "mine"},
    "loss of a batch": {"loss": "mine"},
    "model": {"model": "mine", "model_args": {}},
    "forward": {"model": "mine", "model_args": {}},
    "constraint": {"constraint": "mine"},
    "sampler": {"sampler": "mine"},
    "optimizer": {"optimizer": "mine"},
    "schedule": {"schedule": "mine"},
}


def told(kind: str, raised: str, folder: Path, data: Path) -> str:
    """Return the error of ours that a run of a file ends in whose function of a kind raises."""
    file = folder / "mine.py"
    file.write_text(FILE.format(raised=raised, body=BODIES[kind]))
    experiments: Sequence[dict[str, JsonValue]] | None = [{**TINY, "epochs": 1, **HYPERPARAMETERS.get(kind, {})}]
    with registrations_undone(), pytest.raises(KaggleRayError) as caught:
        kaggle_ray.run(
            file, None if kind == "default_space" else experiments, data=folder / "new" if kind == "prepare" else data,
            runs=folder / "runs", launcher="local", reporters=[], device="cpu", threads=1,
            ensemble="mine" if kind == "combiner" else "auto",
        )  # fmt: skip
    return str(caught.value)


CASES = [(kind, RAISED[number % len(RAISED)]) for number, kind in enumerate(BODIES)]
CASES += [(kind, raised) for kind in ("read", "forward") for raised in ("SystemExit('one')", "EOFError('one')")]


@pytest.mark.parametrize(("kind", "raised"), CASES)
def test_what_a_users_function_raises_is_told_with_its_line(
    kind: str, raised: str, tmp_path: Path, toy_data: Path
) -> None:
    text = told(kind, raised, tmp_path, toy_data)
    assert f"line {LINE} of {tmp_path / 'mine.py'}: raise {raised}" in text
    assert raised.partition("(")[0] in text
