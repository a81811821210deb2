"""What there is by name, of each kind: ours, the libraries', and what a competition's file registers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from kaggle_ray.errors import ConfigError, suggest
from kaggle_ray.pipeline.known_names import KeptNames
from kaggle_ray.registry import Registry, of_others, registered_names


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """A name that a hyperparameter, an option or a competition's file may give."""

    name: str
    what: str
    """What has the name, in a line."""


def names_of(kind: str, pattern: str = "", *, cache_dir: Path | None = None) -> list[Named]:
    """Return what there is of a kind, sorted by name.

    Args:
        kind: a key of ``KINDS``.
        pattern: a part of the names that are wanted, or a pattern such as ``res*18``; empty is all.
        cache_dir: keeps what ours and the libraries' are, as torch and those that know them take seconds to import.
            Where a person has registered some of the kind, and where it is None, all is asked now.

    Raises:
        ConfigError: there is no such kind.
        StoreError: the cache folder cannot be written.
    """
    if kind not in KINDS:
        raise ConfigError(f"names: there are no {kind!r}{suggest(kind, KINDS)}")
    wanted = pattern if any(letter in pattern for letter in "*?[") else f"*{pattern}*"
    is_kept = kind in _OF_TORCH and not _are_persons_own_among(kind)
    found = KINDS[kind]() if cache_dir is None or not is_kept else _kept(kind, cache_dir)
    return sorted((each for each in found if fnmatchcase(each.name, wanted)), key=lambda each: each.name)


def _are_persons_own_among(kind: str) -> bool:
    """Return whether this process has registered any of a kind that did not come with the package."""
    return bool(of_others(set().union(*(registered_names(each) for each in _OF_TORCH[kind]))))


def _kept(kind: str, cache_dir: Path) -> Iterator[Named]:
    """Yield what there is of a kind by the versions that are installed, from a file where that has it."""
    kept = KeptNames(cache_dir / "listed_names.json")
    for line in kept.lines_of(kind, lambda: (f"{each.name}\t{each.what}" for each in KINDS[kind]())):
        name, _, what = line.partition("\t")
        yield Named(name=name, what=what)


def _models() -> Iterator[Named]:
    from kaggle_ray.config.model import TABLE_MODELS
    from kaggle_ray.models.registry import MODELS, SEGMENTERS, library_models

    yield from (Named(name=name, what="of the table alone; arguments: hidden") for name in TABLE_MODELS)
    yield from _registered(MODELS, but=("num_outputs", "num_channels"))
    for each in _registered(SEGMENTERS, but=("num_outputs", "num_channels", "num_table_features")):
        yield Named(name=each.name, what=f"for masks; {each.what}")
    yield from (Named(name=name, what=what) for name, what in library_models())


def _losses() -> Iterator[Named]:
    from kaggle_ray.train.losses import LOSSES

    for name, loss in LOSSES.items():
        arguments = f"; arguments: {', '.join(loss.argument_names)}" if loss.argument_names else ""
        yield Named(name=name, what=f"for {', '.join(loss.tasks)}{arguments}")


def _optimizers() -> Iterator[Named]:
    from kaggle_ray.train.optimizers import OPTIMIZERS, timm_optimizers

    yield from _registered(OPTIMIZERS, but=("groups", "params", "lr", "weight_decay"))
    for name, what in timm_optimizers().items():
        if name not in OPTIMIZERS:
            yield Named(name=name, what=f"timm's: {what}")


def _schedules() -> Iterator[Named]:
    from kaggle_ray.config.schedule_args import argument_names
    from kaggle_ray.train.schedules import SCHEDULES, Registered

    for name, schedule in SCHEDULES.items():
        arguments = schedule.argument_names if isinstance(schedule, Registered) else argument_names(name)
        yield Named(name=name, what=f"arguments: {', '.join(arguments) or 'none'}")


