"""What a person reads counts rightly: one row, two rows; no message writes a plural after a number by itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaggle_ray.counted import counted

REPOSITORY = Path(__file__).resolve().parent.parent

NUMBER = re.compile(
    r"len\(.*\)$|sum\(.*\)$|int\(.*\)$|np\.count_nonzero\(.*\)$|(.*\.)?_?num_\w+(\(.*\))?$|.*\.size$|.*\.shape\[\d+\]$|"
    r"(how_)?many$|number$|count$|.*\bnum_bytes$"
)
PLURAL = re.compile(
    r" ((?!of|in|and|on|at|or|to|for|with|by|from|is|has|x|are|have|training)[A-Za-z-]+ ){0,2}([a-z]{2,}s)\b"
)
NO_NOUN = {"is", "was", "has", "does", "this", "as", "its", "draws", "takes", "others'"}
FILLED_IN = re.compile(r"%[,d]\w* ([a-z-]+ ){0,2}([a-z]{2,}s)\b")


def plurals_after_numbers(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each plural that an f-string or a line of the log writes after a number."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            for number, text in zip(node.values, node.values[1:], strict=False):
                if not (isinstance(number, ast.FormattedValue) and isinstance(text, ast.Constant)):
                    continue
                follows = PLURAL.match(str(text.value))
                if follows and follows[2] not in NO_NOUN and is_number(number):
                    yield number.lineno, f"{{{ast.unparse(number.value)}}}{follows[0]}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (found := FILLED_IN.search(node.value)):
            yield node.lineno, found[0]


def is_number(value: ast.FormattedValue) -> bool:
    """Return whether what an f-string says looks like a count; a constant, in capitals, is known to be several."""
    expression = ast.unparse(value.value)
    has_comma = value.format_spec is not None and ast.unparse(value.format_spec) == "f','"
    return expression.rpartition(".")[2].strip("_").isupper() is False and bool(has_comma or NUMBER.match(expression))


def test_no_message_writes_a_plural_after_a_number() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}: {text!r}"
        for path in sorted((REPOSITORY / "kaggle_ray").rglob("*.py"))
        for line, text in plurals_after_numbers(path.read_text())
    ]
    assert not found, "word these by kaggle_ray.counted.counted, so that one is not several:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        'f"{len(rows)} rows"',
        'f"{len(rows):,} test rows are missing"',
        'f"got {self.num_left} of {plan.num_trials} trials"',
        'f"{np.count_nonzero(is_cut)} numbers of the table"',
        'f"{total:,} bytes"',
        'logger.warning("%d events are lost", num_lost)',
    ],
)
def test_such_a_plural_would_be_found(source: str) -> None:
    assert len(list(plurals_after_numbers(source))) == 1


@pytest.mark.parametrize(
    "source",
    ["f\"{counted(len(rows), 'row')} missing\"", 'f"{name} takes no arguments"', 'f"fold {trial.fold} is missing"'],
)
def test_what_counts_rightly_is_left_alone(source: str) -> None:
    assert not list(plurals_after_numbers(source))


def test_one_is_no_plural() -> None:
    assert [counted(number, "group") for number in (0, 1, 2, 1200)] == [
        "0 groups",
        "1 group",
        "2 groups",
        "1,200 groups",
    ]
    assert [counted(2, noun) for noun in ("entry", "class", "batch", "box", "epoch")] == [
        "2 entries",
        "2 classes",
        "2 batches",
        "2 boxes",
        "2 epochs",
    ]
    assert [counted(number, "id has", "ids have") for number in (1, 2)] == ["1 id has", "2 ids have"]
