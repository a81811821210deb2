"""What the models and the competition's file of a run import, beside what kaggle_ray always does."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from kaggle_ray.config import parse_hyperparameters
from kaggle_ray.config.sources import foreign_modules, source_files
from kaggle_ray.data.reading import Reader
from kaggle_ray.images.readers.registry import EXTRAS, extras_of
from kaggle_ray.packing.wheels import PACKAGE, requirements_of
from kaggle_ray.types import Experiment

_LIBRARIES = {"timm/": "timm", "smp/": "smp"}
"""How the names of a library's models begin -> the extra that brings it."""
_DECODERS = {
    "pydicom": ("python-gdcm", "pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle", "pyjpegls"),
    "tifffile": ("imagecodecs",),
}
"""Packages -> others that they decode compressed pixels by where these are installed, without asking for them."""


def needs_of(file: Path, reader: str | Reader | None, experiments: Iterable[Experiment]) -> tuple[set[str], set[str]]:
    """Return the extras of kaggle_ray, and the other packages, without which a run's test rows cannot be predicted.

    The imports of the competition's file are read, those inside functions, too, whether or not they are reached. One of
    our readers that the file only mentions, as a function of its own may call it, counts where its extra is installed.

    Args:
        file: of the competition.
        reader: the competition's.
        experiments: of the models.

    Raises:
        ConfigError: the file, or a module that it imports, is no Python.
    """
    names = [parse_hyperparameters(each.hyperparameters, where=each.name).model.name for each in experiments]
    extras = {extra for prefix, extra in _LIBRARIES.items() if any(name.startswith(prefix) for name in names)}
    mentioned = {EXTRAS[word] for word in _words(file) & EXTRAS.keys()}
    extras |= extras_of(reader) | {extra for extra in mentioned if all(map(_is_installed, _packages_of(extra)))}
    packages = _distributions(foreign_modules(file))
    brought = packages.union(*map(_packages_of, extras))
    decoders = {each for name in brought & _DECODERS.keys() for each in _DECODERS[name] if _is_installed(each)}
    return extras, packages | decoders


def _words(file: Path) -> set[str]:
    """Return the names and the texts that stand in a competition's code."""
    found: set[str] = set()
    for path in source_files(file).values():
        for node in ast.walk(ast.parse(path.read_bytes())):
            match node:
                case (
                    ast.Name(id=word) | ast.Attribute(attr=word) | ast.alias(name=word) | ast.Constant(value=str(word))
                ):
                    found.add(word)
    return found


def _packages_of(extra: str) -> set[str]:
    always = {requirement.name for requirement in requirements_of(PACKAGE, ())}
    return {requirement.name for requirement in requirements_of(PACKAGE, (extra,))} - always


def _distributions(modules: set[str]) -> set[str]:
    """Return the installed packages that bring modules; what none brings is left to whoever wrote the import."""
    packages = {module for module in modules if _is_installed(module)}  # most are called as their module is
    if rest := modules - packages:
        brought_by = metadata.packages_distributions()  # which reads all that is installed: seconds at its first time
        packages |= {package for module in rest for package in brought_by.get(module, ())}
    return packages


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
