"""Where the Visdom server is, and how the environments of runs are called there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from urllib.parse import urlsplit

from kaggle_ray.errors import ConfigError, suggest


@dataclass(frozen=True, kw_only=True, slots=True)
class VisdomSettings:
    """The settings of the reporter ``visdom``, each a text of the environment or of a file."""

    server: str = "http://127.0.0.1"
    """Scheme and host."""
    port: str = "8097"
    base_url: str = ""
    """Path below which the server answers, such as ``/visdom``."""
    env: str = ""
    """What the name of each run's environment begins with."""
    username: str = ""
    password: str = field(default="", repr=False)
    """The password of a server that asks for one; the environment alone has it."""

    def __post_init__(self) -> None:
        """Refuse what no server can be reached by.

        Raises:
            ConfigError: a setting is not what it is to be.
        """
        url = urlsplit(self.server)
        if "@" in self.server:
            raise ConfigError("visdom's server: set username and password by themselves, not in the address.")
        if url.scheme not in {"http", "https"} or not url.hostname or url.path.strip("/") or ":" in url.netloc:
            raise ConfigError(f"visdom's server: expected a scheme and a host, http://HOST, got {self.server!r}.")
        if not (self.port.isdecimal() and 0 < int(self.port) < 2**16):
            raise ConfigError(f"visdom's port: expected a number from 1 to 65535, got {self.port!r}.")
        if bool(self.username) != bool(self.password):
            raise ConfigError("visdom's username and password: expected both or neither, got one.")
        if not re.fullmatch(r"(/[\w.~-]+)*", self.base_url):
            raise ConfigError(f"visdom's base_url: expected a path such as /visdom, got {self.base_url!r}.")

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> VisdomSettings:
        """Return the settings of texts by name.

        Raises:
            ConfigError: a name is unknown, or a text is not what it is to be.
        """
        known = [each.name for each in fields(cls)]
        for name in settings:
            if name not in known:
                raise ConfigError(f"visdom has no setting {name!r}{suggest(name, known)}")
        return cls(**settings)

    @property
    def url(self) -> str:
        """Address of the server's page."""
        return f"{self.server.rstrip('/')}:{self.port}{self.base_url}"

    def environment_of(self, competition: str, run_id: str) -> str:
        """Return the name of a run's environment.

        It has no letter that means something in a path or in HTML, for the server makes a file of it and writes it
        into its page as it is. The page shows runs as a tree by what stands before the underscore.
        """
        group = re.sub(r"[^A-Za-z0-9-]+", "-", f"{self.env}{competition}")
        return f"{group}_{re.sub(r'[^A-Za-z0-9-]+', '-', run_id)}"
