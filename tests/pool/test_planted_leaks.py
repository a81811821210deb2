"""Leaks that a lineage can see are refused by name, one kind a line; pipelines without one raise no alarm."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from kaggle_ray.combine import select
from kaggle_ray.data.folds import FoldScheme, make_folds
from kaggle_ray.data.head import Head
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import DataError, FoldsError, KaggleRayError, LeakError
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.pool.ledger import check_full_lineage, check_lineage, check_place, check_pseudolabels, rows_in
from kaggle_ray.types import (
    FULL_DATA,
    TRAIN_ONLY,
    BoolArray,
    Folds,
    Lineage,
    Predictions,
    PseudolabelSource,
    StrArray,
    Trial,
)

HEADS = (Head(task="binary", classes=("no", "yes"), metric=LOG_LOSS),)
FOLDS = Folds(
    sample_ids=np.array([f"row{number}" for number in range(12)]),
    fold_of=np.array([0, 1, 2] * 3 + [TRAIN_ONLY] * 3, dtype=np.int8),
    num_folds=3,
    seed=0,
    digest="d" * 12,
)
FORWARD = dataclasses.replace(FOLDS, forward=True)
STUDENT, TEACHER = "a" * 12, "b" * 12
TEST_DIGEST = "f" * 64


@dataclass(frozen=True, kw_only=True)
class Block:
    """What a trial of a fold tells of its predictions; by default nothing is wrong with it."""

    fold: int = 0
    folds: Folds = FOLDS
    seen: BoolArray | None = None
    """Rows that the loader yielded; None: all that the fold may see."""
    digest: str = FOLDS.digest
    scored: StrArray | None = None
    """Ids that it predicts; None: those that its fold scores."""
    labelled_by: tuple[PseudolabelSource, ...] = ()
    teacher: Lineage | None = None
    teacher_digest: str = TEST_DIGEST

    def lineage(self) -> Lineage:
        seen = allowed(self.folds, self.fold) if self.seen is None else self.seen
        return Lineage(folds_digest=self.digest, trained_rows=seen, pseudolabels=self.labelled_by)

    def check(self) -> None:
        """Take the block into a pool, as a run does."""
        trial, expected = Trial(experiment_id=STUDENT, fold=self.fold), ids_of(self.folds, self.fold)
        scored = expected if self.scored is None else self.scored
        values = np.full((len(scored), 1), 0.5, dtype=np.float32)
        check_lineage(trial, Predictions(sample_ids=scored, values=values, lineage=self.lineage()), self.folds)
        for source in self.labelled_by:
            check_pseudolabels(trial, source, self.teacher_digest, self.teacher, self.folds)
        rows_in(scored, expected, where=str(trial))


def allowed(folds: Folds, fold: int) -> BoolArray:
    return np.isin(np.arange(len(folds.sample_ids)), folds.train_rows(fold))


def ids_of(folds: Folds, fold: int) -> StrArray:
    return folds.sample_ids[folds.valid_rows(fold)]


def labels_of(fold: int, *, digest: str = TEST_DIGEST) -> PseudolabelSource:
    return PseudolabelSource(trial=Trial(experiment_id=TEACHER, fold=fold), digest=digest, num_rows=5)


def teacher(fold: int, *, also: tuple[int, ...] = ()) -> Lineage:
    rows = allowed(FOLDS, fold)
    rows[list(also)] = True
    return Lineage(folds_digest=FOLDS.digest, trained_rows=rows)


def also_seen(*rows: int, folds: Folds = FOLDS, fold: int = 0) -> BoolArray:
    seen = allowed(folds, fold)
    seen[list(rows)] = True
    return seen


def of_all_rows() -> None:
    block = Block(fold=FULL_DATA, seen=np.ones(12, np.bool_))
    lineage = block.lineage()
    some = Predictions(sample_ids=FOLDS.sample_ids[:2], values=np.zeros((2, 1), np.float32), lineage=lineage)
    check_full_lineage(Trial(experiment_id=STUDENT, fold=FULL_DATA), some, some, FOLDS)


def of_some_rows_for_all() -> None:
    nothing = Predictions(sample_ids=FOLDS.sample_ids[:0], values=np.zeros((0, 0)), lineage=Block().lineage())
    check_full_lineage(Trial(experiment_id=STUDENT, fold=0), nothing, nothing, FOLDS)


def of_all_rows_of_other_folds() -> None:
    lineage = Block(digest="e" * 12).lineage()
    nothing = Predictions(sample_ids=FOLDS.sample_ids[:0], values=np.zeros((0, 0)), lineage=lineage)
    check_full_lineage(Trial(experiment_id=STUDENT, fold=FULL_DATA), nothing, nothing, FOLDS)


def in_the_place_of_another() -> None:
    check_place(
        Trial(experiment_id=STUDENT, fold=0),
        Block(fold=1).lineage(),
        scored_ids=ids_of(FOLDS, 1),
        expected_ids=ids_of(FOLDS, 0),
        folds_digest=FOLDS.digest,
    )


def without_a_word() -> None:
    silent = Predictions(sample_ids=ids_of(FOLDS, 0), values=np.zeros((3, 1), np.float32))
    check_lineage(Trial(experiment_id=STUDENT, fold=0), silent, FOLDS)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of a competition, of which something is wrong before a model is trained."""

    kind: str = "stratified"
    test_ids: tuple[str, ...] = ("t0", "t1")
    changes: dict[str, object] = field(default_factory=dict)

    def check(self) -> None:
        ids = np.array([f"row{number}" for number in range(12)])
        samples = Samples(
            train_ids=ids,
            train_paths=tuple(Path(f"{each}.png") for each in ids.tolist()),
            target=np.arange(12) % 2,
            test_ids=np.array(self.test_ids),
            test_paths=tuple(Path(f"{each}.png") for each in self.test_ids),
        )
        scheme = FoldScheme(kind=self.kind, num_folds=2)  # type: ignore[arg-type]
        make_folds(scheme, dataclasses.replace(samples, **self.changes), heads=HEADS)  # type: ignore[arg-type]


