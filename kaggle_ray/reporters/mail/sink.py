"""Sends a mail when a run has ended, failed, stalled, or was stopped by somebody else than its user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from typing import Protocol

from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import EnsembleChosen, EpochEnded, SamplesDrawn
from kaggle_ray.reporters.mail.curves import Curves, draw
from kaggle_ray.reporters.mail.message import Addresses, compose
from kaggle_ray.reporters.mail.occasions import Occasions, Outcome
from kaggle_ray.reporters.mail.ses import SesTransport
from kaggle_ray.reporters.mail.smtp import SmtpTransport
from kaggle_ray.reporters.pictures import pictures_of
from kaggle_ray.reporters.progress import RunProgress
from kaggle_ray.reporters.sink import MakeSink, ReadArtifact, Sink

_SETTINGS = ("by", "from", "to", "live_page", "region", "host", "port", "security", "user", "password")


class Transport(Protocol):
    """Takes mail to where it is delivered."""

    def deliver(self, mail: EmailMessage) -> None:
        """Send one mail. Raises where it was not taken."""


class MailSink:
    """Folds a run's events into what a mail says, and sends one for each occasion."""

    name = "mail"

    def __init__(
        self, transport: Transport, addresses: Addresses, read_artifact: ReadArtifact, *, live_page: str = ""
    ) -> None:
        """Send by ``transport``; mails name ``live_page`` where it is not empty."""
        self._read_artifact = read_artifact
        self._samples: SamplesDrawn | None = None
        self._transport, self._addresses, self._live_page = transport, addresses, live_page
        self._occasions, self._progress, self._curves = Occasions(), RunProgress(), Curves()
        self._ensemble: EnsembleChosen | None = None
        self._unsent: dict[str, EmailMessage] = {}

    def recall(self, envelopes: Sequence[Envelope]) -> None:
        """Take note of what was told before: of that a person has had mail."""
        for envelope in envelopes:
            self._take_in(envelope)

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """Send a mail for each of the events that calls for one, and those that could not be sent before."""
        for envelope in envelopes:
            outcome = self._take_in(envelope)
            if outcome is not None:
                mail = self._compose(outcome, envelope)
                self._unsent[str(mail["Message-ID"])] = mail
        for message_id, mail in tuple(self._unsent.items()):
            self._transport.deliver(mail)
            del self._unsent[message_id]

    def close(self) -> None:
        """Nothing is open."""

    def _take_in(self, envelope: Envelope) -> Outcome | None:
        self._progress.update(envelope)
        match envelope.event:
            case EpochEnded(trial=trial, metrics=metrics):
                self._curves.add(trial, metrics)
            case EnsembleChosen():
                self._ensemble = envelope.event
            case SamplesDrawn():
                self._samples = envelope.event
        return self._occasions.outcome_of(envelope)

    def _compose(self, outcome: Outcome, envelope: Envelope) -> EmailMessage:
        progress = self._progress
        return compose(
            outcome,
            envelope,
            progress,
            addresses=self._addresses,
            ensemble=self._ensemble,
            live_page=self._live_page,
            picture=draw(
                self._curves,
                names=progress.names,
                metric=progress.metric,
                greater_is_better=progress.greater_is_better,
            ),
            samples=self._pictures() if outcome == "complete" else {},
        )

    def _pictures(self) -> dict[str, bytes]:
        """Return file name -> JPEG of the samples that were drawn last."""
        pictures = pictures_of(self._samples, self._read_artifact) if self._samples else []
        return {f"{picture.name}.jpg": picture.jpeg for picture in pictures}


def make_sink(settings: Mapping[str, str], read_artifact: ReadArtifact) -> MailSink:
    """Return the sink of settings: ``from`` and ``to`` (addresses, by commas), and how mail gets there.

    ``by`` is ``smtp`` (with ``host``, and where they are needed ``port``, ``security``, ``user``, ``password``) or
    ``ses`` (with ``region``, where boto3 does not know it).

    Raises:
        ConfigError: a setting is missing, unknown, or has no such value.
    """
    for given in settings:
        if given not in _SETTINGS:
            raise ConfigError(f"mail: unknown setting {given!r}{suggest(given, _SETTINGS)}")
    for needed in ("from", "to"):
        if not settings.get(needed):
            raise ConfigError(f"mail: set KAGGLE_RAY_MAIL_{needed.upper()} to an address.")
    to = tuple(address.strip() for address in settings["to"].split(",") if address.strip())
    addresses = Addresses(sender=settings["from"], to=to)
    return MailSink(_transport(settings), addresses, read_artifact, live_page=settings.get("live_page", ""))


def _transport(settings: Mapping[str, str]) -> Transport:
    by = settings.get("by", "smtp")
    if by == "ses":
        return SesTransport(region=settings.get("region", ""))
    if by != "smtp":
        raise ConfigError(f"mail: by is smtp or ses, got {by!r}.")
    if not settings.get("host"):
        raise ConfigError("mail: set KAGGLE_RAY_MAIL_HOST to the mail server, or KAGGLE_RAY_MAIL_BY=ses.")
    return SmtpTransport.of(
        host=settings["host"],
        port=settings.get("port", ""),
        security=settings.get("security", "starttls"),
        user=settings.get("user", ""),
        password=settings.get("password", ""),
    )


_MAIL_IS_A_SINK: type[Sink] = MailSink
_MAKES_A_SINK: MakeSink = make_sink
