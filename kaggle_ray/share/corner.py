"""A person's corner of a shared place: files by their content, and an index for each run.

    PLACE/<user>/blobs/<sha256>
    PLACE/<user>/runs/<competition>/<run_id>/<revision>.json

Everybody writes into their own corner alone, so nobody's push can spoil, replace or remove what others share. Of two
pushes of the same person one has the lease; should it lose that unawares, the index keeps out what it did not know of:
a revision is created only if it is absent.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kaggle_ray.counted import counted
from kaggle_ray.errors import ConfigError, CorruptBlobError, LeaseError, StoreError
from kaggle_ray.share.index import SharedFile, SharedRun, parse_index
from kaggle_ray.store.opening import lease_of, open_blobs, place_of
from kaggle_ray.untrusted import MAX_JSON_BYTES, is_path_part


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """An index, and where it is."""

    key: str
    index: SharedRun

    @property
    def number(self) -> int:
        """1 for the first."""
        return int(self.key.rpartition("/")[2].removesuffix(".json"))


class Corner:
    """What one person shares at a place; nothing is asked of the place before a method needs it."""

    def __init__(self, place: str, user: str) -> None:
        """Open the corner of ``user`` at ``place``: a folder, ``file:///folder`` or ``s3://bucket/prefix``.

        Raises:
            ConfigError: there is no such kind of place, or a name is no name of a folder.
        """
        if not is_path_part(user):
            raise ConfigError(f"--user {user!r}: expected a name without slashes that does not begin with a dot.")
        self.user = user
        self.blobs = open_blobs(place_of(place, user))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only one who writes into the corner within the context.

        Raises:
            LeaseError: another push or removal under the same name is at work.
        """
        lease = lease_of(self.blobs)
        if (holder := lease.holder()) is not None:
            raise LeaseError(
                f"{self.blobs.location}: another push or removal is at work there under this name: {holder}. Wait for "
                f"it. Where that is somebody else of the same name, share under another one with --user."
            )
        with lease.held():
            yield

    # Runs -----------------------------------------------------------------------------------------------------------

    def runs(self) -> tuple[tuple[str, str], ...]:
        """Return competition and name of each run that is shared, sorted."""
        return tuple(self._last_keys("runs/"))

    def revision(self, competition: str, run_id: str) -> Revision | None:
        """Return the last revision of a run, None where it is not shared.

        Raises:
            StoreError: it says what no index of ours does.
        """
        key = self._last_keys(f"runs/{competition}/{run_id}/").get((competition, run_id))
        return None if key is None else self._read(key)

    def commit(self, index: SharedRun, *, after: Revision | None) -> None:
        """Create the revision that follows ``after``, and remove that.

        Raises:
            StoreError: there is one already, of a push that this one did not know of.
        """
        number = 1 if after is None else after.number + 1
        key = f"runs/{index.competition}/{index.run_id}/{number:08d}.json"
        if not self.blobs.put_if_absent(key, index.to_bytes()):
            raise StoreError(f"{self._at(key)}: another push was faster. Run the same command again.")
        if after is not None:
            self.blobs.delete_file(after.key)

    def remove(self, index: SharedRun) -> None:
        """Remove a run: first its index, then each content that no other run of the corner has."""
        self.blobs.delete(f"runs/{index.competition}/{index.run_id}")
        others = (self.revision(*names) for names in self.runs())
        needed = {file.sha256 for each in others if each is not None for file in each.index.files.values()}
        for digest in {file.sha256 for file in index.files.values()} - needed:
            self.blobs.delete_file(_blob_key(digest))

    # Contents -------------------------------------------------------------------------------------------------------

    def digests(self) -> frozenset[str]:
        """Return the digests of all contents that are there."""
        return frozenset(key.removeprefix("blobs/") for key in self.blobs.list("blobs/"))

    def put(self, file: SharedFile, content: Iterable[bytes]) -> None:
        """Write a content, and read it back: what is there under a digest is trusted by every later push.

        Raises:
            CorruptBlobError: ``content`` is not what ``file`` says, or what arrived is not.
        """
        key = _blob_key(file.sha256)
        self.blobs.put(key, checked(content, file, where="what is pushed"))
        try:
            self.check(file)
        except CorruptBlobError:
            self.blobs.delete_file(key)
            raise

    def check(self, file: SharedFile) -> None:
        """Read a content. Raises CorruptBlobError where it is not what its digest says."""
        for _ in self.chunks(file):
            pass

    def chunks(self, file: SharedFile) -> Iterator[bytes]:
        """Yield a content, whose last chunk comes only if the whole is what its digest says.

        Raises:
            CorruptBlobError: it is not, or is larger.
            StoreError: it is absent.
        """
        key = _blob_key(file.sha256)
        return checked(self.blobs.chunks(key), file, where=self._at(key))

    def get(self, file: SharedFile, *, max_bytes: int) -> bytes:
        """Return a content as a whole. Raises as ``chunks``, and StoreError where it is larger than ``max_bytes``."""
        key = _blob_key(file.sha256)
        data = self.blobs.get(key, max_bytes=min(max_bytes, file.num_bytes))
        if data is None:
            raise StoreError(f"{self._at(key)}: is missing. Ask {self.user} to push the run again.")
        return b"".join(checked([data], file, where=self._at(key)))

    def _last_keys(self, prefix: str) -> dict[tuple[str, str], str]:
        """Return competition and run -> key of its last revision, of the runs whose keys begin with ``prefix``."""
        last: dict[tuple[str, str], str] = {}
        for key in self.blobs.list(prefix):  # sorted: the last revision comes last
            parts = key.split("/")
            if len(parts) == 4 and re.fullmatch(r"[0-9]{8}\.json", parts[3]):  # others put there what they like
                last[parts[1], parts[2]] = key
        return last

    def _read(self, key: str) -> Revision:
        data, where = self.blobs.get(key, max_bytes=MAX_JSON_BYTES), self._at(key)
        if data is None:
            raise StoreError(f"{where}: was replaced meanwhile. Run the same command again.")
        index = parse_index(data, where=where)
        _, competition, run_id, _ = key.split("/")
        if (index.user, index.competition, index.run_id) != (self.user, competition, run_id):
            raise CorruptBlobError(f"{where}: is the index of {index.name}.")
        return Revision(key=key, index=index)

    def _at(self, key: str) -> str:
        return f"{self.blobs.location}/{key}"


def corners(place: str) -> tuple[Corner, ...]:
    """Return the corners of all who share something at a place, sorted by their names."""
    return tuple(Corner(place, user) for user in open_blobs(place_of(place)).folders("") if is_path_part(user))


def checked(content: Iterable[bytes], file: SharedFile, *, where: str) -> Iterator[bytes]:
    """Yield the chunks of a content, the last of them only if the whole is what ``file`` says.

    Raises:
        CorruptBlobError: it has another digest, or more bytes: not one chunk further is taken.
    """
    digest, num_bytes, held = hashlib.sha256(), 0, list[bytes]()
    for chunk in content:
        num_bytes += len(chunk)
        if num_bytes > file.num_bytes:
            raise CorruptBlobError(f"{where}: expected {counted(file.num_bytes, 'byte')}, got more.")
        digest.update(chunk)
        yield from held
        held = [chunk]
    if digest.hexdigest() != file.sha256:
        raise CorruptBlobError(f"{where}: expected sha256 {file.sha256}, got {digest.hexdigest()}.")
    yield from held


def _blob_key(digest: str) -> str:
    return f"blobs/{digest}"