LEAKS: dict[str, tuple[Callable[[], None], type[KaggleRayError], str]] = {
    "folds are dealt anew each epoch": (
        Block(seen=np.ones(12, np.bool_)).check, LeakError, r"trained on 3 of the rows that it scores, such as .row0"
    ),
    "one batch of the scored rows slips in": (Block(seen=also_seen(3)).check, LeakError, r"on 1 of .* such as .row3"),
    "a scaler, an imputation or a target encoding is fitted on all rows": (
        Block(fold=1, seen=also_seen(1, 4, 7, fold=1)).check, LeakError, "on 3 of the rows that it scores"
    ),
    "a parent or a teacher of another fold saw the rows": (
        Block(seen=also_seen(*FOLDS.valid_rows(0).tolist())).check, LeakError, "on 3 of the rows that it scores"
    ),
    "later rows teach earlier ones": (
        Block(fold=1, folds=FORWARD, seen=also_seen(2, folds=FORWARD, fold=1)).check, LeakError, "or that are later"
    ),
    "pseudolabels are from the teacher of another fold": (
        Block(labelled_by=(labels_of(1),), teacher=teacher(1)).check, LeakError, r"pseudolabels are from b+/fold1"
    ),
    "pseudolabels are from the average of all folds": (
        Block(labelled_by=tuple(map(labels_of, range(3))), teacher=teacher(0)).check, LeakError, "pseudolabels are from"
    ),
    "pseudolabels are from a model of all rows": (
        Block(labelled_by=(labels_of(FULL_DATA),), teacher=teacher(0)).check, LeakError, "pseudolabels are from"
    ),
    "the teacher of the fold saw a scored row itself": (
        Block(labelled_by=(labels_of(0),), teacher=teacher(0, also=(6,))).check, LeakError, r"such as .row6"
    ),
    "pseudolabels are from nobody knows where": (
        Block(labelled_by=(labels_of(0, digest="0" * 64),), teacher=teacher(0)).check, LeakError, "is not known"
    ),
    "the teacher is gone": (Block(labelled_by=(labels_of(0),)).check, LeakError, "What made them is not known"),
    "a model was trained under other folds": (Block(digest="e" * 12).check, LeakError, "expected predictions under"),
    "a model says nothing of what it saw": (without_a_word, LeakError, "does not say which of the 12 rows"),
    "a model of all rows scores some": (of_all_rows, LeakError, "expected a trial of all rows that scores none"),
    "a model of some rows stands in for one of all": (of_some_rows_for_all, LeakError, "expected a trial of all rows"),
    "a model of all rows is of other folds": (of_all_rows_of_other_folds, LeakError, "expected predictions under"),
    "a fold stands in for another": (in_the_place_of_another, LeakError, "3 rows are not predicted"),
    "a row is predicted by two models": (
        Block(scored=np.append(ids_of(FOLDS, 0), "row0")).check, LeakError, "predicted more than once, such as .row0"
    ),
    "a row of another fold is predicted, too": (
        Block(scored=np.append(ids_of(FOLDS, 0), "row1")).check, LeakError, "that should not be, such as .row1"
    ),
    "only the easy rows are predicted": (
        Block(scored=ids_of(FOLDS, 0)[:2]).check, LeakError, "1 row is not predicted"
    ),
    "a row is in train and in test": (Rows(test_ids=("row3", "t1")).check, DataError, "1 id is in train and in test"),
    "given folds tear twins apart": (
        Rows(kind="given", changes={"folds": np.arange(12) % 2, "groups": np.array(["twins"] * 2 + list("abcdefghij"))}
        ).check, FoldsError, "the given folds tear 1 of 11 groups apart",
    ),
    "external rows have twins that are scored": (
        Rows(changes={"groups": np.repeat(list("abcdef"), 2), "train_only": np.arange(12) == 0}).check,
        FoldsError, "rows that are scored and rows that every fold trains on",
    ),
    "external rows are later than those that are scored": (
        Rows(kind="time", changes={"times": np.arange(12.0), "train_only": np.arange(12) == 11}).check,
        FoldsError, "1 train-only row is not earlier",
    ),
}  # fmt: skip
"""Kind of leak -> what plants it, and how it is refused."""


