"""What has changed since a run was begun, in words: two records of what it is made of are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from kaggle_ray.store.record import RunIdentity
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import Experiment, JsonValue

_NUM_NAMED = 3
_LONGEST = 120


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One thing that is not as it was."""

    what: str
    """What a person calls it, such as ``images``."""
    how: str
    """How it differs, such as ``3 of 200 changed, such as train/a001.jpg``."""

    def __str__(self) -> str:
        """Return both as one phrase."""
        return f"{self.what}: {self.how}"


def changes(
    then: RunIdentity,
    now: RunIdentity,
    *,
    files_then: Mapping[str, str],
    files_now: Mapping[str, str],
) -> tuple[Change, ...]:
    """Return what differs between two records of what a run is made of; none where they are the same run's.

    Args:
        then: of run.json.
        now: ``identity_of`` the command.
        files_then: image or mask -> digest of its content, when the run was begun; empty where it is not known.
        files_now: the same of now.
    """
    found = [*_of_values("competition", then.competition, now.competition)]
    found += _of_experiments(then.experiments, now.experiments)
    found += _of_declared("search", _search(then), _search(now))
    found += _of_mapping("settings", asdict(then.settings), asdict(now.settings))
    of_content = list(_of_content(then.content, now.content, files_then, files_now))
    found += of_content
    if not of_content and then.folds_digest != now.folds_digest:
        found.append(Change(what="folds", how=_expected(then.folds_digest, now.folds_digest)))
    ids_then, ids_now = ([experiment.experiment_id for experiment in side.experiments] for side in (then, now))
    if not found and ids_then != ids_now:
        found.append(Change(what="experiments", how=_expected(ids_then, ids_now)))
    return tuple(found)


def _of_experiments(then: Sequence[Experiment], now: Sequence[Experiment]) -> Iterator[Change]:
    """Yield how the hyperparameters differ; ids differ with the content as well, which is yielded by itself."""
    if len(then) != len(now):
        names_then, names_now = ({experiment.name for experiment in side} for side in (then, now))
        sides = (("with", sorted(names_now - names_then)), ("without", sorted(names_then - names_now)))
        named = [f", {word} {_few(names)}" for word, names in sides if names]
        yield Change(what="experiments", how=f"expected {len(then)}, got {len(now)}{''.join(named)}")
        return
    yielded: set[Change] = set()
    for before, after in zip(then, now, strict=True):
        for change in _of_mapping("hyperparameters", before.hyperparameters, after.hyperparameters):
            if change not in yielded:
                yielded.add(change)
                yield change


def _search(identity: RunIdentity) -> JsonValue:
    return None if identity.search is None else asdict(identity.search)


def _of_content(
    then: Mapping[str, JsonValue],
    now: Mapping[str, JsonValue],
    files_then: Mapping[str, str],
    files_now: Mapping[str, str],
) -> Iterator[Change]:
    of_files = False
    for part in dict.fromkeys([*then, *now]):
        before, after = then.get(part), now.get(part)
        if before == after:
            continue
        if part in ("training images", "test images", "masks"):
            of_files = True
        elif part == "competition file":
            yield from _of_sources(_mapping(before), _mapping(after))
        elif part == "competition":
            yield from _of_declared("competition", before, after)
        elif part == "weights":
            yield from _of_mapping("file of weights", _mapping(before), _mapping(after))
        elif part == "folds":
            yield Change(what="folds", how="rows are assigned to folds otherwise")
        else:
            yield Change(what=part, how="other values than before" if before and after else _expected(before, after))
    if of_files:
        yield Change(what="images", how=_of_files(files_then, files_now))


def _mapping(part: JsonValue) -> dict[str, JsonValue]:
    return from_json(dict[str, JsonValue], part or {}, where="run.json: content")


def _of_files(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    changed = [name for name, digest in now.items() if name in then and then[name] != digest]
    added, removed = [name for name in now if name not in then], [name for name in then if name not in now]
    parts = [
        f"{len(names)} of {len(now)} {verb}, such as {_few(names)}"
        for verb, names in (("changed", changed), ("were added", added), ("were removed", removed))
        if names and then
    ]
    return "; ".join(parts) or "others, or in another order, than before"


def _of_sources(then: Mapping[str, JsonValue], now: Mapping[str, JsonValue]) -> Iterator[Change]:
    first = next(iter(now), "")
    for name in dict.fromkeys([*then, *now]):
        if then.get(name) != now.get(name):
            verb = "changed" if name in then and name in now else "is new" if name in now else "is gone"
            imported = "" if name == first else f" ({first} imports it)"
            yield Change(what="competition file", how=f"{name} {verb}{imported}")


def _of_declared(what: str, then: JsonValue, now: JsonValue) -> Iterator[Change]:
    """Yield the innermost values of two declarations that differ, each with the path to it."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for name in dict.fromkeys([*then, *now]):
            yield from _of_declared(
                f"{what}.{name}" if " " in what else f"{what} {name}", then.get(name), now.get(name)
            )
    elif isinstance(then, list | tuple) and isinstance(now, list | tuple) and len(then) == len(now):
        for number, (before, after) in enumerate(zip(then, now, strict=True)):
            yield from _of_declared(what if len(then) == 1 else f"{what} {number}", before, after)
    else:
        yield from _of_values(what, then, now)


def _of_mapping(what: str, then: Mapping[str, JsonValue], now: Mapping[str, JsonValue]) -> Iterator[Change]:
    for name in dict.fromkeys([*then, *now]):
        if name not in then:  # it came with a later version of kaggle_ray, and has its default, or the ids differ
            continue
        yield from _of_values(f"{what} {name}", then[name], now.get(name))


def _of_values(what: str, then: JsonValue, now: JsonValue) -> Iterator[Change]:
    if then != now:
        yield Change(what=what, how=_expected(then, now))


def _expected(then: JsonValue, now: JsonValue) -> str:
    return f"expected {_brief(then)}, got {_brief(now)}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_NUM_NAMED]) + (", ..." if len(names) > _NUM_NAMED else "")


def _brief(value: JsonValue) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
