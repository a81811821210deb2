"""The one place that talks to Visdom's client."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any

from kaggle_ray.reporters.visdom.settings import VisdomSettings
from kaggle_ray.reporters.visdom.windows import Html, Picture, Plot, Window
from kaggle_ray.types import JsonValue

TIMEOUT_S = (3.0, 5.0)
"""To connect, and between two bytes of an answer: a frozen server would be waited for without end."""


class VisdomClient:
    """Shows windows on a server, which is reached for when there is something to show."""

    def __init__(self, settings: VisdomSettings) -> None:
        """Show on the server that ``settings`` name."""
        import visdom

        self._settings = settings
        self._visdom: Any = visdom.Visdom(
            server=settings.server,
            port=int(settings.port),
            base_url=settings.base_url or "/",
            raise_exceptions=True,  # else it prints a traceback and goes on
            use_incoming_socket=False,  # nothing is asked of whoever looks
            send=False,  # until there is a session that has a time-out
        )
        self._shown: dict[tuple[str, str], Window] = {}

    def show(self, environment: str, windows: Sequence[Window]) -> None:
        """Replace the windows that are not on the server as they are here, and have it save the environment.

        Raises:
            ConnectionError: the server is not reached, does not answer in time, or refuses. What it has is unknown
                then, and all of it is sent the next time.
        """
        try:
            self._open()
            if windows and not self._has(environment, windows[0]):  # a server that lost what it was shown
                self._shown.clear()
            for window in windows:
                if self._shown.get((environment, window.name)) != window:
                    self._visdom._send(_message(environment, window))
                    self._shown[environment, window.name] = window
            self._visdom.save([environment])
        except OSError as error:  # those of requests are, too
            self._shown.clear()
            self.close()
            reason = error.__context__ or error  # the client's own says no more than that there was one
            raise ConnectionError(f"{self._settings.url}: {type(reason).__name__}: {reason}") from error

    def close(self) -> None:
        """Let go of the connection; what is shown next opens another."""
        if self._visdom._session is not None:
            self._visdom._session.close()
        self._visdom._session, self._visdom.send = None, False

    def _open(self) -> None:
        """Give the client a session whose requests have a time-out and whose refusals are errors; it has neither."""
        if self._visdom._session is not None:
            return
        import requests

        session = requests.Session()
        session.request = partial(session.request, timeout=TIMEOUT_S)
        session.hooks["response"].append(lambda response, **_: response.raise_for_status())
        settings = self._settings
        if settings.username:
            digest = hashlib.sha256(settings.password.encode()).hexdigest()  # as the server's page sends it
            session.post(settings.url, json={"username": settings.username, "password": digest})
        self._visdom._session, self._visdom.send = session, True

    def _has(self, environment: str, window: Window) -> bool:
        answer = self._visdom._send({"win": window.name, "eid": environment}, endpoint="win_exists")
        return bool(answer == "true")


def _message(environment: str, window: Window) -> dict[str, JsonValue]:
    """Return what the server makes a window of; the client's own plots leave no say in their layout."""
    opts: dict[str, JsonValue] = {"title": window.title, "width": window.width, "height": window.height}
    message: dict[str, JsonValue] = {"eid": environment, "win": window.name, "opts": opts}
    match window.content:
        case Plot(traces=traces, layout=layout):
            return {**message, "data": traces, "layout": layout}
        case Html(markup=markup):
            return {**message, "data": [{"type": "text", "content": markup}]}
        case Picture(jpeg=jpeg, caption=caption):
            source = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
            return {**message, "data": [{"type": "image", "content": {"src": source, "caption": caption}}]}
