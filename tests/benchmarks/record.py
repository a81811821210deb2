"""What the benchmarks share: tables that are shown, and with ``--record`` left behind with all that they depend on.

A record is a JSON file in tests/benchmarks/records/: date, machine, versions, commit, command, a note, and the tables
as they were printed. tests/benchmarks/RECORDS.md lists them all, what did not help too; this writes it anew:

    python tests/benchmarks/record.py
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from kaggle_ray.pipeline.provenance import code_version, hardware, package_versions

FOLDER = Path(__file__).parent / "records"
INDEX = Path(__file__).parent / "RECORDS.md"
HEADER = """# Records of the benchmarks

Each line is a record that a script left with `--record`; `python tests/benchmarks/record.py` writes this page anew.
Compare figures of one machine only, and of a quiet one.

| date | benchmark | machine | commit | note | record |
|---|---|---|---|---|---|
"""
Command = TypeVar("Command", bound=Callable[..., Any])


def environment() -> dict[str, Any]:
    """Return where and when this is measured; what is not known is None."""
    code = code_version()
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": ".".join(map(str, sys.version_info[:3])),
        "packages": package_versions(),
        "hardware": asdict(hardware()),
        "gpu": _gpu(),
        "code": {"commit": code.commit, "changed": bool(code.diff)},
    }


def _gpu() -> str | None:
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


def record_options(command: Command) -> Command:
    """Add ``--record`` and ``--note``, which a script hands to ``Measured``."""
    command = click.option("--note", default="", help="What a reader of the record has to know.")(command)
    return click.option("--record", is_flag=True, help="Leave a dated record in tests/benchmarks/records/.")(command)


@dataclass(kw_only=True)
class Measured:
    """Tables of one call of a benchmark: shown as they come, recorded at the end."""

    benchmark: str
    record: bool
    note: str = ""
    width: int = 120
    tables: list[dict[str, Any]] = field(default_factory=list)

    def show(self, table: Table) -> None:
        """Print ``table`` and keep it for the record."""
        Console(width=self.width).print(table)
        cells = [[str(cell) for cell in column.cells] for column in table.columns]
        self.tables.append(
            {
                "title": str(table.title or ""),
                "caption": str(table.caption or ""),
                "columns": [str(column.header) for column in table.columns],
                "rows": [list(row) for row in zip(*cells, strict=True)],
            }
        )

    def leave(self, folder: Path = FOLDER, index: Path = INDEX) -> Path | None:
        """Write the record, and the index anew; return its path, None without ``--record``."""
        if not self.record:
            return None
        facts = environment()
        command = shlex.join(["python", f"tests/benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
        value = {"benchmark": self.benchmark, **facts, "command": command, "note": self.note, "tables": self.tables}
        folder.mkdir(parents=True, exist_ok=True)
        moment = facts["date"][:19].replace(":", "")
        path = folder / f"{moment}-{self.benchmark}.json"
        path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
        index.write_text(index_of(folder), encoding="utf-8")
        Console(width=self.width).print(f"recorded in {path.name}")
        return path


def index_of(folder: Path) -> str:
    """Return the page that lists all records of ``folder``, the newest first."""
    lines = [_line(json.loads(path.read_text()), path) for path in sorted(folder.glob("*.json"), reverse=True)]
    return HEADER + "".join(lines)


def _line(record: dict[str, Any], path: Path) -> str:
    hardware, code = record["hardware"], record["code"]
    machine = record["gpu"] or f"{hardware['num_cpus']} cores, {hardware['processor']}"
    commit = (code["commit"] or "unknown")[:7] + (" and changes" if code["changed"] else "")
    cells = [
        record["date"][:10],
        record["benchmark"],
        machine,
        commit,
        record.get("note", ""),
        f"[JSON](records/{path.name})",
    ]
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n"


if __name__ == "__main__":
    INDEX.write_text(index_of(FOLDER), encoding="utf-8")
