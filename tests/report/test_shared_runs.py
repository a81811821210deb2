"""A run's folder may be anybody's: whatever its files say, a command ends with an error of ours or with its result."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

import kaggle_ray
from kaggle_ray.errors import JsonShapeError, KaggleRayError
from kaggle_ray.report.collect import board_of, report_of
from kaggle_ray.report.html import render_report
from kaggle_ray.report.run_list import listed_runs, runs_table
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import RunStore
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import Trial
from kaggle_ray.untrusted import printable

FILES = (
    "run.json",
    "trials/*/fold0/result.json",
    "trials/*/fold0/attempts/*/manifest.json",
    "ensembles/auto/ensemble.json",
    "submissions/baseline.json",
    "submissions/submission.json",
)
NASTY: list[Any] = [
    None, True, False, 0, 1, -1, -3, 127, 10**9, 10**18, 1e9, 0.5, 1e308, -1e308, "", "..", "../..", "/etc/passwd", "a",
    ".", "a/b", "[/]", "[red]", "<script>", "\x1b[2J", "\ud800", "\0", "NaN", "0" * 300, [], {}, [[]], [1], [None],
    {"": 1}, {"../x": "y"}, ["a", "a"], {"a": {"b": []}},
]  # fmt: skip
"""What a field may be replaced by."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> Path:
    experiments = [{**TINY, "epochs": 1}, {**TINY, "epochs": 1, "seed": 1}]
    folder = tmp_path_factory.mktemp("shared_runs")
    return kaggle_ray.run(
        TOY_FILE, experiments=experiments, data=toy_data, runs=folder, launcher="local", reporters=[], device="cpu"
    ).run_dir


def shared(finished: Path, folder: Path, name: str = "shared") -> Path:
    return Path(shutil.copytree(finished, folder / "runs" / "toy" / name))


def file_of(run_dir: Path, pattern: str) -> Path:
    return sorted(run_dir.glob(pattern))[0]


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to each field and item of a JSON value."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def replaced(value: Any, path: tuple[str | int, ...], nasty: Any, *, is_removed: bool) -> Any:
    changed = copy.deepcopy(value)
    *ahead, last = path
    inner = changed
    for key in ahead:
        inner = inner[key]
    if is_removed:
        del inner[last]
    else:
        inner[last] = nasty
    return changed


