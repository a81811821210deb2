"""The sink that writes a run's documents to Elasticsearch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from kaggle_ray.reporters.elasticsearch.documents import Document, RunDocuments
from kaggle_ray.reporters.elasticsearch.server import Server
from kaggle_ray.reporters.elasticsearch.settings import ElasticsearchSettings
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.sink import ReadArtifact, Sink


class ElasticsearchSink:
    """Writes the documents of runs; what it is to recall of a run is in the documents that it writes later."""

    name = "elasticsearch"

    def __init__(self, server: Server) -> None:
        """Write to ``server``, which is not reached for yet."""
        self._server, self._is_installed = server, False
        self._runs: dict[tuple[str, str], RunDocuments] = {}

    def recall(self, envelopes: Sequence[Envelope]) -> None:
        """Take in events whose documents are stored: a document sums up many events."""
        self._changed_by(envelopes)

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """Write the documents that the events change, each once.

        Raises:
            ServiceError: the server does not answer, or refuses some, which the text names.
        """
        changed = self._changed_by(envelopes)
        if not self._is_installed:
            self._server.install()
            self._is_installed = True
        self._server.write(changed)

    def close(self) -> None:
        """Let go of the connections."""
        self._server.close()

    def _changed_by(self, envelopes: Sequence[Envelope]) -> Collection[Document]:
        changed: dict[str, Document] = {}
        for envelope in envelopes:
            if envelope.run_id:  # what is prepared while a run has no name is in no document
                of_run = self._runs.setdefault((envelope.competition, envelope.run_id), RunDocuments(envelope))
                changed |= {document.document_id: document for document in of_run.update(envelope)}
        return changed.values()


def make_sink(settings: Mapping[str, str], read_artifact: ReadArtifact) -> Sink:
    """Return the sink of a server; artifacts stay where they are, for documents are searched.

    Raises:
        ConfigError: a setting is unknown or not of its kind, or the extra is not installed.
    """
    return ElasticsearchSink(Server(ElasticsearchSettings.of(settings)))
