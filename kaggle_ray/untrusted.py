"""What others wrote, as far as it is taken: names, numbers, texts and files of a run that may be a team mate's.

A field says what it takes beyond its type by one of the ``Annotated`` types below; ``typed_json`` holds it to that.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Annotated, Any

from kaggle_ray.counted import counted
from kaggle_ray.errors import StoreError

MAX_JSON_BYTES = 2**26
"""Size of a JSON text that describes a run, or a part of it."""
MAX_LIST_BYTES = 2**30
"""Size of a JSON text or table with a line for each image."""
MAX_WEIGHTS_BYTES = 2**36
"""Size of a file of weights."""
MAX_FOLDS = 127
"""A row's fold is kept as int8."""

_MAX_NAME_BYTES = 200
_CHUNK_BYTES = 2**22
_MAX_COUNT = 10**9
_MAX_SECONDS = 10**10


@dataclass(frozen=True, slots=True)
class Bound:
    """What a value has to be beyond its type: metadata of an ``Annotated`` type, for ``typed_json.from_json``."""

    words: str
    """What is expected, for an error."""
    holds: Callable[[Any], bool]


def is_path_part(text: str) -> bool:
    """Return whether a text can name one file or folder, and nothing above it or hidden.

    >>> [is_path_part(text) for text in ("c0ffee", "my run-2", "..", "a/b", ".tmp", "")]
    [True, True, False, False, False, False]
    """
    return (
        text.isprintable()
        and not text.startswith(".")
        and not set(text) & set("/\\")
        and 0 < len(text.encode()) <= _MAX_NAME_BYTES
    )


def is_file_key(text: str) -> bool:
    """Return whether a text names a file, below folders or not, and nothing outside."""
    return all(map(is_path_part, text.split("/")))


def _is_attempt_file(text: str) -> bool:
    folder, slash, name = text.rpartition("/")
    return is_path_part(name) and (not slash or re.fullmatch("epoch[0-9]{1,9}", folder) is not None)


PathPart = Annotated[str, Bound("a name without slashes that does not begin with a dot", is_path_part)]
"""An id or a name that becomes a part of a path."""
AttemptFile = Annotated[str, Bound("the name of a file, or epoch<k>/ and one", _is_attempt_file)]
"""A file of an attempt at a trial, relative to the attempt's folder."""
Sha256 = Annotated[str, Bound("64 hex digits", lambda text: re.fullmatch("[0-9a-f]{64}", text) is not None)]
"""The digest of a file's content."""
NumFolds = Annotated[int, Bound(f"from 1 to {MAX_FOLDS}", lambda value: 1 <= value <= MAX_FOLDS)]
FoldNumber = Annotated[int, Bound(f"from -2 to {MAX_FOLDS - 1}", lambda value: -2 <= value < MAX_FOLDS)]
"""A fold, or one of the two numbers that stand for none: ``TRAIN_ONLY`` and ``FULL_DATA``."""
Count = Annotated[int, Bound(f"from 0 to {_MAX_COUNT:,}", lambda value: 0 <= value <= _MAX_COUNT)]
Size = Annotated[int, Bound("a size of at most 64 bits", lambda value: 0 <= value < 2**63)]
Seconds = Annotated[float, Bound("a number of seconds", lambda value: 0 <= value <= _MAX_SECONDS)]


def printable(text: str) -> str:
    r"""Return ``text`` with each character that would move a terminal's cursor, or be invisible, as its escape.

    Line ends stay.

    >>> print(printable("fold\x1b[2J one"))
    fold\x1b[2J one
    """
    return "".join(letter if letter.isprintable() or letter == "\n" else _escape(letter) for letter in text)


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


@contextmanager
def named_if_unreadable(path: Path) -> Iterator[None]:
    """Raise StoreError for what the file system says within the context, but that there is no such file."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror or error}.") from error


def open_regular(path: Path, flags: int = os.O_RDONLY) -> FileIO:
    """Return a regular file that is open, unbuffered; what waits for another process, as a FIFO does, is not opened.

    A file that is opened to be written is no symbolic link either, which could lead out of the folder.

    Args:
        path: of the file.
        flags: of ``os.open``: ``O_RDONLY``, or ``O_RDWR`` with others.

    Raises:
        StoreError: it is something else than a file, or a link to be written.
        OSError: of the file system's.
    """
    is_written = bool(flags & os.O_RDWR)
    if is_written:
        flags |= os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP and is_written:
            raise StoreError(f"{path}: is a symbolic link. Remove it: nothing is written through one.") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StoreError(f"{path}: is no regular file. Remove it.")
    return os.fdopen(descriptor, "r+b" if is_written else "rb", buffering=0)


def read_regular(path: Path, *, max_bytes: int) -> bytes:
    """Return the content of a regular file.

    Raises:
        StoreError: it is something else than a file, or larger than ``max_bytes``.
        OSError: of the file system's.
    """
    with BufferedReader(open_regular(path)) as file:
        num_bytes = os.fstat(file.fileno()).st_size
        if num_bytes > max_bytes:
            raise StoreError(f"{path}: expected at most {counted(max_bytes, 'byte')}, got {num_bytes:,}.")
        return file.read(num_bytes)


def file_chunks(path: Path) -> Iterator[bytes]:
    """Yield the content of a regular file, a few MiB at a time.

    Raises:
        StoreError: it is something else than a file.
        OSError: of the file system's.
    """
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def file_digest(path: Path) -> str | None:
    """Return the sha256 of a file, which is read in chunks; None where there is none."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None
