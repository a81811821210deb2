"""Runs go to a shared place and come back as they were: whoever pushes, however often, whatever breaks on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kaggle_ray.errors import ConfigError, CorruptBlobError, LeaseError, StoreError
from kaggle_ray.report.collect import board_of
from kaggle_ray.share.corner import Corner
from kaggle_ray.share.index import ORIGIN_FILE, SharedFile
from kaggle_ray.share.keys import max_bytes_of
from kaggle_ray.share.pull import Pulled, find_shared, pull
from kaggle_ray.share.push import push
from kaggle_ray.share.view import open_shared
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.s3 import requests_counted, s3_served

CopyOfRun = Callable[[str], Path]
GIB = 2**30


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    pytest.importorskip("boto3")
    with s3_served("team"):
        yield "s3://team"


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A shared folder, nothing in it."""
    return str(tmp_path / "place")


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.service)])
def any_place(request: pytest.FixtureRequest, place: str, tmp_path: Path) -> str:
    """A shared place, nothing in it."""
    return place if request.param == "folder" else f"{request.getfixturevalue('bucket')}/{tmp_path.name}"


def contents(run: Path) -> dict[str, bytes]:
    """Return the files of a run that are shared."""
    files = {path.relative_to(run).as_posix(): path for path in run.rglob("*") if path.is_file()}
    return {key: path.read_bytes() for key, path in files.items() if max_bytes_of(key) is not None}


def pull_one(place: str, to: Path, user: str | None = None, max_bytes: int = GIB) -> Pulled:
    ((corner, revision),) = find_shared(place, user=user)
    return pull(corner, revision.index, to, max_bytes=max_bytes)


def test_what_is_pulled_is_what_was_pushed(any_place: str, finished: Path, tmp_path: Path) -> None:
    pushed = push(open_run(finished), any_place, user="ann")
    pulled = pull_one(any_place, tmp_path / "shared")
    assert pulled.folder == tmp_path / "shared" / "ann" / "toy" / finished.name
    assert contents(pulled.folder) == contents(finished)
    assert board_of(open_run(pulled.folder)).rows == board_of(open_run(finished)).rows
    assert {"report.html", "events.jsonl", "results.json", "lease.json"}.isdisjoint(pushed.index.files)
    assert pulled.num_new_files == len(pushed.index.files)


def test_a_shared_run_is_a_run_before_it_is_pulled(place: str, finished: Path) -> None:
    push(open_run(finished), place, user="ann")
    ((corner, revision),) = find_shared(place)
    store = open_shared(corner, revision.index)
    assert board_of(store).rows == board_of(open_run(finished)).rows
    with pytest.raises(StoreError, match="which is only read"):
        store.save_report("")


def test_what_is_there_is_not_sent_or_fetched_again(place: str, copy_of_run: CopyOfRun, tmp_path: Path) -> None:
    run = copy_of_run("one")
    first = push(open_run(run), place, user="ann")
    assert first.num_new_files > 10
    assert push(open_run(run), place, user="ann").num_new_files == 0
    assert push(open_run(copy_of_run("same")), place, user="ann").num_new_files == 0, "contents are shared by runs"
    ((corner, revision),) = find_shared(place, run_id="one")
    pulled = pull(corner, revision.index, tmp_path / "shared", max_bytes=GIB)
    assert pulled.num_new_files == len(first.index.files)
    assert pull(corner, revision.index, tmp_path / "shared", max_bytes=GIB).num_new_files == 0


