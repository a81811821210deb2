"""A server that answers Kaggle's own command line as Kaggle would, or fails as it is told to.

The command line asks http://localhost in plain HTTP where KAGGLE_API_ENVIRONMENT is LOCALHOST; through a proxy it
reaches this server at whatever port it has.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TOKEN = "KGAT_of-tests-only"


@dataclass(kw_only=True)
class Fault:
    """What goes wrong with a call."""

    status: int = 503
    """Status of the answer."""
    after: bool = False
    """Whether the call is done first, so that only its answer is lost."""
    delay_s: float = 0.0
    times: int = 1_000_000


@dataclass
class FakeKaggle:
    """One competition, one team."""

    folder: Path
    """Home of the command line."""
    port: int = 0
    faults: dict[str, Fault] = field(default_factory=dict)
    """Name of a call -> what goes wrong with it; ``PUT`` is the upload."""
    calls: list[str] = field(default_factory=list)
    submissions: list[dict[str, Any]] = field(default_factory=list)
    """The newest first."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    num_allowed: int = 5
    num_pending: int = 1
    """Lists that are answered before a submission is scored."""
    num_hidden: int = 0
    """Lists that are answered before a new submission is among them."""
    public_score: str = "0.12345"
    private_score: str = ""

    def environment(self) -> dict[str, str]:
        """Return what the command line needs in its environment, and nothing of the user's own credentials."""
        proxy = f"http://127.0.0.1:{self.port}"
        own = {name: value for name, value in os.environ.items() if not name.upper().startswith("KAGGLE_")}
        own = {name: value for name, value in own.items() if name.lower() not in ("no_proxy", "all_proxy")}
        return own | {
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "KAGGLE_API_TOKEN": TOKEN,
            "KAGGLE_CONFIG_DIR": str(self.folder),
            "HOME": str(self.folder),
            "http_proxy": proxy,
            "HTTP_PROXY": proxy,
        }

    def answer(self, call: str, query: Mapping[str, Any], base: str) -> tuple[int, Any]:
        """Return status and JSON value of a call."""
        if call == "IntrospectToken":
            return 200, {"active": True, "username": "tester", "userId": 1, "scope": ""}
        if call == "StartSubmissionUpload":
            token = f"token{len(self.calls)}"
            return 200, {"token": token, "createUrl": f"{base}/upload/{token}?signature=of-the-upload"}
        if call == "CreateSubmission":
            return self._created(query)
        if call == "GetSubmissionLimits":
            made = len(self.submissions)
            return 200, {"numToday": made, "numTotal": made, "numAllowedNow": max(0, self.num_allowed - made)}
        if call == "ListSubmissions":
            return 200, {"submissions": list(self._listed()), "nextPageToken": ""}
        return 404, {"code": 404, "message": f"{call}: no such call"}

    def _created(self, query: Mapping[str, Any]) -> tuple[int, Any]:
        if query["blobFileTokens"] not in self.blobs:
            return 400, {"code": 400, "message": "no such upload"}
        self.submissions.insert(
            0,
            {
                "ref": 1000 + len(self.submissions),
                "date": "2026-11-27T00:00:00.000Z",
                "description": query.get("submissionDescription", ""),
                "fileName": "submission.csv",
                "status": "PENDING",
                "publicScore": "",
                "privateScore": "",
                "lists": 0,
            },
        )
        return 200, {"message": f"Successfully submitted to {query['competitionName']}", "ref": 1000}

    def _listed(self) -> Iterator[dict[str, Any]]:
        for each in self.submissions:
            each["lists"] += 1
            if each["lists"] > self.num_hidden + self.num_pending:
                each |= {"status": "COMPLETE", "publicScore": self.public_score, "privateScore": self.private_score}
            if each["lists"] > self.num_hidden:
                yield {name: value for name, value in each.items() if name != "lists"}


@contextmanager
def kaggle_server(folder: Path) -> Iterator[FakeKaggle]:
    """Serve a competition that has no submissions yet, until the context ends."""
    fake = FakeKaggle(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

        def do_POST(self) -> None:
            """Answer a call."""
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = urlsplit(self.path).path
            call = "PUT" if self.command == "PUT" else path.rpartition("/")[2]
            fake.calls.append(call)
            fault = fake.faults.get(call)
            is_faulty = fault is not None and fault.times > 0
            if fault is not None and is_faulty:
                fault.times -= 1
                time.sleep(fault.delay_s)
            status, value = 200, dict[str, Any]()
            if fault is None or not is_faulty or fault.after:
                if call == "PUT":
                    fake.blobs[path.rpartition("/")[2]] = body
                elif call != "IntrospectToken" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    status, value = 401, {"code": 401, "message": "Unauthenticated"}
                else:
                    status, value = fake.answer(call, json.loads(body or b"{}"), f"http://{self.headers['Host']}")
            if fault is not None and is_faulty:
                status, value = fault.status, {"code": fault.status, "message": f"{call} fails, as it is told to"}
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):  # whoever asked has lost patience
                self.wfile.write(data)

        do_GET = do_PUT = do_POST

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
