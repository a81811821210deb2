"""The sink that shows runs on a Visdom server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import SamplesDrawn
from kaggle_ray.reporters.sink import MakeSink, ReadArtifact, Sink
from kaggle_ray.reporters.visdom.charts import chart_windows
from kaggle_ray.reporters.visdom.client import VisdomClient
from kaggle_ray.reporters.visdom.history import RunHistory
from kaggle_ray.reporters.visdom.pages import text_windows
from kaggle_ray.reporters.visdom.pictures import sample_windows
from kaggle_ray.reporters.visdom.settings import VisdomSettings
from kaggle_ray.reporters.visdom.windows import Window


class VisdomSink:
    """Draws each run's windows anew when it told something; one update for each window, however much it told."""

    name = "visdom"

    def __init__(self, settings: VisdomSettings, read_artifact: ReadArtifact) -> None:
        """Show runs on the server that ``settings`` name, with the pictures that ``read_artifact`` returns."""
        self._read_artifact = read_artifact
        self._settings = settings
        self._client = VisdomClient(settings)
        self._histories: dict[str, RunHistory] = {}
        self._to_show: set[str] = set()
        self._drawn: dict[str, tuple[SamplesDrawn | None, list[Window]]] = {}

    def recall(self, envelopes: Sequence[Envelope]) -> None:
        """Take in what was told before: the curves go on from there."""
        for envelope in envelopes:
            self._take(envelope)

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """Show the runs that ``envelopes`` tell of as they are after them.

        Raises:
            ConnectionError: the server did not take all of it.
        """
        for envelope in envelopes:
            if environment := self._take(envelope):
                self._to_show.add(environment)
        for environment in sorted(self._to_show):
            history = self._histories[environment]
            self._client.show(
                environment,
                [*text_windows(history), *chart_windows(history), *self._samples(environment, history)],
            )
            self._to_show.remove(environment)

    def _take(self, envelope: Envelope) -> str | None:
        """Take in one event; return its run's environment, None while it is not known which run it will be."""
        if not envelope.run_id:
            return None
        environment = self._settings.environment_of(envelope.competition, envelope.run_id)
        self._histories.setdefault(environment, RunHistory()).update(envelope)
        return environment

    def _samples(self, environment: str, history: RunHistory) -> list[Window]:
        """Return the windows of pictures, which are read once: they may be in a bucket."""
        drawn, windows = self._drawn.get(environment, (None, []))
        if history.samples is not drawn:
            windows = sample_windows(history, self._read_artifact)
            self._drawn[environment] = history.samples, windows
        return windows

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()


def make_sink(settings: Mapping[str, str], read_artifact: ReadArtifact) -> Sink:
    """Return the sink of ``settings``: server, port, base_url, env, username and password.

    Raises:
        ConfigError: a setting is unknown, or not what it is to be.
    """
    return VisdomSink(VisdomSettings.of(settings), read_artifact)


_MAKE_SINK: MakeSink = make_sink
