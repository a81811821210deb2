"""What was learnt of a pool is learnt once, as long as nothing of what it was learnt from changes."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from kaggle_ray.combine import Ensemble, Kept, kept, select
from kaggle_ray.combine.fits import Fits
from kaggle_ray.combine.nested import Learn, NestedScore, nested_score
from kaggle_ray.metrics import AUC, LOG_LOSS, Metric, metric_by_name
from kaggle_ray.types import FloatArray, IntArray, JsonValue

NUM_ROWS = 40
FOLD_OF = np.arange(NUM_ROWS) % 4


@pytest.fixture
def learnt(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for each pool that is learnt of, and not taken from what was kept."""
    calls: list[int] = []

    def counted(fits: Fits, learn: Learn, *, with_error: bool) -> NestedScore:
        calls.append(len(fits.members))
        return nested_score(fits, learn, with_error=with_error)

    monkeypatch.setattr(kept, "nested_score", counted)
    return calls


def pool(seed: int = 0, *, num_columns: int = 1) -> dict[str, FloatArray]:
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(0.1, 0.9, (NUM_ROWS, num_columns)).astype(np.float32) for name in ("a", "b", "c")}


TARGET: IntArray = np.random.default_rng(9).integers(0, 2, NUM_ROWS)
LABELS: IntArray = np.random.default_rng(9).integers(0, 2, (NUM_ROWS, 3))


def selected(of: Kept, method: str = "auto", metric: Metric = LOG_LOSS, **changes: FloatArray) -> Ensemble:
    return select({**pool(), **changes}, TARGET, FOLD_OF, metric, method, kept=of)


def next_time(of: Kept, *, code: JsonValue = None) -> Kept:
    """Return what a rerun begins with: a text in a file between the two."""
    return Kept(json.loads(json.dumps(of.to_json())), code=code)


@pytest.mark.parametrize("method", ["auto", "greedy", "convex", "logistic", "rank"])
def test_an_unchanged_pool_is_not_learnt_again(method: str, learnt: list[int]) -> None:
    first = Kept()
    before = selected(first, method)
    after = selected(next_time(first), method)
    assert len(learnt) == 1
    assert after.oof[:].tobytes() == before.oof[:].tobytes()
    assert after.apply(pool(1))[:].tobytes() == before.apply(pool(1))[:].tobytes()
    assert (after.score_honest, after.standard_error) == (before.score_honest, before.standard_error)
    assert (after.combiner, after.decision, after.optimism) == (before.combiner, before.decision, before.optimism)


def test_decision_rules_are_kept_too(learnt: list[int]) -> None:
    def select_labels(of: Kept) -> Ensemble:
        return select(pool(num_columns=3), LABELS, FOLD_OF, metric_by_name("f2"), "mean", kept=of)

    first = Kept()
    before, after = select_labels(first), select_labels(next_time(first))
    assert len(learnt) == 1
    assert before.decision.kind != "none"
    assert [after.decision_of(row) for row in range(NUM_ROWS)] == [before.decision_of(row) for row in range(NUM_ROWS)]


def test_whatever_changes_is_learnt_anew(learnt: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    first = Kept()
    selected(first)
    changed = pool()["a"].copy()
    changed[7] += np.float32(1e-6)
    selected(next_time(first), a=changed)
    selected(next_time(first), d=changed)
    selected(next_time(first), "mean")
    selected(next_time(first), metric=AUC)
    selected(next_time(first, code={"toy.py": "another text"}))
    select(pool(), TARGET, FOLD_OF[::-1].copy(), LOG_LOSS, "auto", kept=next_time(first))
    select(pool(), 1 - TARGET, FOLD_OF, LOG_LOSS, "auto", kept=next_time(first))
    for changes in ({"forward": True}, {"with_error": False}, {"table": pool(2)["a"]}, {"table": pool(3)["a"]}):
        select(pool(), TARGET, FOLD_OF, LOG_LOSS, "auto", kept=(earlier := next_time(first)), **changes)
        first = Kept({**first.to_json(), **earlier.to_json()})
        selected(first)
    selected(next_time(first), metric=dataclasses.replace(LOG_LOSS, decision="argmax"))
    assert len(learnt) == 13
    monkeypatch.setattr(kept, "_own_code", lambda: "a later version's")
    selected(next_time(first))
    assert len(learnt) == 14


def test_what_nobody_asks_for_is_dropped(learnt: list[int]) -> None:
    first = Kept()
    selected(first, "mean")
    selected(first, "greedy")
    second = next_time(first)
    selected(second, "greedy")
    assert (len(first.to_json()), len(second.to_json()), len(learnt)) == (2, 1, 2)
