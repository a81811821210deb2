"""Mail by a mail server of one's own, or of one's provider."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Literal, get_args

from kaggle_ray.errors import ConfigError

Security = Literal["starttls", "tls", "none"]
_SECURITY: dict[str, Security] = {kind: kind for kind in get_args(Security)}
_PORTS: dict[Security, int] = {"starttls": 587, "tls": 465, "none": 25}
_TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SmtpTransport:
    """A connection per mail: there are few."""

    host: str
    port: int
    security: Security
    user: str = ""
    password: str = ""

    @classmethod
    def of(cls, *, host: str, port: str, security: str, user: str, password: str) -> SmtpTransport:
        """Return the transport of settings as they are written; empty ones have their defaults.

        Raises:
            ConfigError: one has no such value, or a password would travel unprotected.
        """
        if (kind := _SECURITY.get(security)) is None:
            raise ConfigError(f"mail: security is starttls, tls or none, got {security!r}.")
        if port and not port.isdecimal():
            raise ConfigError(f"mail: port is a number, got {port!r}.")
        if password and kind == "none":
            raise ConfigError("mail: a password would travel unprotected. Set security to starttls or tls.")
        return cls(host=host, port=int(port or _PORTS[kind]), security=kind, user=user, password=password)

    def deliver(self, mail: EmailMessage) -> None:
        """Send a mail. Raises OSError or smtplib.SMTPException where the server did not take it."""
        connect = smtplib.SMTP_SSL if self.security == "tls" else smtplib.SMTP
        with connect(self.host, self.port, timeout=_TIMEOUT_S) as server:
            if self.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if self.user:
                server.login(self.user, self.password)
            server.send_message(mail)
