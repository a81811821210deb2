"""Names of models, losses and the like, checked before any file is read: a misspelt one is told within seconds.

What knows a library's names imports torch and the library, which takes seconds. So the names are kept in the cache
folder once they are known, for the versions that are installed. A name that the competition's file registers is known
in this process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from kaggle_ray.cache.folder import written_cache
from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.model import LIBRARIES_OF_MODELS
from kaggle_ray.config.optimizer import MORE_OPTIMIZERS
from kaggle_ray.errors import ConfigError, StoreError, suggest
from kaggle_ray.given import NEXT_STEP, found, is_name
from kaggle_ray.pipeline.provenance import package_versions
from kaggle_ray.registry import registered_names
from kaggle_ray.typed_json import from_json, parse_json
from kaggle_ray.untrusted import MAX_JSON_BYTES, read_regular

_LIBRARIES = ("torch", "torchvision", "timm", "segmentation-models-pytorch")
_PACKAGE = Path(__file__).resolve().parent.parent

Source = Callable[[], Iterable[str]]
"""Returns the names that one library, or we ourselves, have of a kind."""


def check_known(hyperparameter_sets: Sequence[Hyperparameters], cache_dir: Path) -> None:
    """Raise ConfigError, with the nearest name, for a name in one of the experiments that nothing has.

    Raises:
        ConfigError: it is unknown, or the extra that would know it is not installed.
        StoreError: the cache folder cannot be written.
    """
    kept = KeptNames(cache_dir / "names.json")
    for kind, name in dict.fromkeys(pair for each in hyperparameter_sets for pair in _names_in(each)):
        _check(kind, name, kept)


def _names_in(hyperparameters: Hyperparameters) -> Iterator[tuple[str, str]]:
    """Yield kind and name of all that an experiment names, and those that it starts or learns from."""
    yield "model", hyperparameters.model.name
    yield "augmentation", hyperparameters.images.augment
    yield "sampler", hyperparameters.training.sampler
    yield "optimizer", hyperparameters.optimizer.name
    yield "constraint", hyperparameters.optimizer.constraint
    yield "schedule", hyperparameters.schedule.name
    yield "loss", hyperparameters.loss.name
    for ancestor in hyperparameters.ancestors:
        yield from _names_in(ancestor)


def _check(kind: str, name: str, kept: KeptNames) -> None:
    if is_name(name):
        if found(kind, name) is None:
            raise ConfigError(f"unknown {kind} {name!r}. {NEXT_STEP}")
        return
    if name in registered_names(kind) or (kind == "model" and name in registered_names("segmenter")):
        return
    prefix, slash, rest = name.partition("/")
    of_library = f"{prefix}{slash}" if kind == "model" and slash else ""
    asked = rest.partition(".")[0] if of_library == "timm/" else name.removeprefix(of_library)  # its weights come later
    known: list[str] = []
    for source in _SOURCES.get(f"{kind} {of_library}".strip(), _SOURCES[kind]):
        known += kept.names_of(source)
        if asked in known:
            return
    raise ConfigError(
        f"unknown {_TITLES.get(of_library, kind)} {asked!r}{suggest(asked, known)}{_hint(kind, of_library)}"
    )


def _hint(kind: str, of_library: str) -> str:
    """Return where else there are names, as a sentence to go on with."""
    if kind == "model" and not of_library:
        return f" {LIBRARIES_OF_MODELS}"
    return f" {MORE_OPTIMIZERS}" if kind == "optimizer" and find_spec("timm") is None else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    """What the file holds."""

    versions: Mapping[str, str]
    names: Mapping[str, tuple[str, ...]]


class KeptNames:
    """The names of each source, or lines on them, read from a file that is made anew for other versions."""

    def __init__(self, file: Path) -> None:
        """Read what the file has for these versions; one that is torn is made anew."""
        self._file, self._versions = file, _versions()
        self._names: dict[str, tuple[str, ...]] = {}
        with suppress(FileNotFoundError, StoreError):
            read = parse_json(read_regular(file, max_bytes=MAX_JSON_BYTES), where=str(file))
            kept = from_json(_Kept, read, where=str(file))
            if kept.versions == self._versions:
                self._names.update(kept.names)

    def names_of(self, source: Source) -> tuple[str, ...]:
        """Return the names of a source, and keep them."""
        return self.lines_of(source.__name__, source)

    def lines_of(self, key: str, source: Source) -> tuple[str, ...]:
        """Return what a source yields, sorted, and keep it as ``key``."""
        if key not in self._names:
            self._names[key] = tuple(sorted(source()))
            self._write()
        return self._names[key]

    def _write(self) -> None:
        with written_cache(self._file.parent):
            partial = self._file.with_name(f"{self._file.name}.{os.getpid()}")
            partial.write_text(json.dumps({"versions": self._versions, "names": self._names}))
            partial.replace(self._file)


def _versions() -> dict[str, str]:
    """Return what the names depend on: the libraries' versions, and when our own files were changed last."""
    changed = max(file.stat().st_mtime_ns for file in _PACKAGE.rglob("*.py"))
    return {"our files": str(changed), **package_versions(_LIBRARIES)}


def _own_models() -> Iterable[str]:
    from kaggle_ray.models.registry import MODELS, SEGMENTERS

    return [*MODELS.names(), *SEGMENTERS]


def _torchvision_models() -> Iterable[str]:
    from kaggle_ray.models.torchvision_models import model_names

    return model_names()


def _timm_models() -> Iterable[str]:
    from kaggle_ray.models.timm_models import architectures

    return architectures()


def _smp_models() -> Iterable[str]:
    from kaggle_ray.models.registry import smp_models

    names: Iterable[str] = smp_models().MODEL_ARCHITECTURES_MAPPING
    return names


def _augmentations() -> Iterable[str]:
    from kaggle_ray.images.augment import recipe_names

    return recipe_names()


def _samplers() -> Iterable[str]:
    from kaggle_ray.train.sampling import SAMPLERS

    return SAMPLERS.names()


def _own_optimizers() -> Iterable[str]:
    from kaggle_ray.train.optimizers import OPTIMIZERS

    return OPTIMIZERS.names()


def _timm_optimizers() -> Iterable[str]:
    from kaggle_ray.train.optimizers import names_of_timm

    return names_of_timm()


def _constraints() -> Iterable[str]:
    from kaggle_ray.train.constraints import CONSTRAINTS

    return CONSTRAINTS.names()


def _schedules() -> Iterable[str]:
    from kaggle_ray.train.schedules import SCHEDULES

    return SCHEDULES.names()


def _losses() -> Iterable[str]:
    from kaggle_ray.train.losses import LOSSES

    return LOSSES.names()


_SOURCES: Mapping[str, Sequence[Source]] = {
    "model": (_own_models, _torchvision_models),
    "model timm/": (_timm_models,),
    "model smp/": (_smp_models,),
    "augmentation": (_augmentations,),
    "sampler": (_samplers,),
    "optimizer": (_own_optimizers, _timm_optimizers),
    "constraint": (_constraints,),
    "schedule": (_schedules,),
    "loss": (_losses,),
}
"""What knows the names of a kind, in this order; of models, also of those with a library's prefix."""

_TITLES = {"timm/": "timm model", "smp/": "smp model"}
