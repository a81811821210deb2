"""The code that may be run: a competition's file that the user names, or has run before. A record only tells which.

A run's folder may be a copy of a team mate's, and all it says may be made up: the path of the competition's file, its
name and its digest. So the path that is recorded is followed only where this user has run that very file, with the
content that it has now, on this machine: ``remember`` notes it in the cache folder when a run begins. By name, only the
competitions that came with kaggle_ray are looked at. Either way the content has to be that of the run.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from kaggle_ray.cache.folder import written_cache
from kaggle_ray.config.loading import installed_file
from kaggle_ray.config.sources import source_digests
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.declared import declaring_file
from kaggle_ray.data.opening import load_competition
from kaggle_ray.errors import ConfigError, StoreError
from kaggle_ray.store.record import RunRecord
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import JsonValue
from kaggle_ray.untrusted import MAX_JSON_BYTES, read_regular

logger = logging.getLogger(__name__)

_FOLDER = "own_code"


def remember(file: Path, cache_dir: Path) -> None:
    """Note that the user has run a competition's file, as it is now.

    Raises:
        StoreError: the cache folder cannot be written.
    """
    note = _note(file)
    with written_cache(cache_dir):
        path = _versions(file, cache_dir) / _digest(note)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        partial.write_bytes(note)
        partial.replace(path)


def competition_of(
    store: RunStore, record: RunRecord, named: str | Path | Competition | None, *, cache_dir: Path
) -> Competition:
    """Return the competition of a run; its file is found, or refused, as ``competition_file`` does."""
    return load_competition(competition_file(store, record, named, cache_dir=cache_dir))[0]


def competition_file(
    store: RunStore, record: RunRecord, named: str | Path | Competition | None, *, cache_dir: Path
) -> Path:
    """Return the file that declares the competition of a run, and may be run.

    Args:
        store: of the run, of whose files nothing is run.
        record: of the run.
        named: the name, path or competition that the user gave, None where none was.
        cache_dir: where ``remember`` has noted what the user has run.

    Raises:
        ConfigError: none was named, and the run's own is not known to be the user's, or has changed since.
    """
    if named is not None:
        file = declaring_file(named)
        if changed := _changed(record, file):
            logger.warning("%s is not what run %s was made with: %s", file, record.run_id, ", ".join(changed))
        return file
    reasons: list[str] = []
    for file, is_installed in _candidates(record):
        if not os.path.isfile(file):  # for which no path is too strange
            reasons.append(f"{file} is not here")
        elif store.blobs.holds(file):
            reasons.append(f"{file} lies in the run's folder, of which nothing is run")
        elif not is_installed and not _is_remembered(file, cache_dir):
            reasons.append(f"you have not run {file} on this machine, as it is now")
        elif changed := _changed(record, file):
            reasons.append(f"{file} has changed since the run: {', '.join(changed)}")
        else:
            return file
    raise ConfigError(
        f"{store.location}: the code of its competition is not run on the word of a run's record: "
        f"{'; '.join(reasons)}. Name the competition that you trust: --competition NAME_OR_PATH."
    )


def _candidates(record: RunRecord) -> Iterator[tuple[Path, bool]]:
    """Yield the files that may be the run's competition, and whether each came with kaggle_ray."""
    recorded = Path(record.competition_file)
    yield recorded.absolute(), False
    for name in dict.fromkeys((recorded.stem, record.competition)):
        if (file := installed_file(name, folder="competitions")) is not None:
            yield file, True


def _changed(record: RunRecord, file: Path) -> list[str]:
    """Return the source files that are not those of the run, by their names."""
    of_run = record.content.get("competition file")
    then: Mapping[str, JsonValue] = of_run if isinstance(of_run, Mapping) else {}
    now = source_digests(file)
    return [name for name in dict.fromkeys([*now, *then]) if now.get(name) != then.get(name)]


def _is_remembered(file: Path, cache_dir: Path) -> bool:
    """Return whether this user has run the file, and all that it imports beside itself, as they are now."""
    versions = _versions(file, cache_dir)
    if not versions.is_dir():  # of what nobody has run not a line is read
        return False
    note = _note(file)
    path = versions / _digest(note)
    try:
        is_own = path.lstat().st_uid == os.getuid()  # in a cache that several users share, others note what they run
        return is_own and read_regular(path, max_bytes=MAX_JSON_BYTES) == note
    except (OSError, StoreError):
        return False


def _versions(file: Path, cache_dir: Path) -> Path:
    """Return the folder of notes of a path: one for each content that was run from there."""
    return cache_dir / _FOLDER / _digest(os.fsencode(file))


def _note(file: Path) -> bytes:
    return json.dumps({"file": str(file), "sources": source_digests(file, num_hex=64)}, indent=1).encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
