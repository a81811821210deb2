"""Whatever becomes of a file that is read back, a command ends as ever or in an error of ours that names the file.

The table: each kind of file x each tampering x the commands that read it. The quick test takes one command of each
pair of file and tampering, another one each time; the slow one takes the next two.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import kaggle_ray
from kaggle_ray.errors import KaggleRayError
from kaggle_ray.pipeline import known_names
from kaggle_ray.testing.command_line import said
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.train.checkpoint import pack

LOOKS = ("list", "board", "compare", "status", "diff", "explain", "report", "push", "predict", "ensemble")
"""Commands that look at trials."""
FILES: dict[str, tuple[str, ...]] = {
    "run.json": (*LOOKS, "evaluate", "submissions", "check", "run"),
    "folds.csv": ("evaluate", "predict", "push", "ensemble", "run"),
    "content.json": ("push", "run"),
    "reading.json": ("predict", "push", "run"),
    "results.json": LOOKS,
    "rounds/0.json": (*LOOKS, "run"),
    "events.jsonl": ("status", "board", "report", "run"),
    "lease.json": ("status", "run"),
    "lease.lock": ("status", "run"),
    "report.html": ("report", "run"),
    "trials/{proposed}/experiment.json": (*LOOKS, "run"),
    "trials/{first}/fold0/result.json": (*LOOKS, "evaluate", "run"),
    "trials/{first}/fold0/attempts/*/manifest.json": ("report", "push", "predict", "ensemble", "run"),
    "trials/{first}/fold0/attempts/*/valid.npy": ("report", "push", "ensemble", "evaluate", "run"),
    "trials/{first}/fold0/attempts/*/test.npy": ("report", "push", "ensemble", "run"),
    "trials/{first}/fold0/attempts/*/weights.safetensors": ("predict", "push", "run"),
    "ensembles/auto/ensemble.json": ("list", "board", "report", "evaluate", "predict", "push", "run"),
    "ensembles/auto/oof.npy": ("report", "evaluate", "push", "run"),
    "ensembles/auto/test.npy": ("report", "push", "run"),
    "ensembles/learnt.json": ("run",),
    "evaluation/rows.json": ("evaluate", "report", "push"),
    "evaluation/rows.npy": ("evaluate", "report", "push"),
    "evaluation/analysis.json": ("report",),
    "submissions/submission.json": ("submissions", "check", "report", "push", "list"),
    "submissions/submission.csv": ("check", "report", "push", "run"),
    "CHECKPOINT": ("run",),
    "CACHE/fingerprints.sqlite": ("predict", "run"),
    "CACHE/names.json": ("run",),
    "CACHE/images/*.json": ("predict", "run"),
    "CACHE/images/*/seal.json": ("predict", "run"),
    "CACHE/images/*/pixels.npy": ("predict", "run"),
}
"""Kind of file -> commands that read it. A name of CACHE is one of this machine's cache."""
EXPERIMENTS: list[dict[str, Any]] = [{**TINY, "epochs": 1, "lr": lr} for lr in (3e-2, 1e-2, 1e-6)]


@dataclass(frozen=True, slots=True)
class Place:
    """A finished run, a copy of it as it was, and its cache."""

    folder: Path
    data: Path
    run_dir: Path
    names: tuple[str, ...]

    def file(self, kind: str, root: Path) -> Path:
        """Return a file of a kind, below ``root``; where a tampered one is, it is looked for in the copy."""
        first, proposed = self.names[0], self.names[-1]
        if kind == "CHECKPOINT":
            return root / "run" / f"trials/{first}/fold1/checkpoint/state.safetensors"
        if kind.startswith("CACHE/"):
            pattern, below = kind.removeprefix("CACHE/"), "cache"
        else:
            pattern, below = kind.format(first=first, proposed=proposed), "run"
        original = sorted((self.folder / "kept" / below).glob(pattern))[0]
        return root / below / original.relative_to(self.folder / "kept" / below)

    def restore(self) -> None:
        for part in ("run", "cache"):
            shutil.rmtree(self.folder / part, ignore_errors=True)
            shutil.copytree(self.folder / "kept" / part, self.folder / part)


