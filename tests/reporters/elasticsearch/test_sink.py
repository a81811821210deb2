"""The sink against a real Elasticsearch: killed, frozen, refusing, of an earlier version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from elasticsearch import Elasticsearch

import kaggle_ray
from kaggle_ray.cli import commands
from kaggle_ray.errors import ServiceError
from kaggle_ray.reporters.elasticsearch.documents import RunDocuments
from kaggle_ray.reporters.elasticsearch.sink import make_sink
from kaggle_ray.reporters.elasticsearch.templates import KINDS, index_template, properties_of
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import RunStarted, TrialEnded
from kaggle_ray.reporters.jsonl import DiaryHistory
from kaggle_ray.reporters.sink import Sink
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.elasticsearch_node import Node
from kaggle_ray.testing.reporter_contract import addressed, every_kind_of_event
from kaggle_ray.testing.sink_contract import check_sink
from kaggle_ray.testing.toy import TOY_FILE
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


class Killing:
    """Kills a node when the first trial of a run ends, and starts it again when the third does."""

    def __init__(self, node: Node) -> None:
        self.node, self.num_ended = node, 0

    def emit(self, envelope: Envelope) -> None:
        if isinstance(envelope.event, TrialEnded):
            self.num_ended += 1
            if self.num_ended == 1:
                self.node.kill()
            elif self.num_ended == 3:
                self.node.start()

    def close(self) -> None:
        pass


@pytest.mark.slow
def test_a_run_in_whose_midst_the_node_is_killed_and_restarted_is_stored_whole_and_once(
    node: Node,
    client: Elasticsearch,
    settings: dict[str, str],
    toy_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, text in {**settings, "timeout_s": "5"}.items():
        monkeypatch.setenv(f"KAGGLE_RAY_ELASTICSEARCH_{name.upper()}", text)
    killing = Killing(node)
    result = kaggle_ray.run(
        TOY_FILE,
        data=toy_data,
        runs=tmp_path / "runs",
        launcher="local",
        device="cpu",
        reporters=["elasticsearch", killing],
    )
    assert killing.num_ended == 4
    warned = [record.name for record in caplog.records if record.levelname == "WARNING"]
    assert warned.count("kaggle_ray.reporters.delivery") in (
        1,
        2,
    )  # of the server that is down, and what it lacks at the end
    assert not any(name.startswith("elastic") for name in warned)
    monkeypatch.setenv("KAGGLE_RAY_ELASTICSEARCH_TIMEOUT_S", "120")
    deliver = ["deliver", str(result.run_dir), "--reporter", "elasticsearch"]
    done = CliRunner().invoke(commands, deliver, catch_exceptions=False)  # where the run was over too soon
    assert done.exit_code == 0, done.output
    told = [envelope for _, envelope in DiaryHistory(open_run(str(result.run_dir)).diary).since(0)]
    assert {each.kind for each in told} >= {"run_started", "epoch_ended", "trial_ended", "run_ended"}
    assert stored(client, settings) == expected(told)
