"""Uploads to S3 that create an object once: in one request or in parts, and whatever became of an earlier answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from kaggle_ray.s3 import Refused, asking

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES = 2**26
"""Size from which on an object is uploaded in parts, and of each but the last of at most 10,000."""
_MAX_PARTS = 10_000

EXISTS = {"PreconditionFailed", "412"}
CONFLICT = {"ConditionalRequestConflict", "409"}
"""Another writer of the same object was at work: who asks again learns who won."""
_GONE = {"NoSuchUpload"}
"""An upload in parts that is over: completed by a request whose answer was lost, or aborted."""
_NUM_TRIES = 6

WRITER = "writer"
"""Metadata of an object: an id of the upload that has written it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """What is uploaded."""

    name: Mapping[str, str]
    """Bucket and key, as S3's calls take them."""
    body: IO[bytes]
    num_bytes: int
    metadata: Mapping[str, str]
    """What is kept with it; ``WRITER`` is of this upload alone."""


def upload(client: S3Client, new: Upload, *, only_new: bool) -> bool:
    """Create an object, or replace it unless ``only_new``; return whether it is there by this upload.

    A request may have succeeded though its answer was lost, and then be answered by "exists" when it is repeated. So
    the object says who has written it.

    Raises:
        Refused: S3 refuses.
    """
    send = _in_one if new.num_bytes <= PART_BYTES else _in_parts
    condition: dict[str, Any] = {"IfNoneMatch": "*"} if only_new else {}
    for remaining in reversed(range(_NUM_TRIES)):
        try:
            with asking():
                send(client, new, condition)
            return True
        except Refused as refused:
            if refused.code not in EXISTS | CONFLICT | _GONE:
                raise
            writer = _writer_of(client, new.name)
            if writer == new.metadata[WRITER]:
                return True
            if writer is not None and only_new:
                return False
            if not remaining:
                raise
            time.sleep(0.1 * (_NUM_TRIES - remaining))
    raise AssertionError("the last try returns or raises")


def _in_one(client: S3Client, new: Upload, condition: Mapping[str, Any]) -> None:
    new.body.seek(0)
    client.put_object(**_named(new), Body=new.body, Metadata=new.metadata, **condition)


def _in_parts(client: S3Client, new: Upload, condition: Mapping[str, Any]) -> None:
    """Upload in parts, of which nothing is seen before the last request; an upload that fails is aborted."""
    new.body.seek(0)
    upload_id = client.create_multipart_upload(**_named(new), Metadata=new.metadata)["UploadId"]
    part_bytes = max(PART_BYTES, -(-new.num_bytes // _MAX_PARTS))
    of_upload = {**_named(new), "UploadId": upload_id}
    with _aborted_on_error(client, of_upload):
        parts: list[Any] = [
            {
                "PartNumber": number,
                "ETag": client.upload_part(**of_upload, PartNumber=number, Body=part)["ETag"],
            }
            for number, part in enumerate(iter(lambda: new.body.read(part_bytes), b""), start=1)
        ]
        client.complete_multipart_upload(**of_upload, MultipartUpload={"Parts": parts}, **condition)


def _named(new: Upload) -> dict[str, Any]:
    return dict(new.name)


@contextmanager
def _aborted_on_error(client: S3Client, of_upload: Mapping[str, Any]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(Refused), asking():  # whoever drives the run next aborts what is left
            client.abort_multipart_upload(**of_upload)
        raise


def _writer_of(client: S3Client, name: Mapping[str, Any]) -> str | None:
    """Return who wrote the object; empty where it does not say, None where there is none."""
    try:
        with asking():
            return client.head_object(**name)["Metadata"].get(WRITER, "")
    except Refused as refused:
        if refused.code == "404":
            return None
        raise
