"""results.json: the results of a run in one file, so that many trials are listed without reading a file for each."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kaggle_ray.errors import StoreError
from kaggle_ray.store.attempt import result_key
from kaggle_ray.store.blobs import Blobs
from kaggle_ray.store.schema import decode, encode, result_from_json, result_to_json
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import JsonValue, Trial, TrialResult
from kaggle_ray.untrusted import MAX_LIST_BYTES

SUMMARY_FILE = "results.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    """A trial's result, and the stamp of the result.json that it was read from."""

    stamp: str
    result: JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class _Summary:
    """What results.json says.

    It is derived, and holds for the files that are as they were; where it is damaged it is passed over.
    """

    entries: tuple[_Entry, ...]


def save_summary(blobs: Blobs, results: Iterable[TrialResult]) -> None:
    """Save those of the results that are committed."""
    stamps = blobs.stamps("trials/")
    entries: list[JsonValue] = [
        {"stamp": stamps[key], "result": result_to_json(result)}
        for result in results
        if (key := result_key(result.trial)) in stamps
    ]
    blobs.put(SUMMARY_FILE, encode({"entries": entries}))


def summarised(blobs: Blobs, stamps: Mapping[str, str]) -> dict[Trial, TrialResult]:
    """Return the results of the last summary whose files have the stamps that they had."""
    where = f"{blobs.location}/{SUMMARY_FILE}"
    try:
        data = blobs.get(SUMMARY_FILE, max_bytes=MAX_LIST_BYTES)
        entries = () if data is None else from_json(_Summary, decode(data, where=where), where=where).entries
        results = [(each.stamp, result_from_json(each.result, where=where, way_out="")) for each in entries]
    except StoreError as error:  # of what is derived
        logger.warning("%s: is passed over, and each result is read: %s", where, error)
        return {}
    return {result.trial: result for stamp, result in results if stamps.get(result_key(result.trial)) == stamp}
