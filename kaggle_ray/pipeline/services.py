"""The services that are told of a run, such as a server of plots: by name, with what the run's store keeps for them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.counted import counted
from kaggle_ray.errors import DeliveryError
from kaggle_ray.pipeline.killed import tell_if_killed
from kaggle_ray.pipeline.option_values import parse_reporters
from kaggle_ray.pipeline.own_code import competition_of
from kaggle_ray.reporters import Reporter
from kaggle_ray.reporters.backlog import Cursor, deliver_backlog
from kaggle_ray.reporters.by_name import is_known, make_sink, settings_for
from kaggle_ray.reporters.delivery import Delivery, words_of
from kaggle_ray.reporters.jsonl import DiaryHistory
from kaggle_ray.reporters.settings import secrets_in
from kaggle_ray.reporters.sink import Sink
from kaggle_ray.store.artifacts import read_artifact
from kaggle_ray.store.delivered import StoredCursor
from kaggle_ray.store.run import RunStore


@dataclass(frozen=True, kw_only=True, slots=True)
class _Service:
    name: str
    sink: Sink
    secrets: Sequence[str]


class Services:
    """The services that a run tells of its events.

    They are made before the run has its name, so that a mistake in a setting is met at once, and told from then on.
    What is prepared before is told to no service: there is no run that it could show it of.
    """

    def __init__(self, names: Iterable[str]) -> None:
        """Make the sinks of the services of these ``names``, without reaching for their servers.

        Raises:
            ConfigError: there is no such reporter, its extra is not installed, or it does not take a setting.
        """
        self._store: RunStore | None = None
        self._services = [self._made(name) for name in names]

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._services)

    @contextmanager
    def told_of(self, store: RunStore) -> Iterator[Sequence[Reporter]]:
        """Yield the reporters that tell the services of a run, after its diary; at the end they share a few seconds."""
        self._store = store
        history = DiaryHistory(store.diary)
        deliveries = [
            Delivery(
                each.sink,
                history=history,
                cursor=_cursor_of(store, each.name),
                how_to_catch_up=shlex.join(["kaggle-ray", "deliver", store.location, "--reporter", each.name]),
                secrets=each.secrets,
            )
            for each in self._services
        ]
        try:
            yield deliveries
        finally:
            for delivery in deliveries:
                delivery.stop()
            for delivery in deliveries:
                delivery.close()

    def deliver(self, store: RunStore, *, again: bool = False) -> Iterator[str]:
        """Deliver what the services lack of a run, at once, or all of it ``again``; yield a line on each.

        That the run's driver was killed is found out, and told with the rest.

        Raises:
            DeliveryError: a service did not take all, once each was tried.
        """
        self._store = store
        tell_if_killed(store)
        history, failed = DiaryHistory(store.diary), list[str]()
        for each in self._services:
            try:
                cursor = _cursor_of(store, each.name)
                num_events = deliver_backlog(each.sink, history=history, cursor=cursor, again=again)
                each.sink.close()
                yield f"{each.name}: {counted(num_events, 'event')} delivered"
            except Exception as error:
                failed.append(f"{each.name}: {words_of(error, each.secrets)}")
        if failed:
            raise DeliveryError(f"{'; '.join(failed)}. Run the same command again: what is delivered stays so.")

    def _made(self, name: str) -> _Service:
        settings = settings_for(name)
        return _Service(name=name, sink=make_sink(name, settings, self._read_artifact), secrets=secrets_in(settings))

    def _read_artifact(self, key: str) -> bytes | None:
        return None if self._store is None else read_artifact(self._store.blobs, key)


def deliver_to(names: Sequence[str], store: RunStore, *, again: bool = False) -> Iterator[str]:
    """Deliver what the services of these ``names`` lack of a run, see ``Services.deliver``; yield a line on each.

    Those that the competition's file registers are known once it is loaded: where it is the user's own.
    """
    parsed = [each for each in parse_reporters(names) if isinstance(each, str)]
    if not all(map(is_known, parsed)):
        competition_of(store, store.known_record(), None, cache_dir=default_cache_dir())
    return Services(parsed).deliver(store, again=again)


def _cursor_of(store: RunStore, service: str) -> Cursor:
    return StoredCursor(store.blobs, service)
