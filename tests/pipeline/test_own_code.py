"""A run's folder may be anybody's: none of it is executed, and its record does not say which code is."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kaggle_ray
from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.cli import main
from kaggle_ray.config import loading
from kaggle_ray.config.sources import source_digests
from kaggle_ray.errors import ConfigError
from kaggle_ray.pipeline.result import RunResult
from kaggle_ray.testing.toy import TINY, TOY_FILE

TOY = "from kaggle_ray.testing.toy import COMPETITION\n"
REFUSED = r"is not run on the word of a run's record.*--competition NAME_OR_PATH"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A competition's file of the user's own."""
    (tmp_path / "project").mkdir()
    file = tmp_path / "project/mine.py"
    file.write_text(TOY)
    return file


def run(competition: Path | str, folder: Path, data: Path) -> RunResult:
    experiments = [{**TINY, "epochs": 1}]
    return kaggle_ray.run(
        competition, experiments=experiments, data=data, runs=folder / "runs", launcher="local", reporters=[],
        device="cpu",
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> RunResult:
    return run(TOY_FILE, tmp_path_factory.mktemp("own_code"), toy_data)


@pytest.fixture
def shared(tmp_path: Path, finished: RunResult) -> Path:
    """A copy of a run, as a team mate shares it."""
    return Path(shutil.copytree(finished.run_dir, tmp_path / "from_a_team_mate" / "run"))


def edit(run_dir: Path, **fields: Any) -> None:
    record = json.loads((run_dir / "run.json").read_text())
    (run_dir / "run.json").write_text(json.dumps(record | fields))


def evil(file: Path) -> Path:
    """Write a file that leaves a mark where it is executed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"open({str(file.parent / 'executed')!r}, 'w').close()\n{TOY}")
    return file


def was_executed(folder: Path) -> bool:
    return any(folder.rglob("executed"))


def content_with(run_dir: Path, file: Path) -> dict[str, Any]:
    """Return the record's content as if the run had been made with ``file``."""
    content: dict[str, Any] = json.loads((run_dir / "run.json").read_text())["content"]
    return {**content, "competition file": source_digests(file)}


def of_run_folder(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = evil(shared / "notes.py")
    edit(shared, competition_file=str(file), content=content_with(shared, file))


def beside_the_run(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = evil(shared.parent / "notes.py")
    edit(shared, competition_file=str(file), content=content_with(shared, file))


def by_a_relative_path(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = evil(shared.parent / "notes.py")
    monkeypatch.chdir(shared.parent)
    edit(shared, competition_file="notes.py", content=content_with(shared, file))


def by_a_link(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = evil(shared / "notes.py")
    (tmp_path / "link.py").symlink_to(file)
    edit(shared, competition_file=str(tmp_path / "link.py"), content=content_with(shared, file))


def of_the_working_folder(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = evil(shared.parent / "competitions/toy.py")
    monkeypatch.chdir(shared.parent)
    edit(shared, competition_file="/gone/toy.py", competition="toy", content=content_with(shared, file))


def under_the_name_of_an_installed_one(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = evil(shared.parent / "competitions/digits.py")
    monkeypatch.chdir(shared.parent)
    edit(shared, competition_file="/gone/digits.py", competition="digits", content=content_with(shared, file))


def in_the_place_of_the_users_own(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "project/mine.py"
    file.parent.mkdir()
    file.write_text(TOY)
    run(file, tmp_path, tmp_path / "data")
    evil(file)
    edit(shared, competition_file=str(file), content=content_with(shared, file))


@pytest.mark.parametrize(
    "prepare",
    [
        of_run_folder,
        beside_the_run,
        by_a_relative_path,
        by_a_link,
        of_the_working_folder,
        under_the_name_of_an_installed_one,
        in_the_place_of_the_users_own,
    ],
)
def test_code_that_only_a_record_names_is_not_run(
    prepare: Callable[[Path, Path, pytest.MonkeyPatch], None],
    shared: Path,
    tmp_path: Path,
    toy_data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(toy_data, tmp_path / "data")
    prepare(shared, tmp_path, monkeypatch)
    with pytest.raises(ConfigError, match=REFUSED):
        kaggle_ray.predict(shared, data=toy_data, out=tmp_path / "out.csv")
    assert not was_executed(tmp_path)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("name", ["a\0b.py", "x" * 5000, "x" * 300 + ".py", "", ".", "/", "/dev/zero", "\ud800.py"])
def test_a_path_that_can_be_none_is_refused_like_any_other(name: str, shared: Path, toy_data: Path) -> None:
    edit(shared, competition_file=name)
    with pytest.raises(ConfigError, match=REFUSED):
        kaggle_ray.predict(shared, data=toy_data, out=shared / "out.csv")


@pytest.mark.parametrize("name", ["../../notes", "/tmp/notes.py", "a/b", "..", ".hidden", "a\nb"])
def test_a_competition_whose_name_is_a_path_is_no_record(name: str, shared: Path, toy_data: Path) -> None:
    edit(shared, competition=name)
    with pytest.raises(kaggle_ray.KaggleRayError, match="competition: expected a name without slashes"):
        kaggle_ray.predict(shared, data=toy_data, out=shared / "out.csv")


def test_ones_own_run_is_predicted_with_by_naming_it_alone(own: Path, tmp_path: Path, toy_data: Path) -> None:
    result = run(own, tmp_path, toy_data)
    out = kaggle_ray.predict(result.run_dir, data=toy_data, out=tmp_path / "out.csv")
    assert out.read_bytes() == result.submission.read_bytes()


def test_a_competition_of_the_users_own_that_was_named_relatively_is_found_from_elsewhere(
    own: Path, tmp_path: Path, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own.parent / "competitions").mkdir()
    own.rename(own.parent / "competitions/mine.py")
    monkeypatch.chdir(own.parent)
    result = run("mine", tmp_path, toy_data)
    monkeypatch.chdir(tmp_path)
    assert kaggle_ray.predict(result.run_dir, data=toy_data, out=tmp_path / "out.csv").exists()


def test_a_version_that_was_run_before_is_known_when_it_is_restored(own: Path, tmp_path: Path, toy_data: Path) -> None:
    result = run(own, tmp_path, toy_data)
    own.write_text(f"{TOY}# a later thought\n")
    run(own, tmp_path, toy_data)
    with pytest.raises(ConfigError, match=r"mine\.py has changed since the run: mine\.py"):
        kaggle_ray.predict(result.run_dir, data=toy_data, out=tmp_path / "out.csv")
    own.write_text(TOY)
    assert kaggle_ray.predict(result.run_dir, data=toy_data, out=tmp_path / "out.csv").exists()


def test_what_a_competition_imports_beside_itself_counts(
    own: Path, tmp_path: Path, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(own.parent))
    (own.parent / "reading_of_mine.py").write_text("")
    own.write_text(f"import reading_of_mine\n{TOY}")
    result = run(own, tmp_path, toy_data)
    evil(own.parent / "reading_of_mine.py")
    with pytest.raises(ConfigError, match=r"you have not run .*mine\.py on this machine, as it is now"):
        kaggle_ray.predict(result.run_dir, data=toy_data, out=tmp_path / "out.csv")
    assert not was_executed(tmp_path)


def test_on_another_machine_the_user_names_the_competition(
    own: Path, tmp_path: Path, toy_data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    result = run(own, tmp_path, toy_data)
    monkeypatch.setenv("KAGGLE_RAY_CACHE", str(tmp_path / "cache_of_another_machine"))
    with pytest.raises(ConfigError, match=r"you have not run .*mine\.py on this machine"):
        kaggle_ray.predict(result.run_dir, data=toy_data, out=tmp_path / "out.csv")
    main(["predict", str(result.run_dir), "--data", str(toy_data), "--out", str(tmp_path / "out.csv"),
          "--competition", str(own)])  # fmt: skip
    assert (tmp_path / "out.csv").read_bytes() == result.submission.read_bytes()
    assert not caplog.records
    own.write_text(f"{TOY}# a later thought\n")
    with caplog.at_level(logging.WARNING):
        kaggle_ray.predict(result.run_dir, data=toy_data, out=tmp_path / "out.csv", competition=own)
    assert "is not what run" in caplog.text


def test_an_installed_competition_is_found_by_name_while_its_code_is_that_of_the_run(
    shared: Path, tmp_path: Path, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "installed/competitions/toy.py"
    installed.parent.mkdir(parents=True)
    installed.write_text(TOY)
    monkeypatch.setattr(loading, "_CHECKOUT", tmp_path / "installed")
    edit(shared, competition_file="/of/another/machine/toy.py", content=content_with(shared, installed))
    assert kaggle_ray.predict(shared, data=toy_data, out=tmp_path / "out.csv").exists()
    installed.write_text(f"{TOY}# of a later version\n")
    with pytest.raises(ConfigError, match=r"competitions/toy\.py has changed since the run: toy\.py"):
        kaggle_ray.predict(shared, data=toy_data, out=tmp_path / "out.csv")


def test_a_note_of_another_user_in_a_shared_cache_counts_for_nothing(
    own: Path, tmp_path: Path, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(own, tmp_path, toy_data)
    monkeypatch.setattr("os.getuid", lambda: 12345)
    with pytest.raises(ConfigError, match="you have not run"):
        kaggle_ray.predict(result.run_dir, data=toy_data, out=tmp_path / "out.csv")


def test_notes_are_no_entries_of_the_cache_and_outlive_its_clearing(own: Path, tmp_path: Path, toy_data: Path) -> None:
    result = run(own, tmp_path, toy_data)
    main(["cache", "--clear"])
    assert (default_cache_dir() / "own_code").is_dir()
    assert kaggle_ray.predict(result.run_dir, data=toy_data, out=tmp_path / "out.csv").exists()
