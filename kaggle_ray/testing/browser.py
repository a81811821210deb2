"""Headless Chromium with a page in it, for tests of what people see."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.request import urlopen

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

_OPTIONS = (
    "--headless",
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)


class Page:
    """A page that is told what to do by Chromium's DevTools protocol."""

    def __init__(self, socket: Any) -> None:
        """Speak over ``socket``, a WebSocket to the page."""
        self._socket, self._num_sent = socket, 0
        self._events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Network"):
            self._command(f"{domain}.enable")

    def open(self, url: str, *, width: int, height: int) -> None:
        """Open ``url`` in a window of that many pixels."""
        self._events.clear()
        self._command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        self._command("Page.navigate", url=url)

    def prefer(self, mode: Literal["light", "dark"]) -> None:
        """Be the browser of somebody who likes pages light, or dark."""
        self._command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": mode}])

    def wait_for(self, condition: str, *, timeout_s: float = 60.0) -> None:
        """Wait until a condition, in JavaScript, holds.

        Raises:
            TimeoutError: it does not hold in time.
        """
        deadline = time.monotonic() + timeout_s
        while not self.value(condition):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{condition} does not hold after {timeout_s:.0f} s: {self.errors}")
            time.sleep(0.2)

    def value(self, expression: str) -> Any:
        """Return what an expression in JavaScript has for its value, as JSON; None where it raises."""
        answer = self._command("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """Write what is seen, as PNG."""
        path.write_bytes(base64.b64decode(self._command("Page.captureScreenshot", format="png")["data"]))

    @property
    def requested(self) -> list[str]:
        """Addresses that the page asked for, those of data within it aside."""
        urls = [
            event["params"]["request"]["url"]
            for event in self._events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls if not url.startswith(("data:", "blob:"))]

    @property
    def errors(self) -> list[str]:
        """What JavaScript raised."""
        return [
            event["params"]["exceptionDetails"].get("exception", {}).get("description", "")
            for event in self._events
            if event["method"] == "Runtime.exceptionThrown"
        ]

    def _command(self, method: str, **params: Any) -> dict[str, Any]:
        self._num_sent += 1
        self._socket.send(json.dumps({"id": self._num_sent, "method": method, "params": params}))
        while True:
            message: dict[str, Any] = json.loads(self._socket.recv())
            if message.get("id") == self._num_sent:
                result: dict[str, Any] = message["result"]
                return result
            self._events.append(message)


@contextmanager
def chromium_page(folder: Path) -> Iterator[Page]:
    """Start Chromium with an empty page, and its profile in ``folder``."""
    import websocket

    assert CHROMIUM is not None
    command = [CHROMIUM, *_OPTIONS, f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        listening = next(line for line in process.stderr if "DevTools listening" in line)
        port = listening.partition("127.0.0.1:")[2].partition("/")[0]
        with urlopen(f"http://127.0.0.1:{port}/json", timeout=60) as answer:
            (address,) = [tab["webSocketDebuggerUrl"] for tab in json.load(answer) if tab["type"] == "page"]
        socket = websocket.create_connection(address, timeout=60)
        try:
            yield Page(socket)
        finally:
            socket.close()
    finally:
        process.terminate()
        process.wait(30)
