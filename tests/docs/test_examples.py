"""Every example of README.md, CONTRIBUTING.md and docs/ is executed, and every command in them exists.

The python blocks of a page run top to bottom in one namespace, in a folder of their own. A block that opens with a path
as its comment, such as ``# competitions/mine.py``, is a file: it is written there. Commands are parsed by the command
line itself; those in ``QUICK`` are run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from kaggle_ray.cli import commands

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
SLOW = frozenset({"docs/tutorials/competitions.md"})
"""Pages whose examples take more than a few seconds."""
OF_OTHERS = {"--help", "--record"}
"""Options of click, and of the scripts in tests/benchmarks."""
QUICK = {"kaggle-ray list", "kaggle-ray cache", "kaggle-ray --version"}
FILE_COMMENT = re.compile(r"# ([\w./-]+\.py)\n")
OPTION = re.compile(r"`(--[a-z-]+)")


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two fences, or is indented by four spaces."""

    language: str
    line: int
    """Of its first line in the page, from 0."""
    text: str


def blocks(page: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page, and its indented ones as language ``console``."""
    language, start, lines = "", 0, list[str]()
    is_fenced = False
    for number, line in enumerate(page.splitlines()):
        if line.startswith("```"):
            if is_fenced:
                yield Block(language, start, "\n".join(lines) + "\n")
            language, start, lines, is_fenced = line.removeprefix("```").strip(), number + 1, [], not is_fenced
        elif is_fenced:
            lines.append(line)
        elif line.startswith("    "):
            yield Block("console", number, line.strip() + "\n")
    assert not is_fenced, f"line {start}: a block that is not closed"


def shown(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


def examples(page: Path) -> list[Block]:
    return [block for block in blocks(page.read_text()) if block.language == "python"]


def commands_of(page: str) -> list[str]:
    """Return the lines of a page's shell examples that call us, without their comments."""
    lines = [
        line
        for block in blocks(page)
        if block.language in ("bash", "console", "sh")
        for line in block.text.splitlines()
    ]
    calls = [
        shlex.join(shlex.split(line, comments=True)) for line in lines if line.startswith(("kaggle-ray ", "python "))
    ]
    return [call.replace("python run.py", "kaggle-ray run") for call in calls if "benchmarks" not in call]


def run_page(page: str, *, name: str) -> dict[str, Any]:
    """Run the python blocks of a page in the working directory; return the names that they made."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.language != "python":
            continue
        if opening := FILE_COMMENT.match(block.text):
            file = Path(opening.group(1))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
            continue
        exec(compile("\n" * block.line + block.text, name, "exec"), namespace)
    return namespace


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=shown(page), marks=[pytest.mark.slow] if shown(page) in SLOW else [])
        for page in PAGES
        if examples(page)
    ],
)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(page.read_text(), name=shown(page))


def test_a_block_that_names_a_file_is_written_there_and_the_next_ones_share_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = "```python\n# models/own.py\nWIDTH = 8\n```\nThen:\n```python\na = 1\n```\n```python\nb = a + 1\n```\n"
    assert run_page(page, name="page")["b"] == 2
    assert Path("models/own.py").read_text() == "# models/own.py\nWIDTH = 8\n"


def test_a_failing_example_is_found_at_its_line() -> None:
    with pytest.raises(ZeroDivisionError) as error:
        run_page("one\n```python\ntwo = 2\nthree = 1 / 0\n```\n", name="page.md")
    assert error.traceback[-1].lineno == 3
    assert error.traceback[-1].frame.code.raw.co_filename == "page.md"


CALLS = sorted({call for page in PAGES for call in commands_of(page.read_text())})


@pytest.mark.parametrize("call", CALLS)
def test_a_command_of_the_docs_is_one_of_the_command_line(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, name, *arguments = shlex.split(call)
    if call in QUICK:
        done = CliRunner().invoke(commands, [name, *arguments])
        assert done.exit_code == 0, done.output
    else:
        assert name in commands.commands, f"{call}: there is no command {name!r}"
        commands.commands[name].make_context(name, arguments)


def test_commands_are_read_from_fences_and_from_indented_lines_without_their_comments() -> None:
    page = (
        "    kaggle-ray list    # runs\n```bash\npython run.py digits --set lr=1e-3\n```\n```python\nkaggle-ray\n```\n"
    )
    assert commands_of(page) == ["kaggle-ray list", "kaggle-ray run digits --set lr=1e-3"]


def options_of(command: click.Command) -> set[str]:
    """Return all options of a command, and of those in its group."""
    own = {word for parameter in command.params for word in (*parameter.opts, *parameter.secondary_opts)}
    below = command.commands.values() if isinstance(command, click.Group) else []
    return own.union(*map(options_of, below))


@pytest.mark.parametrize("page", [pytest.param(page, id=shown(page)) for page in PAGES])
def test_an_option_that_a_page_names_exists(page: Path) -> None:
    unknown = set(OPTION.findall(page.read_text())) - options_of(commands) - OF_OTHERS
    assert not unknown, f"{shown(page)} names {sorted(unknown)}"
