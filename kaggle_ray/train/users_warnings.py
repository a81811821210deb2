"""Warnings that a person's own code gives in a trial: told with it, as no one sees what Ray's processes print."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TextIO

from kaggle_ray.config.users_code import is_users_file
from kaggle_ray.types import TrialWarning

USERS_TOPIC = "users_code"
"""How the topics of such warnings begin."""


@contextmanager
def users_warnings_told(tell: Callable[[TrialWarning], None], epoch: Callable[[], int]) -> Iterator[None]:
    """Pass on what a person's own files warn of within the context; what libraries warn of is printed as before.

    Python's filters hold: by default a line warns once in a process.

    Args:
        tell: takes each warning.
        epoch: returns the epoch that is trained now, 1 for the first.
    """
    before = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if file is not None or not is_users_file(Path(filename)):
            before(message, category, filename, lineno, file, line)
            return
        topic = f"{USERS_TOPIC}_{sha256(f'{filename}:{lineno}:{message}'.encode()).hexdigest()[:8]}"
        words = " ".join(str(message).split())
        text = f"{category.__name__}: {words} (line {lineno} of {filename})"
        tell(TrialWarning(topic=topic, text=text, epoch=epoch()))

    warnings.showwarning = show
    try:
        yield
    finally:
        if warnings.showwarning is show:
            warnings.showwarning = before
