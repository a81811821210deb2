"""A blob store in a bucket of S3, or of a server that speaks like it and knows conditional writes."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaggle_ray.counted import counted
from kaggle_ray.errors import CorruptBlobError, NoRoomError, StoreError
from kaggle_ray.s3 import Refused, asking, refusals_as, s3_client
from kaggle_ray.store.blobs import Blobs, Content
from kaggle_ray.store.local_copies import LocalCopies
from kaggle_ray.store.s3_upload import CONFLICT, EXISTS, WRITER, Upload, upload
from kaggle_ray.untrusted import MAX_WEIGHTS_BYTES, is_file_key, is_path_part
from kaggle_ray.uri import bucket_of_uri

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

logger = logging.getLogger(__name__)

_DIGEST = "sha256"
"""Metadata of an object: the digest of its content."""
_ABSENT = {"NoSuchKey", "404"}
_NUM_READS = 4
"""Tries to read a whole object, whose connection may break after S3 has begun to send it."""
_IN_MEMORY_BYTES = 2**23
_MAX_DELETED = 1000
"""Objects that one request may delete."""
_CHUNK_BYTES = 2**22


@dataclass(frozen=True, kw_only=True, slots=True)
class Stamped:
    """An object as it was read."""

    data: bytes
    etag: str
    """Changes with the content."""
    age_s: float
    """Seconds since it was written, both by the server's clock."""


