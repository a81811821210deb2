"""What a run's models take and answer, as its record tells it: none of the competition's files is read for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.combine import COMBINERS
from kaggle_ray.combine.saved import chosen_ensemble
from kaggle_ray.config import Hyperparameters
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.head import Head, Scale
from kaggle_ray.data.reading import ImageReading, Reading
from kaggle_ray.decide import BUILT_IN, DECISIONS
from kaggle_ray.errors import ConfigError, JsonShapeError
from kaggle_ray.images.readers import READERS, NamedReader, named_reader, reader_of
from kaggle_ray.metrics import Metric
from kaggle_ray.metrics.metric import Values
from kaggle_ray.pipeline.own_code import competition_of
from kaggle_ray.store.record import RunRecord
from kaggle_ray.store.run import RunStore
from kaggle_ray.train.content import IMAGES_OF_ROWS, registered_code
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import JsonValue, Target, Task
from kaggle_ray.untrusted import Count

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedCompetition:
    """The inputs of a run's models, and the questions that they answer."""

    heads: tuple[Head, ...]
    """Heads that cannot score: a metric's code is in no record."""
    auxiliary_heads: tuple[Head, ...]
    """Auxiliary heads, which the models have outputs of."""
    num_channels: int
    reading: ImageReading
    mask_size: tuple[int, int] | None
    """Height and width in pixels at which masks are predicted; None of a competition without masks."""
    table_columns: tuple[str, ...]
    """Columns of the table that comes with the images; empty where there is none."""
    reader: JsonValue
    """What is said of the reader of its files: a name, or what tells a function from others; None of photographs."""
    images_per_file: int
    varies: bool
    """Whether its samples have different numbers of images."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Described:
    """The part of ``train.content.described`` that is needed of a competition."""

    heads: tuple[JsonValue, ...]
    auxiliary_heads: tuple[JsonValue, ...] = ()
    channels: Count = 3
    mask: JsonValue = None
    reader: JsonValue = None
    images_per_file: Count = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class _DescribedHead:
    name: str = "target"
    task: Task
    classes: tuple[str, ...] = ()
    scale: Scale = "linear"


@dataclass(frozen=True, kw_only=True, slots=True)
class _DescribedMask:
    height: Count
    width: Count


def recorded_competition(store: RunStore, record: RunRecord) -> RecordedCompetition:
    """Return the competition of a run as its record tells it.

    Raises:
        JsonShapeError: it tells of none, or of one that contradicts itself.
    """
    where = f"{store.location}/run.json: content: competition"
    described = _part_of(_Described, record.content.get("competition"), where=where)
    mask = None if described.mask is None else _part_of(_DescribedMask, described.mask, where=f"{where}: mask")
    return RecordedCompetition(
        heads=tuple(_head(each, where=f"{where}: heads") for each in described.heads),
        auxiliary_heads=tuple(_head(each, where=f"{where}: auxiliary heads") for each in described.auxiliary_heads),
        num_channels=described.channels,
        reading=Reading.recorded(store.reading(), where=store.location).images or ImageReading(),
        mask_size=None if mask is None else (mask.height, mask.width),
        table_columns=record.table_columns or (),
        reader=described.reader,
        images_per_file=described.images_per_file,
        varies=IMAGES_OF_ROWS in record.content,
    )


def reader_of_run(
    store: RunStore, record: RunRecord, asked: RecordedCompetition, named: str | Path | None
) -> NamedReader | None:
    """Return what reads the files of a run's competition, None where they are photographs.

    A reader of ours is known by its name. Any other is code of the competition's, which is run only where it may be.

    Args:
        store: of the run.
        record: of the run.
        asked: the competition as the record tells it.
        named: the competition that the user named, None where none was; see ``own_code``.

    Raises:
        ConfigError: code is needed, none was named, and the run's own is not known to be the user's; or it has no
            reader.
    """
    if asked.reader is None:
        return None
    if isinstance(asked.reader, str) and READERS.is_built_in(asked.reader):
        return named_reader(asked.reader, asked.images_per_file)
    try:
        reader = reader_of(competition_of(store, record, named, cache_dir=default_cache_dir()))
    except ConfigError as error:
        raise ConfigError(f"the files of the run are read by a reader of its competition. {error}") from error
    if reader is None:
        raise ConfigError(f"{store.location}: its files are read by a reader, and {named} has none.")
    return reader


def load_own_code(
    store: RunStore, record: RunRecord, hyperparameter_sets: Sequence[Hyperparameters], named: str | Path | None
) -> None:
    """Load the competition's file where experiments need what it registers, such as a model; else nothing is run.

    Args:
        store: of the run.
        record: of the run.
        hyperparameter_sets: of the experiments.
        named: the competition that the user named, None where none was; see ``own_code``.

    Raises:
        ConfigError: code is needed, none was named, and the run's own is not known to be the user's.
    """
    of_run = record.content.get("registered code")
    needed = set(of_run) if isinstance(of_run, Mapping) else set()
    if named is not None or needed - set(registered_code(hyperparameter_sets)):
        competition_of(store, record, named, cache_dir=default_cache_dir())


def load_own_rules(
    store: RunStore,
    record: RunRecord,
    named: str | Path | Competition | None,
    *,
    combines: bool = False,
    decides: bool = False,
) -> None:
    """Load the competition's file where it registers by what the run's ensemble combines or decides.

    Else nothing is run.

    Args:
        store: of the run.
        record: of the run.
        named: the competition that the user named, None where none was; see ``own_code``.
        combines: whether members are combined.
        decides: whether answers are asked for, and so the decision.

    Raises:
        ConfigError: code is needed, none was named, and the run's own is not known to be the user's.
    """
    ensemble = chosen_ensemble(store)
    if ensemble is None:
        return
    known = {*BUILT_IN, *DECISIONS}
    lacks_decision = decides and not known.issuperset(_kinds_in(ensemble.decision))
    lacks_combiner = combines and (ensemble.combiner or ensemble.method) not in COMBINERS
    if lacks_decision or lacks_combiner:
        competition_of(store, record, named, cache_dir=default_cache_dir())


def _kinds_in(rule: JsonValue) -> Iterator[str]:
    """Yield the kinds of a rule as ``Decision.to_json`` gives it, and of those of the heads within."""
    if isinstance(rule, Mapping):
        if isinstance(kind := rule.get("kind"), str):
            yield kind
        for value in rule.values():
            yield from _kinds_in(value)
    elif isinstance(rule, Sequence) and not isinstance(rule, str):
        for value in rule:
            yield from _kinds_in(value)


def _head(value: JsonValue, *, where: str) -> Head:
    described = _part_of(_DescribedHead, value, where=where)
    unknown = Metric(name="unknown", score_fn=_refuse, greater_is_better=True)
    try:
        return Head(
            name=described.name, task=described.task, classes=described.classes, scale=described.scale, metric=unknown
        )
    except ConfigError as error:
        raise JsonShapeError(f"{where}: {error}") from error


def _refuse(target: Target, values: Values) -> float:
    raise ConfigError("a head that was read from a run's record cannot score: load the competition for its metric.")


def _part_of(kind: type[T], value: JsonValue, *, where: str) -> T:
    """Return the fields of ``kind``, of an object that has others, too."""
    if isinstance(value, Mapping):
        known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
        value = {name: item for name, item in value.items() if name in known}
    return from_json(kind, value, where=where)
