from __future__ import annotations

import os

import pytest

from kaggle_ray.s3 import CREDENTIALS, adopt_credentials, credentials


def test_credentials_are_taken_over_together_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    of_driver = {"AWS_ACCESS_KEY_ID": "driver", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "machine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "own")
    adopt_credentials(of_driver)
    assert credentials() == {"AWS_ACCESS_KEY_ID": "machine", "AWS_SECRET_ACCESS_KEY": "own"}
    for name in credentials():
        del os.environ[name]
    adopt_credentials(of_driver)
    assert credentials() == of_driver
    del os.environ["AWS_SESSION_TOKEN"]  # which no fixture has set