def _metrics() -> Iterator[Named]:
    from kaggle_ray.metrics import METRICS

    for name, metric in METRICS.items():
        decided = "" if metric.decision == "none" else f"; decided by {metric.decision}"
        yield Named(name=name, what=f"{'greater' if metric.greater_is_better else 'smaller'} is better{decided}")


def _augmentations() -> Iterator[Named]:
    from kaggle_ray.images.compose import AUGMENTATIONS

    yield from (Named(name=name, what="ours") for name in AUGMENTATIONS.reserved)
    yield from _registered(AUGMENTATIONS, but=("height", "width"))


def _constraints() -> Iterator[Named]:
    from kaggle_ray.train.constraints import CONSTRAINTS

    yield from _registered(CONSTRAINTS)


def _ensembles() -> Iterator[Named]:
    from kaggle_ray.combine import AUTO, COMBINERS

    yield Named(name=AUTO, what="the best or the mean, or what is better by more than noise")
    yield from _registered(COMBINERS)


def _samplers() -> Iterator[Named]:
    from kaggle_ray.train.sampling import SAMPLERS, UNIFORM

    yield Named(name=UNIFORM, what="each row once in an epoch")
    yield from _registered(SAMPLERS, but=("rows", "generator"))


def _searchers() -> Iterator[Named]:
    from kaggle_ray.schedule.searchers import SEARCHERS

    yield from _registered(SEARCHERS, but=("of",))


def _decisions() -> Iterator[Named]:
    from kaggle_ray.decide import BUILT_IN, DECISIONS

    yield from (Named(name=name, what=f"fits {', '.join(BUILT_IN[name]) or 'nothing'}") for name in BUILT_IN)
    yield from (Named(name=name, what=own.what) for name, own in DECISIONS.items())


def _readers() -> Iterator[Named]:
    from kaggle_ray.images.readers import READERS

    yield from _registered(READERS, but=("path",))


def _reporters() -> Iterator[Named]:
    from kaggle_ray.reporters.by_name import BUILT_IN, names

    for name in names():
        yield Named(name=name, what=f"the extra {name}" if name in BUILT_IN else "no extra")


KINDS: Mapping[str, Callable[[], Iterator[Named]]] = {
    "models": _models,
    "losses": _losses,
    "optimizers": _optimizers,
    "schedules": _schedules,
    "metrics": _metrics,
    "augmentations": _augmentations,
    "constraints": _constraints,
    "ensembles": _ensembles,
    "samplers": _samplers,
    "searchers": _searchers,
    "decisions": _decisions,
    "readers": _readers,
    "reporters": _reporters,
}
"""A kind, as the command line calls it -> what yields all that there is of it."""
_OF_TORCH: Mapping[str, tuple[str, ...]] = {
    "models": ("model", "segmenter"),
    "losses": ("loss",),
    "optimizers": ("optimizer",),
    "schedules": ("schedule",),
    "augmentations": ("augmentation",),
    "constraints": ("constraint",),
    "samplers": ("sampler",),
}
"""Kinds whose modules import torch -> as what they are registered."""


def _registered(registry: Registry[Any], *, but: tuple[str, ...] = ()) -> Iterator[Named]:
    """Yield what is registered: the first line of its docstring, and its arguments ``but`` some."""
    for name, value in registry.items():
        taken = inspect.signature(value).parameters.values()
        arguments = [_argument(each) for each in taken if each.name not in but]
        first_line = (inspect.getdoc(value) or "").partition("\n")[0]
        of_arguments = f"arguments: {', '.join(arguments)}" if arguments else ""
        yield Named(
            name=name, what="; ".join(part for part in (first_line.rstrip("."), of_arguments) if part) or "ours"
        )


def _argument(parameter: inspect.Parameter) -> str:
    has_default = parameter.default is not inspect.Parameter.empty
    return f"{parameter.name}={parameter.default!r}" if has_default else parameter.name
