"""How many events of a run's diary a service has taken: derived, and replaced as more are delivered."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from kaggle_ray.errors import StoreError
from kaggle_ray.store.blobs import Blobs
from kaggle_ray.store.schema import decode, encode
from kaggle_ray.typed_json import from_json
from kaggle_ray.untrusted import MAX_JSON_BYTES, Size

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Delivered:
    """What the file of a service says."""

    num_events: Size


class StoredCursor:
    """Keeps the number of delivered events in a run's store; see ``kaggle_ray.reporters.backlog.Cursor``."""

    def __init__(self, blobs: Blobs, service: str) -> None:
        """Keep that of one ``service`` in ``delivered/<service>.json``."""
        self._blobs, self._key = blobs, f"delivered/{service}.json"

    def load(self) -> int:
        """Return what was saved last, 0 where nothing was; what cannot be read costs that all is delivered again."""
        data = self._blobs.get(self._key, max_bytes=MAX_JSON_BYTES)
        if data is None:
            return 0
        where = f"{self._blobs.location}/{self._key}"
        try:
            return from_json(_Delivered, decode(data, where=where), where=where).num_events
        except StoreError as error:
            logger.warning("all events are delivered again: %s", error)
            return 0

    def save(self, number: int) -> None:
        """Save that the first ``number`` events are delivered."""
        self._blobs.put(self._key, encode({"num_events": number}))