class S3Blobs:
    """Objects below ``s3://bucket/prefix``: S3 shows one in full or not at all, and creates one only if it is absent.

    What is read as a file is copied to this machine's cache once.
    """

    def __init__(self, uri: str, cache_dir: Path) -> None:
        """Keys are below ``uri``; nothing is asked of S3 before a method needs it.

        Raises:
            ConfigError: it names no bucket, or boto3 is not installed.
        """
        self._bucket, prefix = bucket_of_uri(uri)
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = s3_client()
        self._copies = LocalCopies(self.location, cache_dir)

    @property
    def location(self) -> str:
        """The URI."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def put_if_absent(self, key: str, data: Content) -> bool:
        """Create ``key``; return False, and change nothing, where it exists. Raises StoreError where S3 refuses."""
        with self._written(key, data) as new:
            return upload(self._client, new, only_new=True)

    def put(self, key: str, data: Content) -> None:
        """Create or replace ``key``. Raises StoreError where S3 refuses."""
        with self._written(key, data) as new:
            upload(self._client, new, only_new=False)

    def put_if_unchanged(self, key: str, data: bytes, etag: str | None) -> str | None:
        """Write ``key`` where it still is as it was read, or still absent; return its new ETag, None where it is not.

        Args:
            key: to be written.
            data: its new content.
            etag: that it was read with; None where it was absent.
        """
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        with self._named(key):
            try:
                with asking():
                    return self._client.put_object(**self._object(key), Body=data, **condition)["ETag"]
            except Refused as refused:
                if refused.code in EXISTS | CONFLICT | _ABSENT:
                    return None
                raise

    def get(self, key: str, *, max_bytes: int = MAX_WEIGHTS_BYTES) -> bytes | None:
        """Return the content of ``key``, None where it is absent. Raises StoreError where it is too large."""
        found = self.read(key, max_bytes=max_bytes)
        return None if found is None else found.data

    def get_final(self, key: str, stamp: str, *, max_bytes: int = MAX_WEIGHTS_BYTES) -> bytes | None:
        """Return the content of ``key``, that nobody changes while it has the ETag ``stamp``; None where it is absent.

        It is asked of S3 once per machine: a copy is kept in the cache, where there is room.

        Raises:
            StoreError: it is too large, or S3 refuses.
        """
        with suppress(StoreError):  # of a cache that cannot be used: who only looks at a run needs none
            if (kept := self._copies.content(key, version=stamp, max_bytes=max_bytes)) is not None:
                return kept
        found = self.read(key, max_bytes=max_bytes)
        if found is not None and found.etag == stamp:
            with suppress(StoreError, NoRoomError):
                self._copies.keep(key, found.data, version=stamp)
        return None if found is None else found.data

    def read(self, key: str, *, max_bytes: int = MAX_WEIGHTS_BYTES) -> Stamped | None:
        """Return ``key`` as it is, None where it is absent. Raises StoreError where it is too large."""
        for remaining in reversed(range(_NUM_READS)):
            try:
                with self._named(key):
                    answer = self._client.get_object(**self._object(key))
                    if (num_bytes := answer["ContentLength"]) > max_bytes:
                        raise StoreError(
                            f"{self._at(key)}: expected at most {counted(max_bytes, 'byte')}, got {num_bytes:,}."
                        )
                    date = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
                    age_s = (date - answer["LastModified"]).total_seconds()
                    return Stamped(data=answer["Body"].read(), etag=answer["ETag"], age_s=age_s)
            except StoreError as error:
                refused = error.__cause__
                if isinstance(refused, Refused) and refused.code in _ABSENT:
                    return None
                if not _is_broken(error) or not remaining:
                    raise
        raise AssertionError("the last try returns or raises")

    def chunks(self, key: str) -> Iterator[bytes]:
        """Yield the content of ``key``, a few MiB at a time; where the connection breaks, the rest is asked for.

        Raises:
            StoreError: it is absent, or changes meanwhile.
        """
        num_read, rest = 0, dict[str, Any]()
        for remaining in reversed(range(_NUM_READS)):
            try:
                with self._named(key):
                    answer = self._client.get_object(**self._object(key), **rest)
                    for chunk in answer["Body"].iter_chunks(_CHUNK_BYTES):
                        num_read += len(chunk)
                        yield chunk
                return
            except StoreError as error:
                if not _is_broken(error) or not remaining:
                    raise
                if num_read:
                    rest = {"Range": f"bytes={num_read}-", "IfMatch": answer["ETag"]}

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly below the folder ``prefix``, sorted."""
        folder = self._object(prefix)["Key"] + "/" if prefix else self._prefix
        found: list[str] = []
        for page in self._pages(folder, Delimiter="/"):
            found += [each["Prefix"].removeprefix(folder).strip("/") for each in page.get("CommonPrefixes", [])]
        return sorted(filter(is_path_part, found))  # others have put there what they liked

    def list(self, prefix: str) -> list[str]:
        """Return the keys that begin with ``prefix``, sorted."""
        return sorted(self.stamps(prefix))

    def stamps(self, prefix: str) -> dict[str, str]:
        """Return each key that begins with ``prefix``, with its ETag; one request for a thousand of them."""
        return {key: each["ETag"] for key, each in self._listed(prefix)}

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return each key that begins with ``prefix``, with the bytes of its content."""
        return {key: each["Size"] for key, each in self._listed(prefix)}

    def written_at(self, key: str) -> float | None:
        """Return when ``key`` was written, in seconds since the Unix epoch; None where it is absent."""
        head = self._head(key)
        return None if head is None else head["LastModified"].timestamp()

    def digest(self, key: str) -> str | None:
        """Return the sha256 that ``key`` was written with, None where it is absent; no content is read for it."""
        head = self._head(key)
        if head is None or (known := head["Metadata"].get(_DIGEST)):
            return None if head is None else known
        content = self.get(key)  # somebody has copied it here without what was kept with it
        return None if content is None else hashlib.sha256(content).hexdigest()

    def delete(self, prefix: str) -> None:
        """Remove every key below the folder ``prefix``. What S3 refuses to remove stays, and is warned of."""
        folder = self._object(prefix.removesuffix("/"))["Key"].removeprefix(self._prefix)
        self._delete(self.list(f"{folder}/"))

    def delete_file(self, key: str) -> None:
        """Remove one key. What S3 refuses to remove stays, and is warned of."""
        name = self._object(key)
        with self._left_with_a_warning(), self._named(key):
            self._client.delete_object(**name)

    def clear(self, *, keep: Collection[str]) -> None:
        """Remove all there is, but for the keys in ``keep``."""
        self._delete([key for key in self.list("") if key not in keep])

    def remove_temporary(self) -> None:
        """Abort the uploads in parts that killed writers left: they are never seen, but paid for."""
        with self._named(""):
            pages = self._client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix):
                for each in page.get("Uploads", []):
                    self._client.abort_multipart_upload(Bucket=self._bucket, Key=each["Key"], UploadId=each["UploadId"])

    def path(self, key: str) -> Path:
        """Return a copy of ``key`` in this machine's cache, made where there is none; absent where the key is.

        Raises:
            NoRoomError: it does not fit into the cache.
            CorruptBlobError: what arrived is not what was written.
        """
        head = self._head(key)
        if head is None:
            return self._copies.absent

        def fetch(path: Path) -> None:
            with self._named(key), path.open("wb") as file:
                self._client.download_fileobj(self._bucket, self._prefix + key, file)
            with path.open("rb") as file:
                got = hashlib.file_digest(file, "sha256").hexdigest()
            if got != (expected := head["Metadata"].get(_DIGEST, got)):
                raise CorruptBlobError(
                    f"{self._at(key)}: expected sha256 {expected}, got {got}. Run the command again."
                )

        return self._copies.of(key, version=head["ETag"], num_bytes=head["ContentLength"], fetch=fetch)

    def holds(self, file: Path) -> bool:
        """Return False: no file of this machine lies in a bucket."""
        return False

    def _at(self, key: str) -> str:
        return f"{self.location}/{key}" if key else self.location

    def _object(self, key: str) -> dict[str, Any]:
        """Return the bucket and the whole key. Raises StoreError where a key leads out of the prefix."""
        if not is_file_key(key):
            raise StoreError(f"{self.location}: {key!r} is no name of a file below it.")
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _named(self, key: str) -> AbstractContextManager[None]:
        """Return a context in which what S3 refuses is an error that names ``key``, the reason and the next step."""
        return refusals_as(StoreError, self._at(key))

    @contextmanager
    def _written(self, key: str, data: Content) -> Iterator[Upload]:
        """Yield what is to be uploaded, all of whose chunks are there: what their maker raises is its own."""
        name, digest = self._object(key), hashlib.sha256()
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as body:
            for chunk in (data,) if isinstance(data, bytes) else data:
                digest.update(chunk)
                body.write(chunk)
            num_bytes = body.tell()
            with self._named(key):
                metadata = {_DIGEST: digest.hexdigest(), WRITER: uuid.uuid4().hex}
                yield Upload(name=name, body=body, num_bytes=num_bytes, metadata=metadata)

    @contextmanager
    def _left_with_a_warning(self) -> Iterator[None]:
        """Go on where S3 refuses to remove something: it is garbage, and no reason to stop a run."""
        try:
            yield
        except StoreError as error:
            logger.warning("not removed: %s", error)

    def _head(self, key: str) -> HeadObjectOutputTypeDef | None:
        try:
            with self._named(key):
                return self._client.head_object(**self._object(key))
        except StoreError as error:
            refused = error.__cause__
            if isinstance(refused, Refused) and refused.code in _ABSENT:
                return None
            if isinstance(refused, Refused) and refused.code.isdecimal():
                self.list(key)  # which says why: an answer to HEAD has no body
            raise

    def _listed(self, prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for page in self._pages(self._prefix + prefix):
            for each in page.get("Contents", []):
                yield each["Key"].removeprefix(self._prefix), each

    def _pages(self, prefix: str, **arguments: Any) -> Iterator[Mapping[str, Any]]:
        with self._named(""):
            paginator = self._client.get_paginator("list_objects_v2")
            yield from paginator.paginate(Bucket=self._bucket, Prefix=prefix, **arguments)

    def _delete(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), _MAX_DELETED):
            names: list[Any] = [{"Key": self._prefix + key} for key in keys[start : start + _MAX_DELETED]]
            with self._left_with_a_warning(), self._named(""):
                self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": names, "Quiet": True})


def _is_broken(error: StoreError) -> bool:
    """Return whether S3 has not answered to the end, rather than refused."""
    return isinstance(error.__cause__, Refused) and not error.__cause__.code


_: type[Blobs] = S3Blobs
