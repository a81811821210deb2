"""A submission's file packed as Kaggle takes it, too: by gzip, or as the only file of a zip archive."""

from __future__ import annotations

import gzip
import shutil
import zipfile
from pathlib import Path

from kaggle_ray.errors import SubmissionError
from kaggle_ray.submission.table import digest_of_cells

_CHUNK_BYTES = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of the file in an archive: the same submission makes the same bytes."""


def copy_submission(file: Path, to: Path, *, name: str) -> None:
    """Copy a submission's file, packed where ``name`` ends in .gz or .zip, and compare the rows that are read back.

    Args:
        file: that is copied; as plain text.
        to: the copy, whose own name ends just as ``name`` does.
        name: that the copy is to have in the end; without its .zip that of the file in the archive.

    Raises:
        SubmissionError: the copy reads back with other rows.
        OSError: it cannot be written.
    """
    if to.suffix not in (".gz", ".zip"):
        shutil.copyfile(file, to)
        return
    with file.open("rb") as plain:
        if to.suffix == ".gz":
            with to.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
                shutil.copyfileobj(plain, packed, _CHUNK_BYTES)
        else:
            inside = zipfile.ZipInfo(name.removesuffix(".zip"), _EPOCH)
            inside.compress_type = zipfile.ZIP_DEFLATED
            with zipfile.ZipFile(to, "w") as archive, archive.open(inside, "w", force_zip64=True) as packed_file:
                shutil.copyfileobj(plain, packed_file, _CHUNK_BYTES)
    if digest_of_cells(to) != digest_of_cells(file):
        raise SubmissionError(f"{to}: the packed submission reads back with other rows than were written.")
