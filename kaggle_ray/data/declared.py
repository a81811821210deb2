"""The file that declares a competition: by name, by path, or of a Competition that a script or a notebook has made.

All processes of a run, on all its machines, load the competition from a file, a resumed run and a later prediction
too. So a file is what counts: what it declares is run, and its source is a part of what an experiment's id is made of.
A notebook's cell is written into a file of its own; it has to stand by itself, imports and all.
"""

from __future__ import annotations

import hashlib
import linecache
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

from kaggle_ray.cache.folder import default_cache_dir, written_cache
from kaggle_ray.config.loading import find_file
from kaggle_ray.data.competition import Competition
from kaggle_ray.errors import ConfigError
from kaggle_ray.registry import CELLS
from kaggle_ray.untrusted import is_path_part

ATTRIBUTE = "COMPETITION"
"""What a file calls the competition that it declares."""


def declaring_file(named: str | Path | Competition) -> Path:
    """Return the absolute path of the Python file that declares a competition.

    Args:
        named: a name in competitions/, a path, or the competition itself.

    Raises:
        ConfigError: there is no such file, or the competition is declared in none, nor in a single cell.
        StoreError: the file of a cell cannot be written into the cache folder.
    """
    if not isinstance(named, Competition):
        return find_file(named, folder="competitions")
    having = {
        name: Path(file).resolve()
        for name, module in list(sys.modules.items())
        if vars(module).get(ATTRIBUTE) is named and (file := getattr(module, "__file__", None))
    }
    if having:  # others may have imported it from the one that declares it
        declaring = getattr(named.read, "__module__", "")
        return having.get(declaring) or next(iter(having.values()))
    return _written(_cell_of(named), named.name)


def _cell_of(competition: Competition) -> str:
    """Return the source of the notebook's cell that declares ``competition``. Raises ConfigError."""
    cells = {function.__code__.co_filename for function in _own_functions(competition)}
    sources = {"".join(linecache.getlines(cell)) for cell in cells} if not any(map(os.path.isfile, cells)) else set()
    if len(sources) != 1 or not all(sources):
        raise ConfigError(
            f"{competition.name}: its file is not known, and other processes have to load it from one. Declare it as "
            f"{ATTRIBUTE} = Competition(...) in a file or a script, or in one cell of a notebook together with all "
            f"that it uses, imports too."
        )
    return sources.pop()


def _own_functions(competition: Competition) -> Iterator[FunctionType]:
    """Yield the functions of a competition that are written where it is declared."""
    functions = (competition.read, competition.default_space, competition.prepare, competition.resolve)
    scores = (head.metric.score_fn for head in competition.heads)
    for function in (*functions, *scores):
        if isinstance(function, FunctionType) and function.__module__ == "__main__":
            yield function


def _written(source: str, name: str) -> Path:
    """Return the file of a cell in the cache folder, under the digest of its source."""
    folder = default_cache_dir() / CELLS / hashlib.sha256(source.encode()).hexdigest()[:16]
    file = folder / f"{name if is_path_part(name) else 'competition'}.py"
    with written_cache(folder):
        partial = file.with_name(f".{file.name}.{os.getpid()}")
        partial.write_text(source, encoding="utf-8")
        partial.replace(file)
    return file.resolve()