def drawn(root: Path) -> str:
    console = Console(width=400, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(runs_table(listed_runs(root), title="Runs"))
    return console.export_text()


def without_digest(file: Path) -> dict[str, Any]:
    """Return what a file says, without the digest of it: whoever changes a file can change that as well."""
    value: dict[str, Any] = json.loads(file.read_text())
    return {name: item for name, item in value.items() if name != "sha256"}


def check_any_field(run_dir: Path, pattern: str, *, num_examples: int) -> None:
    """Replace fields of a file by what none of ours has, and look at the run by every command."""
    file = file_of(run_dir, pattern)
    good = without_digest(file)
    paths = sorted(places(good), key=str)

    @settings(max_examples=num_examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(st.sampled_from(paths), st.sampled_from(NASTY), st.booleans())
    def check(path: tuple[str | int, ...], nasty: Any, is_removed: bool) -> None:
        file.write_text(json.dumps(replaced(good, path, nasty, is_removed=is_removed)))
        with suppress(KaggleRayError):  # whatever else is raised is a fault of ours
            board_of(open_run(run_dir)).table().as_table()
            render_report(report_of(open_run(run_dir)))

    check()


@pytest.mark.parametrize("pattern", FILES)
def test_any_field_may_be_anything(pattern: str, finished: Path, tmp_path: Path) -> None:
    check_any_field(shared(finished, tmp_path), pattern, num_examples=25)


@pytest.mark.slow
@pytest.mark.parametrize("pattern", FILES)
def test_any_field_may_be_anything_whichever_it_is(pattern: str, finished: Path, tmp_path: Path) -> None:
    check_any_field(shared(finished, tmp_path), pattern, num_examples=200)


def set_field(run_dir: Path, pattern: str, **fields: Any) -> None:
    file = file_of(run_dir, pattern)
    file.write_text(json.dumps(without_digest(file) | fields))


@pytest.mark.timeout(300)
def test_one_bad_run_is_one_line_of_the_list_that_says_so(finished: Path, tmp_path: Path) -> None:
    shared(finished, tmp_path, "a_good_one")
    for name in ("no_json", "nothing", "missing", "endless", "many_folds", "bomb", "huge", "other_experiments"):
        shared(finished, tmp_path, name)
    runs = tmp_path / "runs/toy"
    (runs / "no_json/run.json").write_text("{")
    (runs / "nothing/run.json").write_text("{}")
    (runs / "missing/run.json").write_text(json.dumps({"schema_version": 3, "run_id": "missing"}))
    (runs / "endless/run.json").unlink()
    (runs / "endless/run.json").symlink_to("/dev/zero")
    set_field(runs / "many_folds", "run.json", num_folds=10**9)
    (runs / "bomb/run.json").write_text("[" * 10**6)
    with (runs / "huge/run.json").open("wb") as file:
        file.truncate(2**40)
    set_field(runs / "other_experiments", "run.json", experiments=[{"experiment_id": "../.."}])
    (runs / "a_fifo").mkdir()
    os.mkfifo(runs / "a_fifo/run.json")
    lines = drawn(tmp_path / "runs").splitlines()
    beneath = "".join("".join(lines).split()).split(f"{runs}/")[1:]  # lines are broken anywhere, also within a path
    errors = {error.partition("/")[0].partition(":")[0]: error for error in beneath}
    for name, why in {
        "no_json": "is not JSON", "nothing": "expected schema_version", "missing": "is missing",
        "endless": "regular file",
        "many_folds": "num_folds: expected from 1 to 127", "bomb": "nested deeper", "huge": "expected at most",
        "other_experiments": "experiments[0]: the field 'name' is missing", "a_fifo": "no regular file",
    }.items():  # fmt: skip
        assert any(f" {name} " in line for line in lines)
        assert "".join(why.split()) in errors[name], errors[name]
    (line,) = [line for line in lines if " a_good_one " in line]
    assert "4/4" in line


def test_what_nobody_thought_of_does_not_keep_the_other_runs_from_the_list(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared(finished, tmp_path, "one")
    shared(finished, tmp_path, "two")

    def fail(store: RunStore) -> None:
        raise KeyError("epoch_rule")

    monkeypatch.setattr("kaggle_ray.report.run_list.board_of", fail)
    unbroken = "".join(drawn(tmp_path / "runs").split())
    assert unbroken.count("cannotberead:KeyError:'epoch_rule'") == 2


@pytest.mark.parametrize("name", ["[/]", "[red]x[/red]", "[link=file:///etc]", "\x1b[2J", "a\rb", "\ud800"])
def test_a_name_is_shown_letter_by_letter(name: str, finished: Path, tmp_path: Path) -> None:
    run_dir = shared(finished, tmp_path)
    record = json.loads((run_dir / "run.json").read_text())
    record["experiments"][0]["name"] = record["metric"] = name
    (run_dir / "run.json").write_text(json.dumps(record))
    console = Console(width=400, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(board_of(open_run(run_dir)).table())
    text = console.export_text()
    assert printable(name) in text
    assert "\x1b" not in text
    assert printable(name) in drawn(tmp_path / "runs")


def test_a_name_is_no_html_in_the_report(finished: Path, tmp_path: Path) -> None:
    run_dir, name = shared(finished, tmp_path), "<script>alert(1)</script><img src=x onerror=alert(2)>\ud800"
    record = json.loads((run_dir / "run.json").read_text())
    record["experiments"][0]["name"] = record["metric"] = record["command"] = record["data"] = name
    record["classes"] = [name for _ in record["classes"]]
    (run_dir / "run.json").write_text(json.dumps(record))
    store = open_run(run_dir)
    page = store.file(store.save_report(render_report(report_of(store)))).read_text()
    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_no_attempt_id_leads_to_a_file_outside(finished: Path, tmp_path: Path) -> None:
    run_dir, precious = shared(finished, tmp_path), tmp_path / "precious"
    precious.mkdir()
    (precious / "weights.safetensors").write_bytes(b"kept")
    file = file_of(run_dir, "trials/*/fold0/result.json")
    trial = Trial(experiment_id=file.parent.parent.name, fold=0)
    for attempt_id in ("../..", os.path.relpath(precious, file.parent / "attempts"), str(precious), ".", "a/b"):
        set_field(run_dir, "trials/*/fold0/result.json", attempt_id=attempt_id)
        with pytest.raises(JsonShapeError, match="attempt_id: expected a name without slashes"):
            open_run(run_dir).result(trial)
    assert (precious / "weights.safetensors").read_bytes() == b"kept"


@pytest.mark.parametrize("shape", [(10**9, 10**9), (2**40, 1), (3, 10**12)])
def test_an_array_that_declares_more_than_there_is_is_refused(
    shape: tuple[int, int], finished: Path, tmp_path: Path
) -> None:
    run_dir = shared(finished, tmp_path)
    result_file = file_of(run_dir, "trials/*/fold0/result.json")
    (values,) = result_file.parent.glob("attempts/*/valid.npy")
    with values.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    result = without_digest(result_file)
    result["blobs"]["valid.npy"] = hashlib.sha256(values.read_bytes()).hexdigest()
    result_file.write_text(json.dumps(result))
    store = open_run(run_dir)
    read = store.result(Trial(experiment_id=result_file.parent.parent.name, fold=0))
    assert read is not None
    with pytest.raises(KaggleRayError):
        store.predictions(read)


@pytest.mark.parametrize(
    "fields",
    [
        {"members": []},
        {"weights": {}},
        {
            "members": [{"member_id": "a", "name": "a", "parts": [{"experiment_id": "a", "epochs": []}]}],
            "weights": {"a": 1},
        },
    ],
)
def test_an_ensemble_of_nothing_that_the_run_has_trained_predicts_nothing(
    fields: Mapping[str, Any], finished: Path, tmp_path: Path, toy_data: Path
) -> None:
    run_dir = shared(finished, tmp_path)
    set_field(run_dir, "ensembles/auto/ensemble.json", **fields)
    with pytest.raises(KaggleRayError, match="is not made of what the run has trained"):
        kaggle_ray.predict(run_dir, data=toy_data, out=tmp_path / "out.csv")
