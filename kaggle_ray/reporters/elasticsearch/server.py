"""An Elasticsearch, as far as we ask it. Its client's package is imported here alone."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kaggle_ray.counted import counted
from kaggle_ray.errors import ConfigError, ServiceError
from kaggle_ray.reporters.elasticsearch.documents import Document
from kaggle_ray.reporters.elasticsearch.settings import ElasticsearchSettings
from kaggle_ray.reporters.elasticsearch.templates import (
    KINDS,
    Kind,
    component_template,
    index_of,
    index_template,
    properties_of,
)

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

Hit = Mapping[str, Any]
"""A document that was found: ``_id``, ``_index`` and ``_source``, its fields."""
Query = Mapping[str, Any]
"""A query as Elasticsearch's own language has it."""

_NUM_NAMED = 3
"""Documents that an error names, of all that were refused."""
_REASONS = {
    401: "it does not know who asks. Set an api_key, or username and password",
    403: "access is denied. It takes the rights to manage index templates, and to create, write and read the indices",
}
"""Status of an answer -> what it means, and the next step."""


class Server:
    """The documents of runs in one Elasticsearch."""

    def __init__(self, settings: ElasticsearchSettings) -> None:
        """Prepare to ask; the server is not reached for yet.

        Raises:
            ConfigError: the client is not installed, or does not take a setting.
        """
        self._url, self._prefix = settings.url, settings.prefix
        self._client = _make_client(settings)

    def install(self) -> None:
        """Put the templates of all indices; an index that an earlier version made learns of new fields.

        Raises:
            ServiceError: the server does not answer, or refuses.
        """
        with self._asking():
            self._client.cluster.put_component_template(name=self._prefix, template=component_template())
            for kind in KINDS:
                self._client.indices.put_index_template(**index_template(self._prefix, kind))
                if_there = self._client.options(ignore_status=404)
                if_there.indices.put_mapping(index=self._index(kind), properties=properties_of(kind))

    def write(self, documents: Iterable[Document]) -> None:
        """Store documents, each in place of what was stored under its id.

        Raises:
            ServiceError: the server does not answer, or refuses some, which the text names; the others are stored.
        """
        self._carry_out(
            {"_index": self._index(each.kind), "_id": each.document_id, "_source": each.fields} for each in documents
        )

    def find(self, kind: Kind, query: Query, *, sort: Sequence[Mapping[str, Any]], limit: int) -> list[Hit]:
        """Return the first documents of a kind that a query finds, sorted; none where nothing was ever stored.

        Raises:
            ServiceError: the server does not answer, or refuses.
        """
        with self._asking():
            found = self._client.search(
                index=self._index(kind), query=query, sort=sort, size=limit, ignore_unavailable=True
            )
        hits: list[Hit] = found["hits"]["hits"]
        return hits

    def find_all(self, query: Query, *, only: Sequence[str]) -> list[Hit]:
        """Return every document, of all kinds, that a query finds, with the fields of ``only`` and in no order.

        Raises:
            ServiceError: the server does not answer, or refuses.
        """
        from elasticsearch.helpers import scan

        index = ",".join(map(self._index, KINDS))
        with self._asking():
            self._client.indices.refresh(index=index, ignore_unavailable=True)
            body = {"query": query, "_source": list(only)}
            return list(scan(self._client, index=index, query=body, ignore_unavailable=True))

    def delete(self, hits: Iterable[Hit]) -> None:
        """Delete documents that were found; one that is gone already is none the worse.

        Raises:
            ServiceError: the server does not answer, or refuses some, which the text names; the others are deleted.
        """
        self._carry_out(
            ({"_op_type": "delete", "_index": hit["_index"], "_id": hit["_id"]} for hit in hits), refresh=True
        )

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def _index(self, kind: Kind) -> str:
        return index_of(self._prefix, kind)

    def _carry_out(self, operations: Iterable[dict[str, Any]], **arguments: Any) -> None:
        from elasticsearch.helpers import streaming_bulk

        with self._asking():
            answers = list(streaming_bulk(self._client, operations, raise_on_error=False, **arguments))
        refused = [why for is_done, answer in answers if not is_done and (why := _why_refused(answer))]
        if refused:
            named = "; ".join(refused[:_NUM_NAMED])
            more = f"; and {len(refused) - _NUM_NAMED} more" if len(refused) > _NUM_NAMED else ""
            raise ServiceError(
                f"Elasticsearch at {self._url} refused {len(refused)} of {counted(len(answers), 'document')}: "
                f"{named}{more}."
            )

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Turn what the client raises within the context into a ServiceError that names the server and the reason."""
        from elasticsearch import ApiError, TransportError
        from elasticsearch.helpers import ScanError

        try:
            yield
        except ApiError as error:
            reason = _REASONS.get(error.meta.status, str(error))
            raise ServiceError(f"Elasticsearch at {self._url} refused: {reason}.") from error
        except TransportError as error:
            raise ServiceError(
                f"Elasticsearch at {self._url} does not answer: {type(error).__name__}: {error.message}. "
                "Check url, and that the server is up."
            ) from error
        except ScanError as error:
            raise ServiceError(f"Elasticsearch at {self._url} found only a part: {error}.") from error


def _make_client(settings: ElasticsearchSettings) -> Elasticsearch:
    try:
        from elasticsearch import Elasticsearch
    except ImportError as error:
        raise ConfigError("Elasticsearch needs the extra: pip install 'kaggle-ray[elasticsearch]'.") from error
    # the client warns at each request of a server that is down: whoever asks does so once
    logging.getLogger("elastic_transport.node_pool").setLevel(logging.ERROR)
    arguments: dict[str, Any] = {}
    if settings.api_key is not None:
        arguments["api_key"] = settings.api_key
    if settings.username is not None and settings.password is not None:
        arguments["basic_auth"] = (settings.username, settings.password)
    if settings.ca_certs is not None:
        arguments["ca_certs"] = settings.ca_certs
    try:
        # nothing is tried again here: whoever delivers does that, with longer pauses
        return Elasticsearch(settings.url, request_timeout=settings.timeout_s, max_retries=0, **arguments)
    except (ValueError, OSError) as error:
        raise ConfigError(f"elasticsearch: {error}.") from error


def _why_refused(answer: Mapping[str, Any]) -> str | None:
    """Return the id and the reason in an item of a bulk request's answer; None where all is as it was to be."""
    ((operation, item),) = answer.items()
    if operation == "delete" and item["status"] == 404:
        return None
    error = item["error"]
    cause = error.get("caused_by", {}).get("reason")
    return f"{item['_id']}: {error['type']}: {error['reason']}" + (f" ({cause})" if cause else "")