def finish(data: Path, folder: Path) -> kaggle_ray.RunResult:
    """Run, or resume, the race that is looked at."""
    return kaggle_ray.run(
        TOY_FILE, EXPERIMENTS, data=data, runs=folder / "runs", run_id="x", device="cpu", threads=1, launcher="local",
        reporters=[], policy="race", checkpoint_every_s=0.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("tampering")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAGGLE_RAY_CACHE", str(folder / "cache"))
        patch.setattr(known_names, "registered_names", lambda kind: set())  # as in a new process: names are kept
        result = finish(toy_data, folder)
        names = tuple(each.experiment_id for each in result.plan.experiments)
        result.run_dir.rename(folder / "run")
        result.run_dir.symlink_to(folder / "run")  # so that both are copied by one rule
        found = Place(folder, toy_data, result.run_dir, names)
        for part in ("run", "cache"):
            shutil.copytree(folder / part, folder / "kept" / part)
        (folder / "checkpoint").write_bytes(pack({"weight": torch.ones(3)}, {"epoch": 1}))
        yield found


def commands(place: Place) -> dict[str, list[str]]:
    """Return the words of each command but ``run``, which is called as in a script."""
    run, data = str(place.run_dir), ["--data", str(place.data)]
    sample, team = str(place.data / "sample_submission.csv"), str(place.folder / "team")
    competition = ["--competition", str(TOY_FILE)]
    return {
        "list": ["list", "--runs", str(place.folder / "runs")],
        "board": ["board", run],
        "compare": ["board", run, "--csv"],
        "status": ["status", run, "--json"],
        "diff": ["diff", f"{run}/{place.names[0]}", f"{run}/{place.names[1]}"],
        "explain": ["explain", run, place.names[2]],
        "report": ["report", run],
        "evaluate": ["evaluate", run, *data, *competition],
        "submissions": ["submissions", run],
        "check": ["check", f"{run}/submissions/submission.csv", "--sample", sample, *competition, "--like", run],
        "push": ["push", run, str(place.folder / "place"), "--user", "eve"],
        "predict": ["predict", run, *data, "--out", str(place.folder / "new.csv")],
        "ensemble": ["ensemble", run, *data, *competition, "--out", team],
    }


# Tamperings ---------------------------------------------------------------------------------------------------------


def numbers_of(value: Any, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to each number of a JSON value."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield way
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, item in items:
        yield from numbers_of(item, (*way, key))


def with_number(data: bytes, number: float, *, turn: int) -> bytes:
    """Return a JSON text with one of its numbers replaced, another one at each turn."""
    value = json.loads(data)
    ways = [way for way in numbers_of(value) if way != ("schema_version",)]
    if not ways:
        return data
    *ahead, last = ways[turn % len(ways)]
    inner = value
    for key in ahead:
        inner = inner[key]
    inner[last] = number
    return json.dumps({name: item for name, item in value.items() if name != "sha256"}).encode()


def without_a_key(data: bytes, turn: int) -> bytes:
    value = json.loads(data)
    names = [name for name in value if name not in ("schema_version", "sha256")]
    left = {name: item for name, item in value.items() if name not in (names[turn % len(names)], "sha256")}
    return json.dumps(left).encode()


def with_version(data: bytes, version: Any) -> bytes:
    return json.dumps({**json.loads(data), "schema_version": version}).encode()


OF_ANY: dict[str, Callable[[bytes, int], bytes]] = {
    "emptied": lambda data, turn: b"",
    "cut in half": lambda data, turn: data[: len(data) // 2],
    "no UTF-8": lambda data, turn: b"\xff\xfe\x80" + data[3:],
    "another text": lambda data, turn: b"sample_id,fold\na,1\n",
    "a list": lambda data, turn: b"[]",
    "a number": lambda data, turn: b"7\n",
}
OF_JSON: dict[str, Callable[[bytes, int], bytes]] = {
    "without a key": without_a_key,
    "another version": lambda data, turn: with_version(data, 99),
    "a version in words": lambda data, turn: with_version(data, "three"),
    "NaN": lambda data, turn: with_number(data, float("nan"), turn=turn),
    "below 0": lambda data, turn: with_number(data, -1, turn=turn),
    "huge": lambda data, turn: with_number(data, 10**18, turn=turn),
    "no count": lambda data, turn: with_number(data, 1e308, turn=turn),
}
OF_FOLDS: dict[str, Callable[[bytes, int], bytes]] = {
    "a row in another fold": lambda data, turn: data.replace(b",1\n", b",0\n", 1),
    "two rows in each other's": lambda data, turn: (
        data.replace(b",1\n", b",2\n", 1).replace(b",0\n", b",1\n", 1).replace(b",2\n", b",0\n", 1)
    ),
}
OF_PLACE = ("gone", "a folder", "a link to nowhere", "not permitted")


def tamperings(kind: str) -> tuple[str, ...]:
    return (
        *OF_ANY,
        *(OF_JSON if kind.endswith(".json") else ()),
        *(OF_FOLDS if kind == "folds.csv" else ()),
        *OF_PLACE,
    )


@contextmanager
def forbidden(file: Path) -> Iterator[None]:
    """Forbid to open a file, as its permissions would to anybody but root."""

    def guarded(opens: Callable[..., Any]) -> Callable[..., Any]:
        def opened(path: Any, *args: Any, **options: Any) -> Any:
            if isinstance(path, str | os.PathLike) and os.path.realpath(path) == os.path.realpath(file):
                raise PermissionError(13, "Permission denied", str(path))
            return opens(path, *args, **options)

        return opened

    with pytest.MonkeyPatch.context() as patch:
        for module in (os, io, builtins):
            patch.setattr(module, "open", guarded(module.open))
        yield


def tamper(place: Place, kind: str, tampering: str, turn: int) -> Path:
    """Do to a file what the name of a tampering says; ``forbidden`` does the rest."""
    file = place.file(kind, place.folder)
    if kind == "CHECKPOINT":  # of a trial that has not ended
        shutil.rmtree(file.parent.parent)
        file.parent.mkdir(parents=True)
        shutil.copy(place.folder / "checkpoint", file)
    change = (OF_ANY | OF_JSON | OF_FOLDS).get(tampering)
    if change is not None:
        file.write_bytes(change(file.read_bytes(), turn))
    elif tampering != "not permitted":
        file.unlink()
        if tampering == "a folder":
            file.mkdir()
        elif tampering == "a link to nowhere":
            file.symlink_to("/nowhere/at/all")
    return file


def end_of(place: Place, command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the error of ours that a command ends in, empty where it ends as ever; another error is raised."""
    if command == "run":
        try:
            finish(place.data, place.folder)
        except KaggleRayError as error:
            return f"{type(error).__name__}: {error}"
        return ""
    _, err, code = said(capsys, *commands(place)[command])
    return err if code else ""


def check(place: Place, kind: str, capsys: pytest.CaptureFixture[str], *, first: int, num: int) -> None:
    """Tamper with a kind of file in each way, and call ``num`` of its commands from the ``first`` on."""
    of_kind, faults = FILES[kind], []
    for turn, tampering in enumerate(tamperings(kind)):
        names = {of_kind[(turn + first + more) % len(of_kind)] for more in range(num)}
        if "run" in names and turn % 3:  # it takes ten times as long as the others
            names = names - {"run"} | ({of_kind[0]} if of_kind[0] != "run" else set())
        for name in sorted(names):
            file = tamper(place, kind, tampering, turn)
            try:
                with forbidden(file) if tampering == "not permitted" else nullcontext():
                    error = end_of(place, name, capsys)
            except Exception as fault:
                faults.append(f"{tampering}, {name}: {type(fault).__name__}: {fault}")
            else:
                if error and "Error: " not in error:
                    faults.append(f"{tampering}, {name}: {error}")
            place.restore()
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_was_tampered_with_ends_in_no_traceback(
    kind: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    check(place, kind, capsys, first=list(FILES).index(kind), num=1)


@pytest.mark.parametrize("tampering", OF_FOLDS)
def test_no_command_takes_a_fold_that_somebody_has_changed(
    tampering: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    tamper(place, "folds.csv", tampering, 0)
    for command in FILES["folds.csv"]:
        error = end_of(place, command, capsys)
        assert "folds.csv: expected the sha256" in error, command
    place.restore()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["run.json", "trials/{first}/fold0/result.json", "events.jsonl", "folds.csv"])
def test_a_file_that_was_tampered_with_ends_in_no_traceback_by_any_command(
    kind: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    check(place, kind, capsys, first=list(FILES).index(kind) + 1, num=2)


def test_each_command_of_the_table_ends_as_ever_where_nothing_was_tampered_with(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (*commands(place), "run"):
        assert not end_of(place, command, capsys), command
    place.restore()
