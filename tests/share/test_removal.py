from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kaggle_ray.cli import main
from kaggle_ray.errors import ConfigError, LeaseError, StoreError
from kaggle_ray.share.corner import Corner
from kaggle_ray.share.index import SharedFile
from kaggle_ray.share.pull import find_shared, pull
from kaggle_ray.share.push import push
from kaggle_ray.share.removal import contents_of, contents_of_shared, remove_run, remove_shared
from kaggle_ray.store.opening import list_runs, open_run
from kaggle_ray.store.s3 import S3Blobs
from kaggle_ray.testing.s3 import s3_served

CopyOfRun = Callable[[str], Path]


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    pytest.importorskip("boto3")
    with s3_served("removal"):
        yield "s3://removal"


def test_a_removed_run_leaves_nothing(copy_of_run: CopyOfRun) -> None:
    run, other = copy_of_run("one"), copy_of_run("other")
    contents = contents_of(open_run(run))
    assert sum(contents.sizes.values()) == sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
    assert f"{run}: {len(contents.sizes)} files, " in str(contents)
    remove_run(open_run(run))
    assert not run.exists()
    assert (other / "run.json").exists()


@pytest.mark.service
def test_a_run_in_a_bucket_is_removed_and_the_one_beside_it_stays(bucket: str, finished: Path) -> None:
    for name in ("one", "one_more"):
        blobs = S3Blobs(f"{bucket}/toy/{name}", finished)
        for key in ("run.json", "folds.csv"):
            blobs.put(key, (finished / key).read_bytes())
    assert contents_of(open_run(f"{bucket}/toy/one")).sizes.keys() == {"run.json", "folds.csv"}
    remove_run(open_run(f"{bucket}/toy/one"))
    assert [run.run_id for run in list_runs(bucket)] == ["one_more"]
    assert open_run(f"{bucket}/toy/one").blobs.list("") == []


def test_a_run_that_is_driven_is_not_removed(copy_of_run: CopyOfRun) -> None:
    run = copy_of_run("one")
    with open_run(run).lease.held():
        with pytest.raises(LeaseError, match=r"a driver is at work on this run \(process \d+"):
            contents_of(open_run(run))
        with pytest.raises(LeaseError):
            remove_run(open_run(run))
    assert (run / "run.json").exists()


def test_a_folder_that_is_no_run_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "one.jpg").touch()
    with pytest.raises(StoreError, match="is no run"):
        contents_of(open_run(tmp_path / "photographs"))


def test_a_removal_that_is_cut_short_leaves_no_run(copy_of_run: CopyOfRun, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_run(copy_of_run("one"))

    def fail(*, keep: object) -> None:
        raise StoreError("killed")

    monkeypatch.setattr(store.blobs, "clear", fail)
    with pytest.raises(StoreError, match="killed"):
        remove_run(store)
    assert list_runs(Path(store.location).parent.parent) == []


def test_what_other_shared_runs_have_stays(copy_of_run: CopyOfRun, tmp_path: Path) -> None:
    place, one, changed = str(tmp_path / "place"), copy_of_run("one"), copy_of_run("changed")
    (changed / "reading.json").write_text(json.dumps({"schema_version": 3, "changed": True}))
    push(open_run(one), place, user="ann")
    push(open_run(changed), place, user="ann")
    push(open_run(one), place, user="bob")
    corner = Corner(place, "ann")
    num_before = len(corner.digests())
    remove_shared(place, "changed", user="ann")
    assert corner.runs() == (("toy", "one"),)
    assert len(corner.digests()) == num_before - 1
    ((_, revision),) = find_shared(place, user="ann")
    for file in revision.index.files.values():
        corner.check(SharedFile(sha256=file.sha256, num_bytes=file.num_bytes))
    assert contents_of_shared(place, "toy/one", user="ann").sizes.keys() == revision.index.files.keys()
    remove_shared(place, "one", user="ann")
    assert corner.digests() == frozenset()
    ((other, revision),) = find_shared(place)
    assert pull(other, revision.index, tmp_path / "shared", max_bytes=2**30).num_new_files > 10


def test_nothing_of_somebody_elses_is_removed(copy_of_run: CopyOfRun, tmp_path: Path) -> None:
    push(open_run(copy_of_run("one")), str(tmp_path / "place"), user="ann")
    with pytest.raises(ConfigError, match="no shared run of bob"):
        remove_shared(str(tmp_path / "place"), "one", user="bob")


def test_a_removal_is_asked_about(
    copy_of_run: CopyOfRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy_of_run("one")
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt: "n")
    with pytest.raises(SystemExit):
        main(["delete", str(run)])
    assert "weights" in capsys.readouterr().out
    assert (run / "run.json").exists()
    main(["delete", str(run), "--yes"])
    assert not run.exists()
