"""Which Elasticsearch is written to and asked, and what proves to it who asks."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from kaggle_ray.errors import ConfigError, suggest

_INDEX_PREFIX = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
"""What Elasticsearch takes as the beginning of an index's name, and no reserved name begins with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ElasticsearchSettings:
    """A server, the place of the documents in it, and who writes and asks."""

    url: str = "http://127.0.0.1:9200"
    prefix: str = "kaggle-ray"
    """What the names of its indices begin with: ``<prefix>-trials`` holds the trials."""
    ca_certs: str | None = None
    """File of the certificates that prove who the server is; None for those that Python trusts."""
    timeout_s: float = 5.0
    """Seconds that one request may take."""
    api_key: str | None = field(default=None, repr=False)
    """Proves who asks, as base64; user name and password do, too."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raise ConfigError for what Elasticsearch would not take, and for a secret in the address, which is shown."""
        if "@" in self.url:
            raise ConfigError("elasticsearch: url: expected no user in it. Set username and password, or api_key.")
        if not _INDEX_PREFIX.fullmatch(self.prefix):
            raise _unexpected("prefix", "lower-case letters, digits, '-', '_', '.', and no sign first", self.prefix)
        if not 0 < self.timeout_s < math.inf:
            raise _unexpected("timeout_s", "seconds above 0", self.timeout_s)
        if (self.username is None) != (self.password is None):
            raise ConfigError("elasticsearch: expected both username and password, or neither.")

    @classmethod
    def of(cls, given: Mapping[str, str]) -> ElasticsearchSettings:
        """Return settings of name -> text.

        Raises:
            ConfigError: one is unknown, or not of its kind.
        """
        known = {spec.name for spec in fields(cls)}
        for name in given:
            if name not in known:
                raise ConfigError(f"elasticsearch: there is no setting {name!r}{suggest(name, known)}")
        values: dict[str, Any] = dict(given)
        if "timeout_s" in values:
            try:
                values["timeout_s"] = float(values["timeout_s"])
            except ValueError as error:
                raise _unexpected("timeout_s", "seconds", given["timeout_s"]) from error
        return cls(**values)


def _unexpected(name: str, expected: str, got: object) -> ConfigError:
    return ConfigError(f"elasticsearch: {name}: expected {expected}, got {got!r}.")
