from __future__ import annotations

import logging
import socket
import threading

import pytest

from kaggle_ray.launch.ray_head import head_watched


class Told(logging.Handler):
    """What is logged, and whether something was."""

    def __init__(self) -> None:
        super().__init__()
        self.is_told = threading.Event()
        self.words = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.words += record.getMessage()
        self.is_told.set()


def test_the_end_of_rays_head_is_told_with_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    logger = logging.getLogger("kaggle_ray.launch.ray_head")
    monkeypatch.setattr(logger, "handlers", [told])
    head = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{head.getsockname()[1]}"
    with head_watched(address, every_s=0.01, num_tries=2):
        assert not told.is_told.wait(0.2), "it is there"
        head.close()
        assert told.is_told.wait(60)
    assert told.words.startswith(f"Ray's head at {address} is gone")
    assert told.words.endswith("the same command goes on where this run was.")
