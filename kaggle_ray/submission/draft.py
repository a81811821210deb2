"""Where the file of a submission lies until it is whole and checked, and how one of masks outlives a killed write.

Of a run in a folder the file itself stays there. Of one in a bucket its whole rows are kept there in parts, as no
object grows: whoever goes on, on this machine or another, begins from these.
"""

from __future__ import annotations

import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from kaggle_ray.errors import SubmissionError
from kaggle_ray.store.blobs import Blobs
from kaggle_ray.store.local import LocalBlobs
from kaggle_ray.store.run import RunStore

FOLDER = "drafts"
"""Folder of a run where masks are kept, until they are whole and checked."""
PART_BYTES = 2**22
"""Text of a part: what a kill costs at most. Of Carvana's masks 450 rows."""

_SIZES = struct.Struct("<QQ")
"""What a part begins with: its place in the file, and the bytes of its records."""


def records_of(path: Path) -> Path:
    """Return the file of records beside a submission's file."""
    return path.with_name(f"{path.name}.rows")


class StoredParts:
    """The whole rows of a file and their records, in a store, in parts of some MiB."""

    def __init__(self, blobs: Blobs, name: str) -> None:
        """Nothing is asked of the store yet. ``name`` is that of the submission."""
        self._blobs, self._prefix = blobs, f"{FOLDER}/{name}"
        self._ends: list[tuple[int, int]] = []

    @property
    def end(self) -> int:
        """Bytes of the file that are kept."""
        return self._ends[-1][0] if self._ends else 0

    def fetch(self, path: Path) -> None:
        """Write what an earlier write kept to ``path`` and its records, as far as the parts follow one another."""
        with path.open("wb") as file, records_of(path).open("wb") as records:
            for number, key in enumerate(self._blobs.list(f"{self._prefix}/")):
                data = self._blobs.get(key)
                if key != self._key(number) or data is None or len(data) < _SIZES.size:
                    break
                start, num_bytes = _SIZES.unpack_from(data)
                if start != file.tell() or _SIZES.size + num_bytes > len(data):
                    break
                records.write(data[_SIZES.size : _SIZES.size + num_bytes])
                file.write(data[_SIZES.size + num_bytes :])
                self._ends.append((file.tell(), records.tell()))

    def cut(self, end: int) -> None:
        """Forget the parts that go beyond ``end`` bytes of the file: their rows are not those of today."""
        while self.end > end:
            self._ends.pop()
        for key in self._blobs.list(f"{self._prefix}/"):
            if key not in map(self._key, range(len(self._ends))):
                self._blobs.delete_file(key)

    def grow(self, file: BinaryIO, records: BinaryIO) -> None:
        """Keep, as one part, what the file and its records have more than is kept; both end after a row."""
        start, first = self._ends[-1] if self._ends else (0, 0)
        for each, offset in ((file, start), (records, first)):
            each.seek(offset)
        text, told = file.read(), records.read()
        self._blobs.put(self._key(len(self._ends)), _SIZES.pack(start, len(told)) + told + text)
        self._ends.append((start + len(text), first + len(told)))

    def remove(self) -> None:
        """Remove all that is kept."""
        self._blobs.delete(self._prefix)

    def _key(self, number: int) -> str:
        return f"{self._prefix}/{number:06}"


Kept = Path | StoredParts | None
"""What outlives a killed write: a folder with the file, parts of it in a store, or nothing."""


def kept_by(store: RunStore, name: str) -> Kept:
    """Return where a run keeps the draft of its submission ``name``."""
    blobs = store.blobs
    return blobs.root / FOLDER / name if isinstance(blobs, LocalBlobs) else StoredParts(blobs, name)


@contextmanager
def draft_file(kept: Kept) -> Iterator[Path]:
    """Yield where a draft is written, with what is kept of it; in the end both are gone.

    What is kept stays where the process is stopped before that, and goes where the submission is refused, as what is
    wrong with it would be met again.
    """
    with tempfile.TemporaryDirectory(prefix="kaggle_ray_") as temporary:
        folder = kept if isinstance(kept, Path) else Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if isinstance(kept, StoredParts):
            kept.fetch(folder / "draft.csv")
        try:
            yield folder / "draft.csv"
        except SubmissionError:
            _remove(kept)
            raise
        _remove(kept)


def _remove(kept: Kept) -> None:
    if isinstance(kept, Path):
        shutil.rmtree(kept)
    elif kept is not None:
        kept.remove()
