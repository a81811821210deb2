from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import kaggle_ray
from kaggle_ray.config.loading import load_attribute
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.declared import declaring_file
from kaggle_ray.errors import ConfigError
from kaggle_ray.registry import registrations_undone
from kaggle_ray.testing import toy
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.train.losses import LOSSES

CELL = (
    TOY_FILE.read_text().partition("TOY_FILE = ")[0]
    + """
from kaggle_ray import register_loss

@register_loss("halved", "binary")
def halved(head, count):
    return lambda logits, targets: ((logits.sigmoid() - targets) ** 2).mean(dim=1) / 2
"""
)


@pytest.fixture
def run_cell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], dict[str, Any]]]:
    """Run cells as a notebook does, and return the names that they have made."""
    shells = pytest.importorskip("IPython.core.interactiveshell")
    monkeypatch.setenv("KAGGLE_RAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # the shell takes its place
    shell = shells.InteractiveShell(user_module=ModuleType("__main__"))

    def run(source: str) -> dict[str, Any]:
        shell.run_cell(source, store_history=True).raise_error()
        names: dict[str, Any] = shell.user_ns
        return names

    with registrations_undone():
        yield run
    shell.history_manager.end_session()


def test_a_competition_of_a_cell_is_run_and_resumed_and_its_losses_come_with_it(
    run_cell: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    def result(competition: Competition) -> Any:
        return kaggle_ray.run(
            competition, experiments=[{**TINY, "epochs": 1, "loss": "halved"}], data=tmp_path / "data",
            runs=tmp_path / "runs", launcher="local", reporters=[],
        )  # fmt: skip

    first = run_cell(CELL)["COMPETITION"]
    assert first is not toy.COMPETITION
    done = result(first)
    second = run_cell(CELL)["COMPETITION"]  # the cell is run once more, as by another kernel
    assert second is not first
    assert result(second).run_dir == done.run_dir
    assert "halved" in LOSSES
    (file,) = (tmp_path / "cache").glob("notebook_cells/*/toy.py")
    assert file.read_text().rstrip() == CELL.rstrip()
    again = kaggle_ray.predict(done.run_dir, data=tmp_path / "data", competition=second, out=tmp_path / "new.csv")
    assert again.read_bytes() == done.submission.read_bytes()


def test_a_cell_that_does_not_stand_by_itself_is_an_error_with_its_line(
    run_cell: Callable[[str], dict[str, Any]],
) -> None:
    imports, _, rest = CELL.partition("CLASSES = ")
    run_cell(imports)
    competition = run_cell("CLASSES = " + rest)["COMPETITION"]
    with pytest.raises(ConfigError, match=r"toy\.py: does not run: NameError: name '\w+' is not defined .*line \d+"):
        kaggle_ray.run(competition)


def test_a_competition_that_a_module_has_is_that_of_its_file() -> None:
    assert declaring_file(toy.COMPETITION) == TOY_FILE.resolve()
    loaded = load_attribute(TOY_FILE, "COMPETITION", Competition)
    assert loaded is not toy.COMPETITION
    assert declaring_file(loaded) == TOY_FILE.resolve()


def test_a_competition_of_no_file_and_no_single_cell_is_refused() -> None:
    changed = dataclasses.replace(toy.COMPETITION, name="changed")
    with pytest.raises(ConfigError, match=r"changed: its file is not known.*COMPETITION = Competition\(\.\.\.\)"):
        kaggle_ray.run(changed)


def test_a_script_without_its_guard_is_told_where_the_call_belongs(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(CELL + "\nimport kaggle_ray\n\ndef main():\n    kaggle_ray.run(COMPETITION)\n\nmain()\n")
    with (
        registrations_undone(),
        pytest.raises(ConfigError, match=r"kaggle_ray\.run is called while .*script\.py is loaded.*__main__"),
    ):
        kaggle_ray.run(script)
