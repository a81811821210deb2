"""Every line of the page of troubles names a test that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "troubles.md").read_text()
LINES = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| trouble |")]
SHOWN_BY = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)` \|$")


def test_there_is_a_line_for_each_trouble() -> None:
    assert len(LINES) > 40


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split("|")[1].strip()[:60])
def test_a_trouble_is_shown_by_a_test_that_there_is(line: str) -> None:
    assert line.count("|") == 4, "a trouble, what is seen, and a test"
    found = SHOWN_BY.search(line)
    assert found, line
    file, name = found.groups()
    functions = [
        node.name for node in ast.parse((REPOSITORY / file).read_text()).body if isinstance(node, ast.FunctionDef)
    ]
    assert name in functions, f"{file} has no {name}"
