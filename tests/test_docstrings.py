"""Docstrings are read on hover, one at a time: each stands alone, beginning with what it says something about."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

FRAGMENT = re.compile(
    r"(See|Of|As|That|Those|By|For|With|In|At|From|So that|Such|Whose|None|Its|Their|The same)\b"
    r"|\([^)]*\)( each)?[.]?$"  # a shape, and nothing that has it
    r"|\([^)]*\),? (of|by|as|for|with) "
)


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of every docstring: of modules, classes and functions, and those below a field."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                text = statement.value.value
                if isinstance(text, str):
                    yield statement.lineno, text.strip()


def fragments(source: str) -> list[tuple[int, str]]:
    return [(line, text.splitlines()[0]) for line, text in docstrings(source) if text and FRAGMENT.match(text)]


def test_every_docstring_can_be_read_alone() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}: {text}"
        for path in sorted((REPOSITORY / "kaggle_ray").rglob("*.py"))
        for line, text in fragments(path.read_text())
    ]
    assert not found, "Say first what it is, as if nothing stood above it:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "text", ["See Launcher.", "Of labels.", "(N,)", "(N, C) of all rows.", "Whose weights predict."]
)
def test_a_fragment_would_be_found(text: str) -> None:
    assert fragments(f'class Example:\n    field: int\n    """{text}"""\n') == [(3, text)]


@pytest.mark.parametrize("text", ["(N,) ids of the rows.", "Number of labels.", "Seen rows.", "Ofen."])
def test_a_sentence_is_none(text: str) -> None:
    assert not fragments(f'"""{text}"""\n')
