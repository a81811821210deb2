"""The watcher of spot notices, against a metadata service of our own that wants a token as AWS's does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

WATCHER = Path(__file__).resolve().parents[2] / "cluster" / "spot_notice.py"
NUM_QUIET = 2
"""Times that the service says nothing of a notice."""


class Metadata(BaseHTTPRequestHandler):
    """Answers as version 2 of the instance metadata service: first a token, then what is asked with it."""

    num_asked = 0

    def do_PUT(self) -> None:
        assert self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self._say(200, "a-token")

    def do_GET(self) -> None:
        if self.headers["X-aws-ec2-metadata-token"] != "a-token":
            self._say(401, "")
            return
        assert self.path == "/latest/meta-data/spot/instance-action"
        Metadata.num_asked += 1
        if Metadata.num_asked <= NUM_QUIET:
            self._say(404, "")
            return
        end = datetime.now(UTC) + timedelta(seconds=120)
        self._say(200, json.dumps({"action": "terminate", "time": f"{end:%Y-%m-%dT%H:%M:%SZ}"}))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each request."""

    def _say(self, code: int, text: str) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(text.encode())


@contextmanager
def metadata_service() -> Iterator[str]:
    Metadata.num_asked = 0
    with HTTPServer(("127.0.0.1", 0), Metadata) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_notice_drains_the_node_of_this_machine_before_it_goes(tmp_path: Path) -> None:
    python, ray = tmp_path / "python", tmp_path / "ray"
    python.symlink_to(sys.executable)
    ray.write_text('#!/bin/sh\necho "$RAY_ADDRESS" "$@" > "$(dirname "$0")/told"\n')
    ray.chmod(0o755)
    variables = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    with metadata_service() as url:
        done = subprocess.run(
            [python, WATCHER],
            env={**variables, "KAGGLE_RAY_METADATA": url, "KAGGLE_RAY_POLL_S": "0.05"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert Metadata.num_asked == NUM_QUIET + 1
    address, command, *options = (tmp_path / "told").read_text().split()
    assert (address, command) == ("auto", "drain-node")
    assert options[:2] == ["--reason", "DRAIN_NODE_REASON_PREEMPTION"]
    assert 90 <= int(options[-1]) <= 110, "ten seconds before the machine goes"


def test_a_service_that_fails_is_an_error_so_that_the_watcher_is_started_again(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, WATCHER],
        env={**os.environ, "KAGGLE_RAY_METADATA": "http://127.0.0.1:9"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "refused" in done.stderr
