"""A search for hyperparameters: what is drawn, by which sampler, and how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kaggle_ray.config.distributions import Choice, Distribution
from kaggle_ray.config.hyperparameters import Hyperparameters, parse_hyperparameters
from kaggle_ray.errors import ConfigError
from kaggle_ray.types import JsonValue, canonical_json

Draw = Mapping[str, JsonValue]
"""A value for each dimension of a search."""

POINT = "point"
"""The dimension that says which point the other values are put into; no hyperparameter has this name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """What decides, together with the scores, which experiments a search proposes: a part of a run's identity."""

    points: tuple[Mapping[str, JsonValue], ...]
    """Complete hyperparameters, one or several of them; each draw is put into one, which is drawn too."""
    distributions: Mapping[str, Distribution]
    """Hyperparameter -> what its values are drawn from."""
    sampler: str
    """Name of the searcher that draws: one of ours, or one that the competition's file registers."""
    num_experiments: int
    """How many experiments are proposed in all; fewer where there are not so many."""
    round_size: int
    """How many are proposed at once, by the scores of those before."""
    seed: int

    @property
    def dimensions(self) -> dict[str, Distribution]:
        """What a draw has a value for -> what it is drawn from."""
        if len(self.points) == 1:
            return dict(self.distributions)
        return {POINT: Choice(values=tuple(range(len(self.points)))), **self.distributions}

    @property
    def extremes(self) -> tuple[Hyperparameters, ...]:
        """Hyperparameters that show whether all can work; see ``extremes_of``."""
        return extremes_of(self.points, self.distributions)

    def hyperparameters(self, draw: Draw) -> Hyperparameters:
        """Return the hyperparameters of a draw. Raises ConfigError where its values contradict each other."""
        number = draw.get(POINT, 0)
        assert isinstance(number, int), "it is the number of a point"
        return _put(self.points[number], {name: draw[name] for name in self.distributions})

    def draw_of(self, hyperparameters: Mapping[str, JsonValue]) -> Draw | None:
        """Return the draw that gave an experiment's hyperparameters; None where none of this search does."""
        drawn = {name: hyperparameters[name] for name in self.distributions}
        if len(self.points) == 1:
            return drawn
        for number, point in enumerate(self.points):
            fixed = {name: value for name, value in point.items() if name not in drawn}
            if not fixed["image_size"]:  # the model's own: an experiment has a number there
                del fixed["image_size"]
            if all(canonical_json(value) == canonical_json(hyperparameters[name]) for name, value in fixed.items()):
                return {POINT: number, **drawn}
        return None


def extremes_of(
    points: Sequence[Mapping[str, JsonValue]], distributions: Mapping[str, Distribution]
) -> tuple[Hyperparameters, ...]:
    """Return hyperparameters among which is each end of each range, and each choice, at every point.

    One value at a time is put into a point that has the first value of all others.

    Raises:
        ConfigError: a hyperparameter refuses a value; or experiments start or learn from others, which are not drawn.
    """
    found: dict[Hyperparameters, None] = {}
    for point in points:
        firsts = {name: distribution.ends[0] for name, distribution in distributions.items()}
        singles = ({**firsts, name: end} for name, each in distributions.items() for end in each.ends)
        for drawn in (firsts, *singles):
            hyperparameters = _put(point, drawn)
            if hyperparameters.ancestors:
                raise ConfigError(
                    "search: expected no init_from, distill_from or pseudolabel_share: what is drawn starts from "
                    "nothing."
                )
            found[hyperparameters] = None
    return tuple(found)


def _put(point: Mapping[str, JsonValue], drawn: Draw) -> Hyperparameters:
    return parse_hyperparameters({**point, **drawn}, where=f"search: {dict(drawn)}")
