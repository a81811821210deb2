"""What a shell completes beside commands and options: competitions, search spaces, hyperparameters, kinds of names.

click's own mechanism asks these functions; README says how each shell is told of it. Nothing heavy is imported, and no
file of a user's is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem, FishComplete, ZshComplete, add_completion_class

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_competition(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the competitions that are found by name, and Python files."""
    return _named_or_path("competitions", incomplete)


def complete_space(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the search spaces that are found by name, and Python files."""
    return _named_or_path("search_spaces", incomplete)


def complete_override(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the hyperparameters with an equals sign, to go on with the value."""
    from kaggle_ray.config import HYPERPARAMETER_NAMES

    return _beginning_with(incomplete, (f"{name}=" for name in HYPERPARAMETER_NAMES))


def complete_kind(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the kinds of names."""
    from kaggle_ray.pipeline.names import KINDS

    return _beginning_with(incomplete, KINDS)


OF_OPTIONS: dict[str, Complete] = {
    "competition": complete_competition,
    "space": complete_space,
    "overrides": complete_override,
}
"""Name of a declared option -> what completes it."""


def _named_or_path(folder: str, incomplete: str) -> list[CompletionItem]:
    from kaggle_ray.config.loading import known_names

    found = _beginning_with(incomplete, sorted(known_names(folder)))
    return found or [CompletionItem(incomplete, type="file")]


def _beginning_with(incomplete: str, names: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


class _WholeWords:
    """Completes the value of ``--option=value`` for shells that replace the whole word, not what is behind the sign."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return what completes a word; of values of ``--option=`` with this before them."""
        found = super().get_completions(args, incomplete)  # type: ignore[misc]
        option, sign, _ = incomplete.partition("=")
        if not option.startswith("--") or not sign:
            return found  # type: ignore[no-any-return]
        return [
            CompletionItem(f"{option}={each.value}", help=each.help) if each.type == "plain" else each for each in found
        ]


@add_completion_class
class Zsh(_WholeWords, ZshComplete):
    """Completion in zsh."""


@add_completion_class
class Fish(_WholeWords, FishComplete):
    """Completion in fish."""
