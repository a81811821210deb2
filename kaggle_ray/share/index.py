"""The index of a shared run: which files it consists of, by their content, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from kaggle_ray.counted import counted
from kaggle_ray.errors import CorruptBlobError
from kaggle_ray.share.keys import SharedKey, max_bytes_of
from kaggle_ray.store.run import RUN_FILE
from kaggle_ray.store.schema import decode, encode
from kaggle_ray.typed_json import from_json
from kaggle_ray.untrusted import PathPart, Seconds, Sha256, Size

ORIGIN_FILE = "origin.json"
"""What a pulled run's folder has beside the run: the index that it was pulled by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedFile:
    """A file of a run, by its content."""

    sha256: Sha256
    num_bytes: Size


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedRun:
    """What one person shares of one run, at one time."""

    competition: PathPart
    run_id: PathPart
    user: PathPart
    """The person whose run it is."""
    host: str
    """Machine that it was pushed from."""
    pushed_at: Seconds
    """Since the Unix epoch, by the clock of that machine."""
    folds_digest: str
    files: Mapping[SharedKey, SharedFile]
    """Key in the run -> its content."""

    @property
    def name(self) -> str:
        """What a person calls it: ``user/competition/run``, which is also its folder where it is pulled to."""
        return f"{self.user}/{self.competition}/{self.run_id}"

    @property
    def num_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.num_bytes for file in self.files.values())

    def to_bytes(self) -> bytes:
        """Return the JSON text of the index."""
        return encode(asdict(self))


def parse_index(data: bytes, *, where: str) -> SharedRun:
    """Return the index of a JSON text of nobody knows whom.

    Raises:
        SchemaVersionError: it was written by another version of the schema.
        JsonShapeError: it names what no shared run has: another file, a digest that is none.
        CorruptBlobError: a file is larger than its kind may be, or it is the index of no run.
    """
    index = from_json(SharedRun, decode(data, where=where), where=where)
    for key, file in index.files.items():
        most = max_bytes_of(key) or 0
        if file.num_bytes > most:
            raise CorruptBlobError(f"{where}: {key}: expected at most {counted(most, 'byte')}, got {file.num_bytes:,}.")
    if RUN_FILE not in index.files:
        raise CorruptBlobError(f"{where}: is the index of no run: it names no {RUN_FILE}.")
    return index
