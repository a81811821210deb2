"""Files of an S3 bucket, as a source to stage from."""

from __future__ import annotations

import hashlib
from pathlib import Path

from kaggle_ray.data.staging_source import RemoteFile
from kaggle_ray.errors import DataError
from kaggle_ray.s3 import refusals_as, s3_client
from kaggle_ray.uri import bucket_of_uri


class Bucket:
    """The objects below ``s3://bucket/prefix``."""

    def __init__(self, uri: str) -> None:
        """Connect with boto3's own configuration: environment, ~/.aws, or the machine's role.

        Raises:
            ConfigError: it names no bucket, or boto3 is not installed.
        """
        self._uri = uri
        self._bucket, prefix = bucket_of_uri(uri)
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = s3_client()

    def list(self) -> list[RemoteFile]:
        """Return all objects under the prefix, each with its size and ETag.

        Raises:
            DataError: the bucket cannot be listed.
        """
        with refusals_as(DataError, f"{self._uri}: cannot be listed"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            return [
                RemoteFile(
                    name=each["Key"].removeprefix(self._prefix),
                    num_bytes=each["Size"],
                    stamp=each["ETag"].strip('"'),
                )
                for page in pages
                for each in page.get("Contents", [])
                if not each["Key"].endswith("/")
            ]

    def fetch(self, file: RemoteFile, path: Path) -> None:
        """Download an object to ``path``, and hold the content to its ETag.

        The ETag is the MD5 of the content, or of an upload in parts the MD5 of the parts' MD5; but not of what is
        encrypted by a key of KMS or the customer's, nor in a directory bucket. Where it is not, the object is
        downloaded a second time: what arrives twice alike is what the bucket has.

        Raises:
            DataError: it cannot be read, or what arrives is not the same twice.
        """
        self._download(file, path)
        with refusals_as(DataError, f"{self._uri}: {file.name}: cannot be read"):
            part_size = self._part_size(file)
        if etag_of(path, part_size) == file.stamp:
            return
        again = path.with_name(f"{path.name}.again")
        try:
            self._download(file, again)
            if _sha256(again) != _sha256(path):
                raise DataError(
                    f"{self._uri}: {file.name}: another content arrives each time, and none has the checksum "
                    f"{file.stamp}."
                )
        finally:
            again.unlink(missing_ok=True)

    def _download(self, file: RemoteFile, path: Path) -> None:
        with refusals_as(DataError, f"{self._uri}: {file.name}: cannot be read"):
            self._client.download_file(self._bucket, self._prefix + file.name, str(path))

    def _part_size(self, file: RemoteFile) -> int | None:
        """Return the bytes of a part of an upload in parts, None where there was one part."""
        if "-" not in file.stamp:
            return None
        head = self._client.head_object(Bucket=self._bucket, Key=self._prefix + file.name, PartNumber=1)
        num_bytes: int = head["ContentLength"]
        return num_bytes


def etag_of(path: Path, part_size: int | None) -> str:
    """Return the ETag that S3 gives to the content of ``path``, uploaded at once or in parts of ``part_size`` bytes."""
    with path.open("rb") as file:
        if part_size is None:
            return hashlib.file_digest(file, "md5").hexdigest()
        digests = [hashlib.md5(part).digest() for part in iter(lambda: file.read(part_size), b"")]
    return f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