def test_a_push_that_was_cut_short_shows_nothing_and_goes_on_where_it_was(
    place: str, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[SharedFile] = []
    put = Corner.put

    def put_five(self: Corner, file: SharedFile, content: Iterator[bytes]) -> None:
        if len(sent) == 5:
            raise StoreError("the network is gone")
        sent.append(file)
        put(self, file, content)

    monkeypatch.setattr("kaggle_ray.share.push._NUM_AT_ONCE", 1)
    with monkeypatch.context() as patch:
        patch.setattr(Corner, "put", put_five)
        with pytest.raises(StoreError, match="the network is gone"):
            push(open_run(finished), place, user="ann")
    assert Corner(place, "ann").runs() == ()
    assert len(Corner(place, "ann").digests()) == 5
    pushed = push(open_run(finished), place, user="ann")
    assert pushed.num_new_files == len({file.sha256 for file in pushed.index.files.values()}) - 5


def test_a_run_that_has_grown_is_pushed_and_pulled_again(place: str, copy_of_run: CopyOfRun, tmp_path: Path) -> None:
    run = copy_of_run("one")
    (result, *_) = sorted(run.glob("trials/*/fold1/result.json"))
    text = result.read_bytes()
    result.unlink()
    push(open_run(run), place, user="ann")
    half = pull_one(place, tmp_path / "shared")
    assert not (half.folder / result.relative_to(run)).exists()
    assert not list((half.folder / result.relative_to(run)).parent.glob("attempts/*/valid.npy"))
    result.write_bytes(text)
    (run / "ensembles/greedy/test.npy").unlink()
    (run / "ensembles/greedy/oof.npy").unlink()
    (run / "ensembles/greedy/ensemble.json").unlink()
    push(open_run(run), place, user="ann")
    assert contents(pull_one(place, tmp_path / "shared").folder) == contents(run)


def test_of_two_people_who_share_a_run_of_one_name_both_are_kept(
    place: str, copy_of_run: CopyOfRun, tmp_path: Path
) -> None:
    run = copy_of_run("one")
    push(open_run(run), place, user="ann")
    push(open_run(run), place, user="bob")
    assert [corner.user for corner, _ in find_shared(place)] == ["ann", "bob"]
    assert pull_one(place, tmp_path, user="bob").folder == tmp_path / "bob/toy/one"


def test_another_run_of_the_same_name_does_not_replace_the_first(place: str, copy_of_run: CopyOfRun) -> None:
    run = copy_of_run("one")
    push(open_run(run), place, user="root")
    before = find_shared(place)[0][1].index
    for result in run.glob("trials/*/fold0/result.json"):
        others = {name: value for name, value in json.loads(result.read_text()).items() if name != "sha256"}
        result.write_text(json.dumps({**others, "duration_s": 7.0}))
    with pytest.raises(StoreError, match=r"has 2 trials that this run has not.*--user"):
        push(open_run(run), place, user="root")
    assert find_shared(place)[0][1].index == before


def test_an_index_that_somebody_else_has_replaced_meanwhile_is_not_written_over(any_place: str, finished: Path) -> None:
    index = push(open_run(finished), any_place, user="ann").index
    corner = Corner(any_place, "ann")
    seen = corner.revision("toy", finished.name)
    corner.commit(index, after=seen)
    with pytest.raises(StoreError, match="another push was faster"):
        corner.commit(index, after=seen)
    now = corner.revision("toy", finished.name)
    assert now is not None
    assert now.number == 2


def test_two_pushes_of_one_name_are_not_at_work_at_once(any_place: str, finished: Path) -> None:
    with Corner(any_place, "ann").held(), pytest.raises(LeaseError, match=r"under this name.*--user"):
        push(open_run(finished), any_place, user="ann")


def test_what_is_damaged_on_its_way_up_is_not_left_there(
    any_place: str, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corner = Corner(any_place, "ann")
    blobs = type(corner.blobs)
    put = blobs.put

    def put_damaged(self: object, key: str, data: Iterator[bytes]) -> None:
        put(self, key, b"".join(data)[:-1] + b"?")  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(blobs, "put", put_damaged)
        with pytest.raises(CorruptBlobError, match="expected sha256"):
            push(open_run(finished), any_place, user="ann")
    assert corner.runs() == ()
    push(open_run(finished), any_place, user="ann")
    for digest in corner.digests():
        corner.check(SharedFile(sha256=digest, num_bytes=GIB))


def test_what_is_damaged_in_the_place_is_refused_and_mended_by_a_push_that_checks(
    any_place: str, finished: Path, tmp_path: Path
) -> None:
    index = push(open_run(finished), any_place, user="ann").index
    corner = Corner(any_place, "ann")
    key = next(key for key in index.files if key.endswith("/valid.npy"))
    damaged = f"blobs/{index.files[key].sha256}"
    corner.blobs.put(damaged, corner.blobs.get(damaged)[:-1] + b"?")  # type: ignore[index]
    with pytest.raises(CorruptBlobError, match=f"{index.files[key].sha256}: expected sha256"):
        pull_one(any_place, tmp_path / "shared")
    assert not list((tmp_path / "shared").rglob("run.json")), "a run that is not whole is none"
    push(open_run(finished), any_place, user="ann", check=True)
    assert contents(pull_one(any_place, tmp_path / "shared").folder) == contents(finished)


def test_weights_may_stay_where_they_are(place: str, finished: Path, tmp_path: Path) -> None:
    push(open_run(finished), place, user="ann", weights=False)
    pulled = pull_one(place, tmp_path / "shared").folder
    assert not list(pulled.rglob("weights.safetensors"))
    assert list(pulled.rglob("valid.npy"))


def test_a_run_of_ones_own_is_not_overwritten(
    place: str, finished: Path, copy_of_run: CopyOfRun, tmp_path: Path
) -> None:
    push(open_run(finished), place, user="ann")
    own = copy_of_run("own").rename(tmp_path / "own")
    (tmp_path / "shared/ann/toy").mkdir(parents=True)
    own.rename(tmp_path / "shared/ann/toy" / finished.name)
    with pytest.raises(StoreError, match="is another run, which is not overwritten"):
        pull_one(place, tmp_path / "shared")


def test_what_was_pulled_is_not_shared_as_ones_own(place: str, finished: Path, tmp_path: Path) -> None:
    push(open_run(finished), place, user="ann")
    pulled = pull_one(place, tmp_path / "shared").folder
    assert (pulled / ORIGIN_FILE).is_file()
    with pytest.raises(ConfigError, match="somebody else's"):
        push(open_run(pulled), place, user="bob")


def test_a_misspelt_run_is_named(place: str, copy_of_run: CopyOfRun) -> None:
    push(open_run(copy_of_run("first")), place, user="ann")
    with pytest.raises(ConfigError, match="Did you mean 'first'"):
        find_shared(place, run_id="frist")


@pytest.mark.service
def test_a_second_push_asks_s3_for_lists_alone(bucket: str, finished: Path) -> None:
    push(open_run(finished), f"{bucket}/counted", user="ann")
    with requests_counted() as counted:
        push(open_run(finished), f"{bucket}/counted", user="ann")
    contents_read = counted["GetObject"]
    assert contents_read <= 4, counted  # the lease and the index
