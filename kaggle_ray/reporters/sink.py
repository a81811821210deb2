"""What delivers events to a service: a server of plots, of documents, of mail. It may block, and it may fail.

A reporter must do neither, so a sink is never called by the run itself: ``Delivery`` is the reporter, which hands a
sink what it is to deliver from a thread of its own, again where the sink raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from kaggle_ray.reporters.envelope import Envelope

ReadArtifact = Callable[[str], bytes | None]
"""Returns what an event names by an artifact's key, such as a picture's PNG; None where it is gone."""


class Sink(Protocol):
    """Delivers the events of runs to one service, in their order, called from one thread alone."""

    name: str
    """What users call it, such as ``visdom``."""

    def recall(self, envelopes: Sequence[Envelope]) -> None:
        """Take note of what this or an earlier process delivered before: called once, before the first ``send``.

        Nothing of it is to be delivered again; it is what a curve goes on from, or what a person was told already.
        """

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """Deliver all of them; the same ones may come again, and are stored by their ``event_id`` once.

        Raises:
            Exception: they may not have been taken. The same ones come again later.
        """

    def close(self) -> None:
        """Let go of connections; more may not come."""


MakeSink = Callable[[Mapping[str, str], ReadArtifact], Sink]
"""Makes a sink of its settings, name -> text, and of what reads artifacts.

It raises ConfigError for a setting that it does not know or take, and reaches for no server: one that is down must not
stop the run.
"""
