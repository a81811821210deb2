"""Names of the public API that were renamed: the old one works until a named version, and says so.

The warnings are FutureWarnings. Python hides a DeprecationWarning that is not raised in ``__main__``, and the file of a
competition or a search space is never ``__main__``, so that its author would meet the change on the day it breaks.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_DECORATED_CALL = 3
"""Frames from ``warnings.warn`` up to the user's line: ``accept_renamed``, the decorator's wrapper, the call."""


def _unchanged(value: Any) -> Any:
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class Renamed:
    """What replaces an old keyword.

    Attributes:
        to: the new keyword.
        removed_in: the version that no longer takes the old one, such as ``"0.3"``.
        convert: makes the new keyword's value of the old one's, for a keyword whose meaning changed with its name.
    """

    to: str
    removed_in: str
    convert: Callable[[Any], Any] = _unchanged


def accept_renamed(
    keywords: Mapping[str, Any], renames: Mapping[str, Renamed], *, owner: str, stacklevel: int = 2
) -> dict[str, Any]:
    """Return ``keywords`` under their new names, with a FutureWarning for each old one.

    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     accept_renamed({"n": 3}, {"n": Renamed(to="num_folds", removed_in="0.3")}, owner="split")
    {'num_folds': 3}
    >>> print(caught[0].message)
    split: 'n' is now 'num_folds'; the old name goes away in kaggle-ray 0.3.

    Args:
        keywords: what the user gave, by name: keyword arguments or a dictionary of hyperparameters.
        renames: what replaces each old name.
        owner: the function or class that takes the keywords, as a user writes it.
        stacklevel: how many frames up the user's own line is, for the warning to show it.

    Raises:
        TypeError: an old name and its new one are both given.
    """
    accepted = dict(keywords)
    for old in keywords:
        if old not in renames:
            continue
        renamed = renames[old]
        if renamed.to in accepted:
            raise TypeError(f"{owner}: {old!r} is the old name of {renamed.to!r}; give the new one only, not both.")
        warnings.warn(_message(owner, repr(old), repr(renamed.to), renamed.removed_in), FutureWarning, stacklevel)
        accepted[renamed.to] = renamed.convert(accepted.pop(old))
    return accepted


def renamed_keywords(
    **renames: Renamed,
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Decorate a function so that it still takes the old names of its keywords.

    Type checkers and editors see the new names only: an old one is an error there before it is one here.

    >>> @renamed_keywords(n=Renamed(to="num_folds", removed_in="0.3"))
    ... def split(num_folds: int) -> str:
    ...     return f"{num_folds} folds"
    >>> split(num_folds=5)
    '5 folds'
    """

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        owner = f"{function.__module__.partition('.')[0]}.{function.__qualname__}"

        @functools.wraps(function)
        def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            accepted: Any = accept_renamed(kwargs, renames, owner=owner, stacklevel=_DECORATED_CALL)
            return function(*args, **accepted)

        return wrapper

    return decorate


def renamed_function(
    function: Callable[Parameters, Result], *, old: str, removed_in: str
) -> Callable[Parameters, Result]:
    """Return ``function`` under its ``old`` name: each call of it warns and goes on to the new one.

    >>> deal = renamed_function(sorted, old="deal", removed_in="0.3")
    >>> deal.__name__
    'deal'
    """
    package = function.__module__.partition(".")[0]

    @functools.wraps(function)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        warnings.warn(_message(package, f"{old}()", f"{function.__name__}()", removed_in), FutureWarning, stacklevel=2)
        return function(*args, **kwargs)

    wrapper.__name__ = wrapper.__qualname__ = old
    return wrapper


def _message(owner: str, old: str, new: str, removed_in: str) -> str:
    return f"{owner}: {old} is now {new}; the old name goes away in kaggle-ray {removed_in}."
