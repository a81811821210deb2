"""What is secret of a Ray that is started here; none is started but in the last test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.execution import class_cache

from kaggle_ray.config.settings import Settings
from kaggle_ray.errors import ConfigError, ServiceError
from kaggle_ray.launch.placement import RayPlacement
from kaggle_ray.launch.ray_secrets import check_asks_for_token, credentials_unlogged
from kaggle_ray.launch.ray_session import ray_session


def told_of_an_actor() -> Mapping[str, str]:
    """Return the variables that Tune has Ray start an actor with, and write into its log."""

    class Slot(tune.Trainable):  # type: ignore[misc]
        pass

    actor: Any = class_cache._ActorClassCache().get(Slot)
    variables: Mapping[str, str] = actor._default_options["runtime_env"]["env_vars"]
    return variables


def test_credentials_are_not_told_of_actors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "open sesame")
    assert "open sesame" in told_of_an_actor().values(), "Ray has changed: what hides them may go"
    with credentials_unlogged():
        assert "open sesame" not in told_of_an_actor().values()
    assert "open sesame" in told_of_an_actor().values()


def test_a_ray_that_asks_nobody_for_a_token_is_refused_unless_it_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    check_asks_for_token()
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(ConfigError, match=r"RAY_AUTH_MODE=disabled: whoever has an account.*KAGGLE_RAY_OPEN_RAY=1"):
        check_asks_for_token()
    monkeypatch.setenv("KAGGLE_RAY_OPEN_RAY", "1")
    check_asks_for_token()


def test_a_ray_that_does_not_start_in_time_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0

    def init(**options: Any) -> None:
        nonlocal tries
        tries += 1
        raise Exception("The current node timed out during startup.")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("ray.init", init)
    monkeypatch.setattr("kaggle_ray.launch.ray_session.make_private_token", lambda: None)
    settings = Settings(device="cpu", threads_per_trial=1, dtype="float32")
    one = RayPlacement(num_slots=1)
    with pytest.raises(ServiceError, match=r"3 times: .*--launcher local"), ray_session(settings, one):
        raise AssertionError("there is no Ray")
    assert tries == 3


@pytest.mark.slow
def test_the_token_is_never_readable_by_others(tmp_path: Path) -> None:
    watched = (
        "import os, pathlib\n"
        "from kaggle_ray.launch.ray_secrets import make_private_token\n"
        "make_private_token()\n"
        "print(oct((pathlib.Path.home() / '.ray/auth_token').stat().st_mode & 0o777), oct(os.umask(0)))\n"
    )
    variables = {name: text for name, text in os.environ.items() if not name.startswith("RAY_AUTH")}
    found = subprocess.run(
        [sys.executable, "-c", f"import os; os.umask(0o022)\n{watched}"],
        env={**variables, "HOME": str(tmp_path)}, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert found.stdout.split() == ["0o600", "0o22"], found.stderr
