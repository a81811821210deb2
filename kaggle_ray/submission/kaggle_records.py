"""What a run has submitted to Kaggle, beside its trials: one JSON text for each file and competition."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from kaggle_ray.store.run import RunStore
from kaggle_ray.store.schema import decode, encode
from kaggle_ray.typed_json import from_json
from kaggle_ray.untrusted import MAX_JSON_BYTES

_FOLDER = "kaggle/"

State = Literal["intended", "submitted", "complete", "error"]
"""``intended``: about to be uploaded, and whether Kaggle has it is not known. ``submitted``: Kaggle has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KaggleRecord:
    """One file that was submitted, or is about to be."""

    slug: str
    """The competition's name on Kaggle."""
    name: str
    """Name of the run's submission: ``submission`` or ``refit``."""
    sha256: str
    """Digest of the file."""
    message: str
    state: State
    score_honest: float | None
    since: float
    """When it was first meant to be submitted, in seconds since the Unix epoch."""
    ref: int | None = None
    """Kaggle's number of it."""
    public_score: float | None = None
    private_score: float | None = None
    standard_error: float | None = None
    """Standard error of the honest score; None where it is not known, or the record is of before it was kept."""

    @property
    def marker(self) -> str:
        """What its description on Kaggle ends with, by which it is found there."""
        return f"[kaggle-ray {self.sha256[:12]}]"

    @property
    def description(self) -> str:
        """What Kaggle is told."""
        return f"{self.message} {self.marker}".strip()


def save_record(store: RunStore, record: KaggleRecord) -> None:
    """Save a record in place of the one of the same file and competition."""
    store.blobs.put(f"{_FOLDER}{record.slug}.{record.sha256[:12]}.json", encode(asdict(record)))


def records_of(store: RunStore) -> list[KaggleRecord]:
    """Return what a run has submitted, the first one first.

    Raises:
        StoreError: a record cannot be read.
    """
    found = []
    for key in store.blobs.list(_FOLDER):
        if (data := store.blobs.get(key, max_bytes=MAX_JSON_BYTES)) is not None:
            where = f"{store.location}/{key}"
            found.append(from_json(KaggleRecord, decode(data, where=where), where=where))
    return sorted(found, key=lambda record: record.since)