@pytest.mark.parametrize("kind", LEAKS)
def test_a_planted_leak_is_refused(kind: str) -> None:
    plant, error, message = LEAKS[kind]
    with pytest.raises(error, match=message):
        plant()


def test_pipelines_without_a_leak_raise_no_alarm() -> None:
    for seed in range(100):
        rng = np.random.default_rng(seed)
        num_folds, num_rows = int(rng.integers(2, 6)), int(rng.integers(20, 60))
        fold_of = rng.permutation(np.arange(num_rows) % num_folds).astype(np.int8)
        fold_of[rng.random(num_rows) < 0.1] = TRAIN_ONLY
        folds = Folds(
            sample_ids=rng.permutation([f"row{number}" for number in range(num_rows)]), fold_of=fold_of,
            num_folds=num_folds, seed=seed, digest="d" * 12, forward=bool(seed % 4 == 0),
        )  # fmt: skip
        for fold in range(num_folds):
            seen = allowed(folds, fold) & (rng.random(num_rows) < 0.9)
            its_teacher = Lineage(folds_digest=folds.digest, trained_rows=allowed(folds, fold))
            Block(
                fold=fold, folds=folds, seen=seen, scored=rng.permutation(ids_of(folds, fold)),
                labelled_by=(labels_of(fold),) if seed % 3 == 0 else (), teacher=its_teacher,
            ).check()  # fmt: skip
        scored = folds.scored_rows()
        oof = {name: rng.uniform(0.1, 0.9, (len(scored), 1)).astype(np.float32) for name in ("one", "other")}
        if seed % 10 == 1:  # stacked, whose members of a row were trained on the fold that its stacker is fitted on
            method, table = "boosting" if seed % 20 == 1 else "logistic", rng.normal(size=(len(scored), 2))
            truth = rng.integers(0, 2, len(scored))
            made = select(oof, truth, fold_of[scored], LOG_LOSS, method, table=table, with_error=False)
            assert made.why_no_score is None
