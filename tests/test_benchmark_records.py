"""Benchmarks leave records that say what they depend on, and a page lists them all."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from rich.table import Table

BENCHMARKS = Path(__file__).parent / "benchmarks"
NO_BENCHMARKS = {"record", "racing_curves"}
"""What makes the page of records, and what runs the trials that a benchmark replays: neither measures anything."""
SCRIPTS = sorted(
    path for path in BENCHMARKS.glob("*.py") if "__main__" in path.read_text() and path.stem not in NO_BENCHMARKS
)
FACTS = {"benchmark", "date", "python", "packages", "hardware", "gpu", "code"}


@pytest.fixture(scope="module")
def record() -> ModuleType:
    spec = importlib.util.spec_from_file_location("record", BENCHMARKS / "record.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["record"] = module
    spec.loader.exec_module(module)
    return module


def table() -> Table:
    shown = Table("loop", "over the bare loop", title="micro", caption="a quiet machine")
    shown.add_row("ours", "1.03 (1.01 to 1.06)")
    return shown


def test_a_record_has_date_machine_versions_commit_command_note_and_what_was_printed(
    record: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/steps.py", "--rounds", "3", "--record"])
    measured = record.Measured(benchmark="steps", record=True, note="did not help")
    measured.show(table())
    path = measured.leave(tmp_path / "records", tmp_path / "RECORDS.md")
    left = json.loads(path.read_text())
    assert left.keys() >= FACTS
    assert left["command"] == "python tests/benchmarks/steps.py --rounds 3 --record"
    assert left["note"] == "did not help"
    assert left["hardware"]["num_cpus"] >= 1
    assert left["packages"]["torch"]
    assert left["tables"] == [
        {
            "title": "micro",
            "caption": "a quiet machine",
            "columns": ["loop", "over the bare loop"],
            "rows": [["ours", "1.03 (1.01 to 1.06)"]],
        }
    ]
    assert (
        f"| steps | {left['gpu'] or str(left['hardware']['num_cpus']) + ' cores'}"
        in (tmp_path / "RECORDS.md").read_text()
    )


def test_without_the_option_nothing_is_left(record: ModuleType, tmp_path: Path) -> None:
    measured = record.Measured(benchmark="steps", record=False)
    measured.show(table())
    assert measured.leave(tmp_path / "records", tmp_path / "RECORDS.md") is None
    assert not list(tmp_path.iterdir())


def test_the_index_lists_every_record(record: ModuleType) -> None:
    assert record.INDEX.read_text() == record.index_of(record.FOLDER), "run python tests/benchmarks/record.py"


@pytest.mark.parametrize("path", sorted((BENCHMARKS / "records").glob("*.json")), ids=lambda path: path.stem)
def test_a_record_says_what_its_figures_depend_on(path: Path) -> None:
    left = json.loads(path.read_text())
    assert left.keys() >= FACTS
    assert left.get("tables") or left.get("rows")
    assert "/" not in left.get("command", "").replace("tests/benchmarks/", ""), "a path of one machine"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_benchmark_can_leave_a_record(script: Path) -> None:
    text = script.read_text()
    assert "@record_options" in text or '"--record"' in text
