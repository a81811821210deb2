"""Files that a user's tools wrote: whatever is wrong with one is a DataError that names it."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from kaggle_ray.errors import DataError, StoreError
from kaggle_ray.untrusted import file_chunks, read_regular

MAX_IMAGE_BYTES = 2**31
"""Size of a file that is read as a whole."""

_ENCODINGS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""First bytes -> the encoding that they stand for. Excel writes the first as CSV UTF-8, the second as Unicode text."""


def read_content(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        DataError: it is missing, may not be read, is too large, or is a folder, a FIFO or the like, which would keep
            whoever reads it waiting.
    """
    with _named(path):
        return read_regular(path, max_bytes=MAX_IMAGE_BYTES)


def text_encoding(path: Path) -> str:
    """Return the encoding of a text file: UTF-8, or UTF-16 where it begins with that one's mark.

    Raises:
        DataError: it cannot be read, is empty, or is no text; the line is named.
    """
    with _named(path):
        chunks = file_chunks(path)
        first = next(chunks, b"")
        if not first.strip():
            raise DataError(f"{path}: expected a CSV file with a header, got an empty file. Download it again.")
        encoding = next((name for mark, name in _ENCODINGS.items() if first.startswith(mark)), "utf-8")
        decoder = codecs.getincrementaldecoder(encoding)()
        line = 1
        for chunk in chain([first], chunks, [b""]):
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line += error.object[: error.start].count(b"\n")
                raise _not_in(encoding, path, line, error.object[error.start]) from error
            if "\0" in text:
                line += text[: text.index("\0")].count("\n")
                raise DataError(
                    f"{path}: line {line}: has a NUL byte: it is no text, or a disk was full when it was written. "
                    f"Download it again."
                )
            line += text.count("\n")
    return encoding


def _not_in(encoding: str, path: Path, line: int, byte: int) -> DataError:
    letter = bytes([byte]).decode("cp1252", "replace")
    return DataError(
        f"{path}: line {line}: expected {encoding.removesuffix('-sig').upper()}, got the byte {byte:#04x}, which is "
        f"{letter!r} in cp1252, as Windows has it. Save it as CSV UTF-8, or: iconv -f cp1252 -t utf-8."
    )


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    except StoreError as error:  # it is no file, or too large
        raise DataError(str(error)) from error
