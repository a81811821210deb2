"""The source files of a user's code: a file that is loaded by path, and what it imports that is not installed."""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kaggle_ray.errors import ConfigError

_INSTALLED = {"site-packages", "dist-packages"}
_PYTHON = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceBundle:
    """A user's file and the modules of theirs that it imports, as they travel to machines that lack them."""

    file: Path
    """Where it is on the machine that it comes from."""
    contents: Mapping[str, bytes]
    """Names as of ``source_files``, that of the file first -> what they hold."""

    @staticmethod
    def of(file: Path) -> SourceBundle:
        """Read the ``source_files`` of ``file``."""
        return SourceBundle(file=file, contents=_contents_of(file))

    def here(self, folder: Path) -> Path:
        """Return where the file is on this machine: at its own path if it is the same there, else below ``folder``.

        There it is unpacked once, under the digest of the contents, and what it imports is found after all else.
        """
        if self.file.is_file() and _contents_of(self.file) == dict(self.contents):
            return self.file
        digest = hashlib.sha256()
        for name, content in self.contents.items():
            digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
        unpacked = folder / digest.hexdigest()[:16]
        if not unpacked.is_dir():
            self._unpack(unpacked)
        if str(unpacked) not in sys.path:
            sys.path.append(str(unpacked))
        return unpacked / next(iter(self.contents))

    def _unpack(self, unpacked: Path) -> None:
        """Write the files to a temporary folder and rename it: another process may do the same at this moment."""
        unpacked.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".", dir=unpacked.parent))
        for name, content in self.contents.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            (partial / name).write_bytes(content)
        try:
            os.rename(partial, unpacked)
        except OSError:
            shutil.rmtree(partial)
            if not unpacked.is_dir():
                raise


def _contents_of(file: Path) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in source_files(file).items()}


def source_digests(file: Path, *, num_hex: int = 16) -> dict[str, str]:
    """Return the first hex digits of the sha256 of each of the ``source_files``, by their names."""
    sources = source_files(file)
    return {name: hashlib.sha256(path.read_bytes()).hexdigest()[:num_hex] for name, path in sources.items()}


def source_files(file: Path) -> dict[str, Path]:
    """Return ``file`` and the user's own modules that it imports, directly or through one another.

    They lie in its folder, or wherever else Python finds them. The imports are read, not run: those inside functions
    count, too. What is installed, Python's own modules and kaggle_ray itself do not, even where an environment lies in
    the folder. A module that is loaded by its path alone is not found.

    Returns:
        Path relative to the folder of ``file``, or to the place on Python's path that has it, with slashes -> path;
        ``file`` first, the others sorted.

    Raises:
        ConfigError: a module is no Python.
    """
    found, _ = _walked(file)
    first, *others = found
    return {name: found[name] for name in (first, *sorted(others))}


def foreign_modules(file: Path) -> set[str]:
    """Return the modules that the ``source_files`` of ``file`` import and that are neither theirs nor Python's own.

    Of each the first part of its name: ``skimage`` of ``skimage.io``. kaggle_ray does not count.

    Raises:
        ConfigError: a module is no Python.
    """
    _, others = _walked(file)
    return {name.partition(".")[0] for name in others} - {"kaggle_ray", *sys.stdlib_module_names}


def _walked(file: Path) -> tuple[dict[str, Path], set[str]]:
    """Return the user's own files by name, ``file`` first, and the dotted names that they import of anybody else."""
    folder = file.parent
    found: dict[str, Path] = {file.name: file}
    others: set[str] = set()
    pending: list[tuple[Path, str]] = [(file, "")]
    while pending:
        path, package = pending.pop()
        for name in _imported_names(path, package):
            modules = list(_modules_of(name, folder))
            if not modules:
                others.add(name)
            for module, root, module_package in modules:
                key = module.relative_to(folder if module.is_relative_to(folder) else root).as_posix()
                if key not in found:
                    found[key] = module
                    pending.append((module, module_package))
    return found, others


def _imported_names(path: Path, package: str) -> Iterator[str]:
    """Yield the dotted names that a file's imports may mean; relative ones start from its ``package``."""
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{path}: is no Python file: {error}.") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}".removeprefix(".") for alias in node.names)


def _modules_of(name: str, folder: Path) -> Iterator[tuple[Path, Path, str]]:
    """Yield the user's files that importing ``name`` runs, packages first: each with its place and its package."""
    parts = name.split(".")
    if parts[0] == "kaggle_ray":
        return
    for root in dict.fromkeys([*(Path(entry or ".").resolve() for entry in sys.path), folder]):
        found = list(_modules_below(root, parts))
        if found:  # as Python does, the first place that has it counts
            yield from ((file, root, package) for file, package in found if _is_own(file, folder))
            return


def _modules_below(root: Path, parts: list[str]) -> Iterator[tuple[Path, str]]:
    for length in range(1, len(parts) + 1):
        place, dotted = root.joinpath(*parts[:length]), ".".join(parts[:length])
        if (place / "__init__.py").is_file():
            yield place / "__init__.py", dotted
        elif place.with_name(f"{place.name}.py").is_file():
            yield place.with_name(f"{place.name}.py"), dotted.rpartition(".")[0]


def _is_own(file: Path, folder: Path) -> bool:
    if file.is_relative_to(folder):  # which may itself be below an environment's
        return not _INSTALLED & set(file.relative_to(folder).parts)
    return not is_installed(file)


def is_installed(file: Path) -> bool:
    """Return whether a source file is a package's, or Python's own."""
    return bool(_INSTALLED & set(file.parts)) or any(file.is_relative_to(place) for place in _PYTHON)
