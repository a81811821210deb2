"""Finds, and deletes, documents of runs: across users, machines and competitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kaggle_ray.errors import ConfigError
from kaggle_ray.reporters.elasticsearch.server import Hit, Query, Server
from kaggle_ray.reporters.elasticsearch.templates import Kind
from kaggle_ray.types import JsonValue

Order = Literal["score", "time"]
Source = Mapping[str, JsonValue]
"""The fields of a document."""

_OF_RUN = ("user", "competition", "run_id")
"""Fields that tell of which run a document is."""
_MOST = 10_000
"""Documents that Elasticsearch returns at once."""
_BEST_FIRST: Mapping[str, Any] = {"rank_by": {"order": "desc", "missing": "_last"}}
_ORDERS: Mapping[Order, Sequence[Mapping[str, Any]]] = {
    "score": [{"competition": "asc"}, {"metric": "asc"}, _BEST_FIRST],
    "time": [{"@timestamp": "desc"}],
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which runs' documents are meant; None where it does not matter."""

    competition: str | None = None
    user: str | None = None
    run_id: str | None = None
    at_least: float | None = None
    """The lowest score."""
    at_most: float | None = None
    """The highest score."""

    def filters(self) -> list[Query]:
        """Return what a document has to fulfil."""
        named = {"competition": self.competition, "user": self.user, "run_id": self.run_id}
        bounds = {"gte": self.at_least, "lte": self.at_most}
        given = {name: bound for name, bound in bounds.items() if bound is not None}
        terms: list[Query] = [{"term": {name: value}} for name, value in named.items() if value is not None]
        return [*terms, {"range": {"score": given}}] if given else terms


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What is stored of a run."""

    run: Source
    ensembles: Sequence[Source]
    experiments: Sequence[Source]
    """Best first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """What is stored of an experiment of a run."""

    experiment: Source
    trials: Sequence[Source]
    """Trials of it, by their folds."""


def list_experiments(
    server: Server, selection: Selection, *, order: Order = "score", limit: int = 50
) -> Sequence[Source]:
    """Return experiments: the best of each competition first, or the latest."""
    return _find(server, "experiment", selection.filters(), sort=_ORDERS[order], limit=limit)


def find_runs(server: Server, named: str, selection: Selection) -> list[Run]:
    """Return the runs of an id, the latest first."""
    found = _find(server, "run", [*selection.filters(), _is(run_id=named)], sort=_ORDERS["time"])
    return [
        Run(
            run=run,
            ensembles=_find(server, "ensemble", _same(run), sort=_ORDERS["time"]),
            experiments=_find(server, "experiment", _same(run), sort=_ORDERS["score"]),
        )
        for run in found
    ]


def find_experiments(server: Server, named: str, selection: Selection) -> list[Experiment]:
    """Return the experiments of an id or a name, one of each run that has it, the latest first."""
    has_name = {"bool": {"should": [_is(experiment_id=named), _is(name=named)]}}
    found = _find(server, "experiment", [*selection.filters(), has_name], sort=_ORDERS["time"])
    return [
        Experiment(
            experiment=experiment,
            trials=_find(
                server,
                "trial",
                [*_same(experiment), _is(experiment_id=experiment["experiment_id"])],
                sort=[{"rows": "asc"}],
            ),
        )
        for experiment in found
    ]


def find_documents(server: Server, named: str, selection: Selection) -> Sequence[Hit]:
    """Return all documents of a run's or an experiment's id, with the fields that tell their run.

    Raises:
        ConfigError: there are none, or they are several users'.
    """
    has_id = {"bool": {"should": [_is(run_id=named), _is(experiment_id=named)]}}
    hits = server.find_all(_all([*selection.filters(), has_id]), only=_OF_RUN)
    users = sorted({hit["_source"]["user"] for hit in hits})
    if not users:
        raise ConfigError(f"there are no documents of {named!r}: expected the id of a run or of an experiment.")
    if len(users) > 1:
        raise ConfigError(f"{named!r} is in runs of {', '.join(users)}: name one of them with --user.")
    return hits


def num_by_run(hits: Sequence[Hit]) -> Counter[str]:
    """Return how many documents of each run there are, by ``user/competition/run``."""
    return Counter("/".join(hit["_source"][name] for name in _OF_RUN) for hit in hits)


def _find(
    server: Server, kind: Kind, filters: Sequence[Query], *, sort: Sequence[Mapping[str, Any]], limit: int = _MOST
) -> Sequence[Source]:
    return [hit["_source"] for hit in server.find(kind, _all(filters), sort=sort, limit=limit)]


def _all(filters: Sequence[Query]) -> Query:
    return {"bool": {"filter": list(filters)}}


def _is(**field: JsonValue) -> Query:
    return {"term": field}


def _same(document: Source) -> list[Query]:
    """Return what holds for all documents of the run that a document is of."""
    return [_is(**{name: document[name]}) for name in _OF_RUN]
