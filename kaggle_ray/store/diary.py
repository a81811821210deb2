"""The lines of a run's diary: appended by its one driver, and read by anybody meanwhile."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Protocol

from kaggle_ray.counted import counted
from kaggle_ray.errors import StoreError
from kaggle_ray.store.blobs import Blobs
from kaggle_ray.untrusted import MAX_JSON_BYTES, MAX_LIST_BYTES, named_if_unreadable, open_regular, read_regular

logger = logging.getLogger(__name__)

_BLOCK_BYTES = 2**16
_MAX_LINES = 200
"""Lines of a blob: each time that one more is written, all of them are."""


class Diary(Protocol):
    """Lines in the order in which they were written."""

    @property
    def location(self) -> str:
        """Where the lines are, for people."""
        ...

    def lines(self) -> list[bytes]:
        """Return the whole lines, without their ends; none where nothing was written yet.

        Raises:
            StoreError: what is there is no file, or too large.
        """
        ...

    def written_at(self) -> float | None:
        """Return when the last line was written, in seconds since the Unix epoch; None where there is none."""
        ...

    def begin(self, *, is_readable: Callable[[bytes], bool], aside: str) -> None:
        """Begin to write after what is there.

        Args:
            is_readable: whether a line is of this version; where the first is not, all lines are set aside.
            aside: is added to the name of what is set aside.
        """
        ...

    def append(self, line: bytes) -> None:
        """Write a line, whose end is added. Raises OSError or StoreError where it could not be written."""
        ...

    def close(self) -> None:
        """Write what is left, and end writing."""
        ...


class FileDiary:
    """Lines of one file, each written at once.

    A line that a crash tore is cut off when the file is opened again; every whole line of before stays.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is opened before it is read or begun."""
        self._path = path
        self._file: FileIO | None = None

    @property
    def location(self) -> str:
        """The file."""
        return str(self._path)

    def lines(self) -> list[bytes]:
        """Return the whole lines; a torn last one is left out, for a driver may be at work."""
        try:
            with named_if_unreadable(self._path):
                *lines, _torn_or_empty = read_regular(self._path, max_bytes=MAX_LIST_BYTES).split(b"\n")
        except FileNotFoundError:
            return []
        return lines

    def written_at(self) -> float | None:
        """Return when the file was written; None where there is none."""
        try:
            return self._path.stat().st_mtime
        except FileNotFoundError:
            return None

    def begin(self, *, is_readable: Callable[[bytes], bool], aside: str) -> None:
        """Open the file for appending; it and its folder are made where they are missing.

        Raises:
            StoreError: the file system refuses.
        """
        try:
            self._begin(is_readable, aside)
        except OSError as error:
            reason = f"{self._path}: cannot be written: {error.strerror or error}"
            raise StoreError(f"{reason}. Name another folder with --runs.") from error

    def _begin(self, is_readable: Callable[[bytes], bool], aside: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            with BufferedReader(open_regular(self._path)) as file:
                first = file.readline(MAX_JSON_BYTES)
            if first.endswith(b"\n") and not is_readable(first):
                self._path.rename(self._path.with_stem(f"{self._path.stem}-{aside}"))
        self._file = open_regular(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        _mend_tail(self._file)

    def append(self, line: bytes) -> None:
        """Write a line in a single call. Raises OSError where it was not written whole, as on a full disk."""
        assert self._file is not None, "it was begun"
        num_written = self._file.write(line + b"\n")
        if num_written != len(line) + 1:
            raise OSError(
                f"{self._path}: expected to write {counted(len(line), 'byte')}, wrote {num_written}. Is the disk full?"
            )

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class BlobDiary:
    """Lines of numbered blobs, for a place that nothing can be appended to.

    A thread writes what has come since a second ago, with the other lines of the last blob, until it has
    its share and the next one begins. So a kill loses a second, and a long diary is few blobs.
    """

    def __init__(self, blobs: Blobs, folder: str, *, flush_every_s: float = 1.0) -> None:
        """Nothing is written before a line is.

        Args:
            blobs: of the run.
            folder: of the blobs.
            flush_every_s: how often what has come is written.
        """
        self._blobs, self._folder, self._flush_every_s = blobs, folder, flush_every_s
        self._number = 0
        self._lines: list[bytes] = []
        self._num_written = 0
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def location(self) -> str:
        """The folder of the blobs."""
        return f"{self._blobs.location}/{self._folder}"

    def lines(self) -> list[bytes]:
        """Return the lines of all blobs, and those that this object has yet to write."""
        with self._lock:
            number, own = self._number, self._lines.copy()
        stamps = self._stamps()
        before = [key for key in stamps if not number or int(Path(key).stem) < number]
        texts = [self._blobs.get_final(key, stamps[key], max_bytes=MAX_LIST_BYTES) for key in before[:-1]]
        texts += [self._blobs.get(key, max_bytes=MAX_LIST_BYTES) for key in before[-1:]]  # which may still grow
        return [*(line for text in texts if text is not None for line in text.split(b"\n")[:-1]), *own]

    def written_at(self) -> float | None:
        """Return when the last blob was written; None where there is none."""
        keys = [*self._stamps()]
        return self._blobs.written_at(keys[-1]) if keys else None

    def begin(self, *, is_readable: Callable[[bytes], bool], aside: str) -> None:
        """Begin a blob after those that are there, and the thread that writes."""
        keys = [*self._stamps()]
        first = self._blobs.get(keys[0], max_bytes=MAX_LIST_BYTES) if keys else None
        if first is not None and not is_readable(first.partition(b"\n")[0]):
            self._set_aside(keys, aside)
            keys = []
        self._number = 1 + max((int(Path(key).stem) for key in keys), default=0)
        self._thread = threading.Thread(target=self._flush_now_and_then, name="diary", daemon=True)
        self._thread.start()

    def append(self, line: bytes) -> None:
        """Take a line, which is written within the second."""
        with self._lock:
            self._lines.append(line)

    def close(self) -> None:
        """Write what is left. Raises StoreError where that is refused."""
        if self._thread is not None:
            self._is_over.set()
            self._thread.join()
            self._thread = None
            self._flush()

    def _stamps(self) -> dict[str, str]:
        """Return each blob's key, the first one first, with its stamp."""
        stamps = self._blobs.stamps(f"{self._folder}/")
        return {key: stamps[key] for key in sorted(stamps) if Path(key).stem.isdecimal()}

    def _set_aside(self, keys: Sequence[str], aside: str) -> None:
        for key in keys:
            self._blobs.put(key.replace(self._folder, f"{self._folder}-{aside}", 1), self._blobs.get(key) or b"")
        self._blobs.delete(self._folder)

    def _flush_now_and_then(self) -> None:
        is_refused = False
        while not self._is_over.wait(self._flush_every_s):
            try:
                self._flush()
                is_refused = False
            except StoreError as error:  # the lines are kept, and written when it is over
                if not is_refused:
                    logger.warning("the diary cannot be written for now: %s", error)
                is_refused = True

    def _flush(self) -> None:
        with self._lock:
            lines = self._lines.copy()
        if len(lines) == self._num_written:
            return
        self._blobs.put(f"{self._folder}/{self._number:08d}.jsonl", b"".join(line + b"\n" for line in lines))
        self._num_written = len(lines)
        if self._num_written >= _MAX_LINES:
            with self._lock:
                del self._lines[: self._num_written]
                self._number, self._num_written = self._number + 1, 0


_FILE_DIARY: type[Diary] = FileDiary
_BLOB_DIARY: type[Diary] = BlobDiary


def _mend_tail(file: FileIO) -> None:
    """Cut off what follows the last newline: a line is one only once its newline is written."""
    end = os.fstat(file.fileno()).st_size
    newline = -1
    while end and newline < 0:
        start = max(0, end - _BLOCK_BYTES)
        newline = os.pread(file.fileno(), end - start, start).rfind(b"\n")
        end = start + newline + 1
    file.truncate(end)
