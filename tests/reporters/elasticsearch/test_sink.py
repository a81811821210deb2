"""The sink against a real Elasticsearch: killed, frozen, refusing, of an earlier version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from kaggle_ray.errors import ServiceError
from kaggle_ray.reporters.elasticsearch.documents import RunDocuments
from kaggle_ray.reporters.elasticsearch.sink import make_sink
from kaggle_ray.reporters.elasticsearch.templates import KINDS, index_template, properties_of
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import RunStarted
from kaggle_ray.reporters.sink import Sink
from kaggle_ray.testing.elasticsearch_node import Node
from kaggle_ray.testing.reporter_contract import addressed, every_kind_of_event
from kaggle_ray.testing.sink_contract import check_sink
from kaggle_ray.types import JsonValue, Location

pytestmark = pytest.mark.service


@pytest.fixture
def client(node: Node) -> Iterator[Elasticsearch]:
    with Elasticsearch(node.url, request_timeout=120) as client:
        yield client


def sink_of(settings: dict[str, str], **others: str) -> Sink:
    return make_sink({**settings, **others}, lambda key: None)


def stored(client: Elasticsearch, settings: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return all documents with the prefix of the settings, by their ids."""
    everything = f"{settings['prefix']}-*"
    client.indices.refresh(index=everything)
    hits = client.search(index=everything, size=1000)["hits"]["hits"]
    return {hit["_id"]: hit["_source"] for hit in hits}


def expected(envelopes: Sequence[Envelope]) -> dict[str, dict[str, Any]]:
    """Return what is to be stored in the end, by the ids."""
    documents = RunDocuments(envelopes[0])
    last = {each.document_id: each.fields for envelope in envelopes for each in documents.update(envelope)}
    return {
        key: {name: list(value) if isinstance(value, tuple) else value for name, value in of_document.items()}
        for key, of_document in last.items()
    }


def test_it_keeps_the_contract(settings: dict[str, str]) -> None:
    check_sink(make_sink, settings)


def test_a_repetition_stores_nothing_double_and_each_field_is_of_the_type_that_is_declared(
    client: Elasticsearch, settings: dict[str, str]
) -> None:
    story = every_kind_of_event()
    sink = sink_of(settings)
    sink.send(story)
    sink.send(story)
    assert stored(client, settings) == expected(story)
    for kind in KINDS:
        index = f"{settings['prefix']}-{kind}s"
        mappings = client.indices.get_mapping(index=index)[index]["mappings"]
        assert mappings["dynamic"] == "strict"
        assert {name: each.get("type", "object") for name, each in mappings["properties"].items()} == {
            name: each["type"] for name, each in properties_of(kind).items()
        }
    index = f"{settings['prefix']}-experiments"
    for query in ({"range": {"numeric_hyperparameters.lr": {"lt": 0.01}}}, {"term": {"hyperparameters.lr": "0.001"}}):
        assert client.count(index=index, query=query)["count"] == 1


@pytest.mark.slow
def test_a_node_that_is_killed_between_events_has_all_documents_once_after_its_restart(
    node: Node, client: Elasticsearch, settings: dict[str, str]
) -> None:
    story = every_kind_of_event()
    sink = sink_of(settings)
    sink.send(story[:6])
    node.kill()
    with pytest.raises(ServiceError, match=r"does not answer: ConnectionError"):
        sink.send(story[6:9])
    node.start()
    sink.send(story[6:9])
    other_process = sink_of(settings)
    other_process.recall(story[:9])
    other_process.send(story[9:])
    assert stored(client, settings) == expected(story)


def test_a_frozen_node_costs_the_time_out_and_no_document(
    node: Node, client: Elasticsearch, settings: dict[str, str]
) -> None:
    story = every_kind_of_event()
    sink_of(settings).send(story[:3])
    impatient = sink_of(settings, timeout_s="0.5")
    impatient.recall(story[:3])
    with node.frozen(), pytest.raises(ServiceError, match=r"does not answer: ConnectionTimeout"):
        impatient.send(story[3:])
    patient = sink_of(settings)
    patient.recall(story[:3])
    patient.send(story[3:])
    assert stored(client, settings) == expected(story)


def test_refused_documents_are_named_and_the_others_are_stored(client: Elasticsearch, settings: dict[str, str]) -> None:
    story = every_kind_of_event()
    too_deep: JsonValue = 1
    for _ in range(30):
        too_deep = {"args": too_deep}
    other = RunStarted(
        metric="log_loss",
        greater_is_better=False,
        experiments={"d" * 12: "deep"},
        epochs={},
        hyperparameters={"d" * 12: {"model_args": too_deep}},
        num_folds=1,
        launcher="local",
        num_slots=1,
        run_dir=Location("runs/toy/run-1"),
    )
    with pytest.raises(ServiceError, match=r"refused 1 of \d+ documents: me/toy/run-1:experiment:d{12}: .* depth"):
        sink_of(settings).send([addressed(other, time=0.0), *story])
    assert expected(story).keys() <= stored(client, settings).keys()


def test_an_index_of_an_earlier_version_learns_of_fields_that_are_new(
    client: Elasticsearch, settings: dict[str, str]
) -> None:
    template = index_template(settings["prefix"], "epoch")["template"]["mappings"]["properties"]
    earlier = {name: each for name, each in template.items() if name != "inner_score"}
    client.indices.create(index=f"{settings['prefix']}-epochs", mappings={"dynamic": "strict", "properties": earlier})
    story = every_kind_of_event()
    sink_of(settings).send(story)
    assert stored(client, settings) == expected(story)
