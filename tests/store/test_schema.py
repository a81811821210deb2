"""What a run writes as JSON is read back as it was."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kaggle_ray.store.schema import (
    decode,
    encode,
    experiment_to_json,
    lineage_from_json,
    lineage_to_json,
    result_from_json,
    result_to_json,
)
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import EpochMetrics, Experiment, JsonValue, Lineage, Trial, TrialResult

hex_ids = st.text("0123456789abcdef", min_size=1, max_size=12)
file_names = st.from_regex(r"(epoch[0-9]{1,3}/)?[a-z]{1,8}\.npy", fullmatch=True)
numbers = st.floats()
trials = st.builds(Trial, experiment_id=hex_ids, fold=st.integers(0, 126))
epochs = st.builds(
    EpochMetrics,
    epoch=st.integers(1, 1000),
    train_loss=numbers,
    valid_loss=numbers,
    score=numbers,
    lr=st.floats(0, 1),
    duration_s=st.floats(0, 1e6),
    samples_per_s=st.none() | st.floats(0, 1e6),
    resident_bytes=st.none() | st.integers(0, 2**40),
    grad_norm=st.none() | st.floats(0, 1e6),
    gpu_peak_bytes=st.none() | st.integers(0, 2**40),
    train_score=st.none() | st.floats(-1e6, 1e6),
    metrics=st.dictionaries(st.text(max_size=8), st.floats(-1e6, 1e6), max_size=3),
)
results = st.builds(
    TrialResult,
    trial=trials,
    status=st.sampled_from(["committed", "pruned", "stopped", "failed"]),
    attempt_id=hex_ids,
    history=st.lists(epochs, max_size=4).map(tuple),
    blobs=st.dictionaries(file_names, hex_ids, max_size=3),
    score=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    duration_s=st.floats(0, 1e6),
    error=st.none() | st.text(),
    reason=st.none() | st.text(),
    num_decoded=st.integers(0, 10**9),
    process_id=st.integers(0, 2**22),
)


def as_read(metrics: EpochMetrics) -> EpochMetrics:
    infinite: dict[str, Any] = {
        name: math.nan for name, item in dataclasses.asdict(metrics).items() if item in (math.inf, -math.inf)
    }
    return dataclasses.replace(metrics, **infinite)


@given(results)
def test_a_result_survives_its_json_but_for_infinities_which_become_nan(result: TrialResult) -> None:
    text = encode(result_to_json(result))
    read = result_from_json(decode(text, where="result.json"), where="here", way_out="")
    assert dataclasses.replace(read, history=()) == dataclasses.replace(result, history=())
    for got, written in zip(read.history, result.history, strict=True):
        assert got.inner_score == written.inner_score
        for values, expected in zip(dataclasses.astuple(got), dataclasses.astuple(as_read(written)), strict=True):
            assert values == expected or (math.isnan(values) and math.isnan(expected))


@given(
    trained_rows=st.lists(st.booleans(), max_size=40),
    digests=st.tuples(hex_ids, hex_ids),
    parents=st.lists(hex_ids, max_size=3),
)
def test_a_lineage_survives_its_json(trained_rows: list[bool], digests: tuple[str, str], parents: list[str]) -> None:
    lineage = Lineage(
        folds_digest=digests[0],
        trained_rows=np.array(trained_rows, dtype=np.bool_),
        parents=tuple(parents),
        weights_digest=digests[1],
    )
    read = lineage_from_json(decode(encode(lineage_to_json(lineage)), where="manifest.json"), where="manifest.json")
    assert read.trained_rows.tolist() == trained_rows
    assert read.trained_rows.dtype == np.bool_
    rest = [dataclasses.replace(item, trained_rows=np.zeros(0, np.bool_)) for item in (read, lineage)]
    assert [getattr(rest[0], name) for name in ("folds_digest", "parents", "epoch_rule", "weights_digest")] == [
        getattr(rest[1], name) for name in ("folds_digest", "parents", "epoch_rule", "weights_digest")
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(hex_ids, st.text(), st.dictionaries(st.text(), json_values, max_size=4))
def test_an_experiment_survives_its_json(experiment_id: str, name: str, hyperparameters: dict[str, JsonValue]) -> None:
    experiment = Experiment(experiment_id=experiment_id, name=name, hyperparameters=hyperparameters)
    read = from_json(Experiment, decode(encode(experiment_to_json(experiment)), where="here"), where="here")
    assert read == experiment
