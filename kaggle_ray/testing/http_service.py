"""A service on a socket, its sink, and a driver that tells it of a run, for tests of what a kill leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any
from urllib.request import Request, urlopen

from kaggle_ray.reporters.codec import envelope_to_json
from kaggle_ray.reporters.delivery import Delivery
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.jsonl import DiaryHistory, JsonlReporter
from kaggle_ray.reporters.sink import Sink
from kaggle_ray.store.delivered import StoredCursor
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.told import told_run

Stored = dict[str, dict[str, Any]]
"""Id of an event -> the event, in the order in which they came first."""
EVENTS = list(told_run(names={"0" * 12: "resnet18", "1" * 12: "resnet34"}, num_folds=3, num_epochs=10))
"""What the driver tells."""


class HttpSink:
    """Posts events to an address."""

    name = "http"

    def __init__(self, url: str) -> None:
        """Post to ``url``."""
        self._url = url

    def recall(self, envelopes: Sequence[Envelope]) -> None:
        """Do without: the service knows events by their ids."""

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """Post all in one request. Raises OSError where there is no answer."""
        data = json.dumps([envelope_to_json(each) for each in envelopes]).encode()
        with urlopen(Request(self._url, data=data), timeout=60):
            pass

    def close(self) -> None:
        """Do nothing: each request had a connection of its own."""


_HTTP_IS_A_SINK: type[Sink] = HttpSink


@contextmanager
def http_service(on_request: Callable[[int, Stored, Stored], None]) -> Iterator[tuple[str, Stored]]:
    """Serve on this machine; yield the address, and what is stored.

    Args:
        on_request: is called with a request's number, 1 for the first, what is stored, and what it brings; it stores.
    """
    stored: Stored = {}
    num_requests = 0

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal num_requests
            events = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            num_requests += 1
            on_request(num_requests, stored, {event["event_id"]: event for event in events})
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", stored
        finally:
            server.shutdown()
            thread.join()


def drive(run_dir: Path, url: str, *, every_s: float) -> None:
    """Tell the service of ``EVENTS`` as a driver does, from the first that the run's diary lacks, one ``every_s``."""
    store = open_run(run_dir)
    diary, history = JsonlReporter(store.diary), DiaryHistory(store.diary)
    begun = len(history)
    delivery = Delivery(
        HttpSink(url),
        history=history,
        cursor=StoredCursor(store.blobs, HttpSink.name),
        how_to_catch_up="kaggle-ray deliver",
        look_every_s=0.01,
        close_within_s=120.0,
    )
    for envelope in EVENTS[begun:]:
        diary.emit(envelope)
        delivery.emit(envelope)
        sleep(every_s)
    diary.close()
    delivery.close()
