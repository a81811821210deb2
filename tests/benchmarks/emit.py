"""Time that a reporter of a service takes of the run for one event, whatever is wrong with the service.

    python tests/benchmarks/emit.py --record

A real server of this machine takes what is sent by HTTP, in a process of its own: up, slow, frozen (SIGSTOP), dead
(killed), refusing (503), or it is never reached, as the sink itself raises. The driver tells of epochs meanwhile, one
in a millisecond, and each call of ``emit`` is timed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
from record import Measured, record_options
from rich.table import Table

from kaggle_ray.reporters.codec import envelope_to_json
from kaggle_ray.reporters.delivery import Delivery
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import EpochEnded
from kaggle_ray.reporters.jsonl import DiaryHistory, JsonlReporter
from kaggle_ray.store.delivered import StoredCursor
from kaggle_ray.store.diary import FileDiary
from kaggle_ray.store.local import LocalBlobs
from kaggle_ray.testing.reporter_contract import KNOWN, addressed
from kaggle_ray.types import EpochMetrics

FAULTS = ("up", "slow", "frozen", "dead", "refusing", "raising")
SERVER = """
import sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
fault = sys.argv[1]
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if fault == "slow":
            time.sleep(1.0)
        self.send_response(503 if fault == "refusing" else 200)
        self.end_headers()
    def log_message(self, *args):
        pass
server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


class HttpSink:
    """Posts events to the server, as JSON."""

    name = "http"

    def __init__(self, url: str, *, raises: bool) -> None:
        self._url, self._raises = url, raises
        self.num_taken = 0

    def recall(self, envelopes: Sequence[Envelope]) -> None:
        """Nothing is kept."""

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """Post all of them."""
        if self._raises:
            raise RuntimeError("the sink's own mistake")
        body = str([envelope_to_json(envelope) for envelope in envelopes]).encode()
        urllib.request.urlopen(urllib.request.Request(self._url, data=body, method="POST"), timeout=5.0).close()
        self.num_taken += len(envelopes)

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def server(fault: str) -> Iterator[str]:
    """Yield the address of a server with a fault."""
    process = subprocess.Popen([sys.executable, "-c", SERVER, fault], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = f"http://127.0.0.1:{process.stdout.readline().strip()}/"
    try:
        if fault == "frozen":
            os.kill(process.pid, signal.SIGSTOP)
        if fault == "dead":
            process.kill()
            process.wait()
        yield url
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def epoch(number: int) -> Envelope:
    """Return the event of an epoch."""
    metrics = EpochMetrics(epoch=number, train_loss=0.5, valid_loss=0.5, score=0.5, lr=1e-3, duration_s=1.0)
    return addressed(EpochEnded(trial=KNOWN, metrics=metrics), time=float(number))


def microseconds(call: Callable[[], None]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - started) / 1000


def measure(fault: str, num_events: int) -> tuple[np.ndarray, float, int]:
    """Return the microseconds of each ``emit``, the seconds of ``close``, and how many events were delivered."""
    with TemporaryDirectory() as folder, server(fault) as url:
        diary = FileDiary(Path(folder) / "events.jsonl")
        writer = JsonlReporter(diary)
        sink = HttpSink(url, raises=fault == "raising")
        cursor = StoredCursor(LocalBlobs(Path(folder)), sink.name)
        delivery = Delivery(sink, history=DiaryHistory(diary), cursor=cursor, how_to_catch_up="")
        taken = np.empty(num_events)
        for number in range(num_events):
            envelope = epoch(number + 1)
            writer.emit(envelope)
            taken[number] = microseconds(lambda envelope=envelope: delivery.emit(envelope))  # type: ignore[misc]
            time.sleep(0.001)
        writer.close()
        seconds = microseconds(delivery.close) / 1e6
        return taken, seconds, sink.num_taken


@click.command()
@click.option("--events", "num_events", default=5000, show_default=True, help="Events that are told in each state.")
@record_options
def main(num_events: int, record: bool, note: str) -> None:
    """Time ``emit`` with the service in each state."""
    measured = Measured(benchmark="emit", record=record, note=note)
    table = Table(
        "service", "p50, us", "p99, us", "p99.9, us", "most, us", "close, s", "delivered",
        title=f"emit of Delivery, {num_events} events, one in a millisecond",
        caption="what is not delivered at the end is in the diary, and is by kaggle-ray deliver",
    )  # fmt: skip
    for fault in FAULTS:
        taken, seconds, num_delivered = measure(fault, num_events)
        cells = [f"{value:.1f}" for value in (*np.percentile(taken, (50, 99, 99.9)), taken.max())]
        table.add_row(fault, *cells, f"{seconds:.2f}", f"{num_delivered} of {num_events}")
    measured.show(table)
    measured.leave()


if __name__ == "__main__":
    main()
