from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete, get_completion_class

from kaggle_ray.cli import commands
from kaggle_ray.errors import ConfigError
from kaggle_ray.pipeline import known_names, names
from kaggle_ray.pipeline.names import KINDS, Named, names_of
from kaggle_ray.registry import registrations_undone
from kaggle_ray.testing.command_line import said

OWN = """
from kaggle_ray.testing.toy import COMPETITION
from kaggle_ray import register_loss, register_optimizer
import torch


@register_optimizer("own")
class Own(torch.optim.SGD):
    \"\"\"Descend as SGD does.\"\"\"


@register_loss("own_loss", "binary")
def own_loss(head, count, power=2.0):
    return lambda logits, targets: (logits - targets).abs().mean(dim=1) ** power
"""


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_names_in_order_and_a_line_on_each(kind: str) -> None:
    found = names_of(kind)
    assert len(found) >= 3
    listed = [each.name for each in found]
    assert listed == sorted(listed)
    assert len(set(listed)) == len(listed)
    assert all(each.what and "\n" not in each.what for each in found)


def test_names_are_filtered_by_a_part_or_by_a_pattern() -> None:
    assert [each.name for each in names_of("metrics", "map_at")] == ["map_at_10", "map_at_3", "map_at_5"]
    assert [each.name for each in names_of("models", "resnet1?")] == ["resnet18"]
    assert [each.name for each in names_of("optimizers", "lion")] == ["clion", "clionc", "lion", "lionc"]
    assert names_of("losses", "no_such") == []
    with pytest.raises(ConfigError, match=r"there are no 'metric'\. Did you mean 'metrics'\?"):
        names_of("metric")


def test_what_torch_knows_is_kept_for_the_versions_that_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def constraints() -> Iterator[Named]:
        asked.append("constraints")
        yield Named(name="unit_norm", what="ours; arguments: axis")

    monkeypatch.setattr(names, "KINDS", {"constraints": constraints})
    expected = [Named(name="unit_norm", what="ours; arguments: axis")]
    assert names_of("constraints", cache_dir=tmp_path) == expected
    assert names_of("constraints", "unit", cache_dir=tmp_path) == expected
    assert names_of("constraints", "no_such", cache_dir=tmp_path) == []
    assert len(asked) == 1
    monkeypatch.setattr(known_names, "package_versions", lambda packages: dict.fromkeys(packages, "99"))
    assert names_of("constraints", cache_dir=tmp_path) == names_of("constraints") == expected
    assert len(asked) == 3, "once for the other versions, and once as nothing was to be kept"


def test_those_of_a_competitions_file_are_among_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    with registrations_undone():
        out, _, code = said(capsys, "names", "optimizers", "own", "--competition", str(file))
        assert (out.splitlines()[0].split()[:5], code) == (["own", "Descend", "as", "SGD", "does;"], 0)
        out, _, _ = said(capsys, "names", "losses", "own")
        assert out == "own_loss  for binary; arguments: power\n"
        assert said(capsys, "losses", "own")[0] == out
    for words in (["names", "losses", "own"], ["losses", "own"]):
        assert said(capsys, *words) == ("", "no losses are named like 'own'\n", 0)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("models", "resnet18"), ("losses", "huber"), ("metrics", "macro_f1"), ("augmentations", "dihedral")],
)
def test_what_is_asked_for_most_is_a_command_of_its_own(
    kind: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _, code = said(capsys, kind, name)
    assert code == 0
    assert name in [line.split()[0] for line in out.splitlines()]


@pytest.mark.parametrize(
    ("words", "incomplete", "expected"),
    [
        (["run"], "dig", ["digits"]),
        (["run"], "./mine.p", ["./mine.p"]),
        (["run", "digits", "--set"], "optimizer", ["optimizer=", "optimizer_args="]),
        (["run", "digits", "--space"], "digits_", ["digits_search"]),
        (["names"], "opt", ["optimizers"]),
        (["names", "losses", "--competition"], "plan", ["planet"]),
        (["show"], "leaf", ["leaf"]),
    ],
)
def test_a_shell_completes(words: list[str], incomplete: str, expected: list[str]) -> None:
    complete = ShellComplete(commands, {}, "kaggle-ray", "_KAGGLE_RAY_COMPLETE")
    found = [item.value for item in complete.get_completions(words, incomplete)]
    assert found == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_a_value_behind_an_equals_sign_is_completed_as_the_whole_word_where_a_shell_replaces_it(shell: str) -> None:
    complete_in = get_completion_class(shell)
    assert complete_in is not None
    complete = complete_in(commands, {}, "kaggle-ray", "_KAGGLE_RAY_COMPLETE")
    found = [item.value for item in complete.get_completions(["run", "digits"], "--space=digits_")]
    assert found == ["--space=digits_search"]
    assert [each.value for each in complete.get_completions(["run"], "dig")] == ["digits"]
    (path,) = complete.get_completions(["run", "digits"], "--space=./mine")
    assert (path.value, path.type) == ("./mine", "file"), "the shell itself completes paths"
