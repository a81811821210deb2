"""A service that is no server: it takes events, or fails as it is told to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Condition, Event

from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.sink import ReadArtifact

_WAIT_S = 60.0


class FakeService:
    """Keeps what it takes by ``event_id``, so that what comes again takes the place of what it had; a Sink, too."""

    name = "fake"

    def __init__(self) -> None:
        """Be up."""
        self.recalled: list[Envelope] = []
        self.taken: dict[str, Envelope] = {}
        self.num_sent = 0
        """Events that were sent, those that came again too."""
        self.num_refused = 0
        self.num_closed = 0
        self.settings: Mapping[str, str] = {}
        self._error: Exception | None = None
        self._is_thawed = Event()
        self._is_thawed.set()
        self._changed = Condition()

    def fail(self, error: Exception | None) -> None:
        """Raise ``error`` from now on; None ends it."""
        self._error = error

    def freeze(self) -> None:
        """Answer nothing from now on, as a process that is stopped."""
        self._is_thawed.clear()

    def thaw(self) -> None:
        """Answer again."""
        self._is_thawed.set()

    def recall(self, envelopes: Sequence[Envelope]) -> None:
        """Keep what was delivered before."""
        self.recalled = list(envelopes)

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """Take the events, unless it fails."""
        self._is_thawed.wait(_WAIT_S)
        with self._changed:
            self._changed.notify_all()
            if self._error is not None:
                self.num_refused += 1
                raise self._error
            self.num_sent += len(envelopes)
            self.taken.update({envelope.event_id: envelope for envelope in envelopes})

    def close(self) -> None:
        """Count that it is closed."""
        self.num_closed += 1

    def wait_until(self, *, num_taken: int = 0, num_refused: int = 0) -> None:
        """Wait until it has taken and refused that often. Raises TimeoutError where it does not come to that."""
        with self._changed:
            if not self._changed.wait_for(
                lambda: len(self.taken) >= num_taken and self.num_refused >= num_refused, _WAIT_S
            ):
                raise TimeoutError(f"taken: {len(self.taken)}, refused: {self.num_refused}")

    def make_sink(self, settings: Mapping[str, str], read_artifact: ReadArtifact) -> FakeService:
        """Return this service with ``settings``, of which it takes ``server`` and ``password``."""
        for setting in settings:
            if setting not in (known := ("server", "password")):
                raise ConfigError(f"fake: there is no setting {setting!r}{suggest(setting, known)}")
        self.settings = settings
        return self
