"""A real server that speaks like S3, on this machine, for tests."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from kaggle_ray.s3 import forget_client, s3_client

_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def s3_served(*buckets: str) -> Iterator[None]:
    """Serve S3 with these buckets, all empty, to this process and those that it starts within the context."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        with patch.dict(os.environ, {**_ENVIRONMENT, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}):
            forget_client()
            _empty()
            for bucket in buckets:
                s3_client().create_bucket(Bucket=bucket)
            yield
    finally:
        server.stop()
        forget_client()


@contextmanager
def requests_counted() -> Iterator[Counter[str]]:
    """Count what is asked of S3 within the context, by operation."""
    counted: Counter[str] = Counter()

    def count(request: Any, event_name: str, **_: Any) -> None:
        counted[event_name.rpartition(".")[2]] += 1

    s3_client().meta.events.register("before-send.s3", count)
    try:
        yield counted
    finally:
        s3_client().meta.events.unregister("before-send.s3", count)


def _empty() -> None:
    """Remove what an earlier server of this process left: moto keeps it in the process."""
    from moto.s3.models import s3_backends

    for account in list(s3_backends.values()):
        for backend in account.values():
            backend.reset()
