"""The contract of a blob store: call ``check_blobs`` in a test of each implementation."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from kaggle_ray.errors import StoreError
from kaggle_ray.store.blobs import Blobs

_NUM_WRITERS = 8
_CLOCKS_DIFFER_S = 600
"""How far the clock of a store and that of this machine may lie apart."""


def check_blobs(make_blobs: Callable[[], Blobs]) -> None:
    """Check what a run relies on; each check begins with a new, empty store.

    Raises:
        Exception: whatever the store raised, or an AssertionError, with the name of the check.
    """
    for check in (
        _absent_is_no_error,
        _what_is_put_is_got,
        _what_is_put_comes_in_chunks,
        _put_replaces,
        _put_if_absent_creates_once,
        _one_writer_of_many_wins,
        _chunks_make_one_content,
        _chunks_are_seen_together,
        _chunks_that_end_in_an_error_change_nothing,
        _list_is_by_prefix_and_sorted,
        _folders_are_those_directly_below,
        _what_is_known_of_a_file,
        _delete_removes_one_folder,
        _delete_file_removes_one_file,
        _clear_keeps_what_is_named,
        _remove_temporary_removes_nothing_that_was_put,
        _paths_hold_the_content,
        _no_key_leads_out,
    ):
        try:
            check(make_blobs())
        except Exception as error:
            error.add_note(f"in the check {check.__name__.strip('_')!r} of the blob store's contract")
            raise


def _absent_is_no_error(blobs: Blobs) -> None:
    assert blobs.get("folder/absent") is None
    assert blobs.get_final("folder/absent", "of another time") is None
    assert blobs.list("") == []
    assert blobs.list("folder/") == []
    blobs.delete("folder")


def _what_is_put_is_got(blobs: Blobs) -> None:
    contents = {"top": b"", "a/b/c.npy": bytes(range(256)), "a/b/d": b"x" * 3_000_000, "a b/é": b"text"}
    for key, data in contents.items():
        blobs.put(key, data)
    assert {key: blobs.get(key) for key in contents} == contents
    for _ in range(2):
        assert {key: blobs.get_final(key, stamp) for key, stamp in blobs.stamps("").items()} == contents
    assert blobs.list("") == sorted(contents)


def _what_is_put_comes_in_chunks(blobs: Blobs) -> None:
    for data in (b"", b"text", b"x" * 9_000_000):
        blobs.put("a/key", data)
        assert b"".join(blobs.chunks("a/key")) == data
    for key in ("a/absent", "../key"):
        try:
            next(blobs.chunks(key))
        except StoreError:
            continue
        raise AssertionError(f"{key!r} is read")


def _put_replaces(blobs: Blobs) -> None:
    blobs.put("a/key", b"a longer content")
    blobs.put("a/key", b"new")
    assert blobs.get("a/key") == b"new"
    assert blobs.list("") == ["a/key"]


def _put_if_absent_creates_once(blobs: Blobs) -> None:
    assert blobs.put_if_absent("a/key", b"first")
    assert not blobs.put_if_absent("a/key", b"second")
    assert blobs.get("a/key") == b"first"
    blobs.put("a/other", b"put")
    assert not blobs.put_if_absent("a/other", b"second")
    blobs.delete("a")
    assert blobs.put_if_absent("a/key", b"after a deletion")
    assert blobs.list("") == ["a/key"]


def _one_writer_of_many_wins(blobs: Blobs) -> None:
    start = threading.Barrier(_NUM_WRITERS)
    contents = [f"writer {number}".encode() * 1000 for number in range(_NUM_WRITERS)]

    def write(data: bytes) -> bool:
        start.wait()
        return blobs.put_if_absent("new folder/key", data)

    with ThreadPoolExecutor(_NUM_WRITERS) as pool:
        created = list(pool.map(write, contents))
    assert sum(created) == 1, f"{sum(created)} of {_NUM_WRITERS} writers were told that they created the key"
    assert blobs.get("new folder/key") == contents[created.index(True)]
    assert blobs.list("") == ["new folder/key"]


def _chunks_make_one_content(blobs: Blobs) -> None:
    assert blobs.put_if_absent("a/created", iter([b"one ", b"", b"two"]))
    assert not blobs.put_if_absent("a/created", iter([b"other"]))
    assert blobs.get("a/created") == b"one two"
    blobs.put("a/created", (bytes([number]) * 300_000 for number in range(40)))
    assert blobs.get("a/created") == b"".join(bytes([number]) * 300_000 for number in range(40))
    blobs.put("a/empty", iter([]))
    assert blobs.get("a/empty") == b""
    assert blobs.list("") == ["a/created", "a/empty"]


def _chunks_are_seen_together(blobs: Blobs) -> None:
    blobs.put("a/replaced", b"old")

    def chunks() -> Iterator[bytes]:
        for number in range(3):
            assert blobs.get("a/created") is None, "the beginning of a file is seen"
            assert blobs.get("a/replaced") == b"old", "the beginning of a file is seen"
            assert blobs.list("") == ["a/replaced"], "the beginning of a file is listed"
            yield bytes([number]) * 100_000

    assert blobs.put_if_absent("a/created", chunks())
    blobs.delete("a")
    blobs.put("a/replaced", b"old")
    blobs.put("a/replaced", chunks())
    assert blobs.list("") == ["a/replaced"]


def _chunks_that_end_in_an_error_change_nothing(blobs: Blobs) -> None:
    blobs.put("a/kept", b"kept")

    own = InterruptedError("of the chunks' maker")

    def chunks() -> Iterator[bytes]:
        yield b"x" * 300_000
        raise own

    for put, key in ((blobs.put, "a/kept"), (blobs.put, "a/new"), (blobs.put_if_absent, "a/new")):
        raised: Exception | None = None
        try:
            put(key, chunks())
        except Exception as error:
            raised = error
        assert raised is own, f"{put.__name__}: expected the error of the chunks' maker, got {raised!r}"
    assert blobs.list("") == ["a/kept"]
    assert blobs.get("a/kept") == b"kept"
    assert blobs.put_if_absent("a/new", b"there is nothing in the way")


def _list_is_by_prefix_and_sorted(blobs: Blobs) -> None:
    for key in ("b/2", "b/10", "a", "b/1/deep/er", "bb"):
        blobs.put(key, b"")
    assert blobs.list("") == ["a", "b/1/deep/er", "b/10", "b/2", "bb"]
    assert blobs.list("b/") == ["b/1/deep/er", "b/10", "b/2"]
    assert blobs.list("b") == ["b/1/deep/er", "b/10", "b/2", "bb"]
    assert blobs.list("b/1") == ["b/1/deep/er", "b/10"]
    assert blobs.list("c/") == []


def _folders_are_those_directly_below(blobs: Blobs) -> None:
    for key in ("b/x/1", "b/x/2", "b/y z/deep/er", "b/file", "a/1", "top"):
        blobs.put(key, b"")
    assert blobs.folders("") == ["a", "b"]
    assert blobs.folders("b") == ["x", "y z"]
    assert blobs.folders("b/x") == blobs.folders("absent") == []


def _what_is_known_of_a_file(blobs: Blobs) -> None:
    before = time.time()
    blobs.put("a/key", b"content")
    written_at = blobs.written_at("a/key")
    assert written_at is not None
    assert abs(written_at - before) < _CLOCKS_DIFFER_S
    assert blobs.digest("a/key") == hashlib.sha256(b"content").hexdigest()
    blobs.put("a/key", b"other")
    assert blobs.digest("a/key") == hashlib.sha256(b"other").hexdigest()
    assert blobs.sizes("a/") == {"a/key": 5}
    blobs.put("a/same", b"other")
    before_it_changed = blobs.stamps("a/")
    assert blobs.stamps("a/") == before_it_changed
    blobs.put("a/key", b"third")
    changed = blobs.stamps("a/")
    assert changed.keys() == {"a/key", "a/same"}
    assert changed["a/same"] == before_it_changed["a/same"]
    assert changed["a/key"] != before_it_changed["a/key"]
    assert blobs.written_at("a/absent") is None
    assert blobs.digest("a/absent") is None


def _clear_keeps_what_is_named(blobs: Blobs) -> None:
    for key in ("kept", "b/x/1", "top"):
        blobs.put(key, b"")
    blobs.clear(keep=["kept"])
    assert blobs.list("") == ["kept"]


def _delete_removes_one_folder(blobs: Blobs) -> None:
    for key in ("a/x/1", "a/x/2/3", "a/xy/1", "a/x.json"):
        blobs.put(key, b"")
    blobs.delete("a/x")
    assert blobs.list("") == ["a/x.json", "a/xy/1"]
    blobs.delete("a/x")


def _delete_file_removes_one_file(blobs: Blobs) -> None:
    for key in ("a/x", "a/xy", "b"):
        blobs.put(key, b"")
    blobs.delete_file("a/x")
    assert blobs.list("") == ["a/xy", "b"]
    blobs.delete_file("a/x")
    blobs.delete_file("a/absent")
    assert blobs.list("") == ["a/xy", "b"]


def _remove_temporary_removes_nothing_that_was_put(blobs: Blobs) -> None:
    blobs.remove_temporary()
    blobs.put_if_absent("a/key", b"content")
    blobs.put("top", b"content")
    blobs.remove_temporary()
    assert blobs.list("") == ["a/key", "top"]
    blobs.put("top", b"after the removal")
    assert blobs.get("top") == b"after the removal"


def _paths_hold_the_content(blobs: Blobs) -> None:
    blobs.put_if_absent("a/key", b"content")
    assert blobs.path("a/key").read_bytes() == b"content"


def _no_key_leads_out(blobs: Blobs) -> None:
    for key in ("../key", "a/../../key", "/key", "a//key", ""):
        for use in (blobs.get, blobs.delete, blobs.delete_file, partial(blobs.put, data=b""), blobs.path):
            try:
                use(key)
            except StoreError:
                continue
            raise AssertionError(f"{key!r} is taken for a key")
    assert blobs.list("") == []
