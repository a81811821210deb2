"""What is secret of a Ray: credentials stay out of its logs, its token is this user's alone, and it asks for it."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ray._private.authentication.authentication_token_setup import (
    AUTH_MODE_ENV_VAR,
    enable_token_auth_by_default,
    ensure_token_if_auth_enabled,
)
from ray.tune.execution import class_cache

from kaggle_ray.errors import ConfigError
from kaggle_ray.s3 import CREDENTIALS

OPEN_VARIABLE = "KAGGLE_RAY_OPEN_RAY"
_OTHERS = 0o077
"""Rights of all but the user."""


@contextmanager
def credentials_unlogged() -> Iterator[None]:
    """Let Tune name no credentials of S3 in what its actors are started with, within the context.

    It takes them from the driver's environment into each actor's runtime environment, which Ray writes into a log that
    everybody on the machine may read. Trials get them by their context.
    """
    before = class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.ENV_VARS_TO_PROPAGATE = frozenset(before) - frozenset(CREDENTIALS)
    try:
        yield
    finally:
        class_cache.ENV_VARS_TO_PROPAGATE = before


def check_asks_for_token() -> None:
    """Raise ConfigError where a Ray that is started here would do what anybody on this machine tells it.

    Raises:
        ConfigError: RAY_AUTH_MODE is disabled, and the user has not said that this is meant.
    """
    if os.environ.get(AUTH_MODE_ENV_VAR, "").lower() == "disabled" and os.environ.get(OPEN_VARIABLE) != "1":
        raise ConfigError(
            f"{AUTH_MODE_ENV_VAR}=disabled: whoever has an account on this machine could run code as you, by the Ray "
            f"that is about to be started. Unset it; or, where you are alone on it, set {OPEN_VARIABLE}=1."
        )


def make_private_token() -> None:
    """Have the token, by which this user's Ray is told what to do, be there, and nobody else read it.

    Ray writes it as any file, and takes one that is there.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)  # as ray.init is told to, later
    umask = os.umask(_OTHERS)
    try:
        enable_token_auth_by_default()
        ensure_token_if_auth_enabled()
    finally:
        os.umask(umask)
    token = Path.home() / ".ray" / "auth_token"
    if token.is_file() and stat.S_IMODE(token.stat().st_mode) & _OTHERS:
        token.chmod(0o600)
