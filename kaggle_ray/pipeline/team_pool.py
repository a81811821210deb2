"""The pool of a team: the members of several people's runs, and predictions that were made elsewhere, joined by id.

Shape legend: S scored rows, T test rows, C columns of a prediction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from kaggle_ray.combine import AUTO
from kaggle_ray.data.competition import Competition
from kaggle_ray.errors import ConfigError, FoldsError
from kaggle_ray.pipeline.split import Split
from kaggle_ray.pool.gather import Pool, gather
from kaggle_ray.pool.ledger import rows_in
from kaggle_ray.pool.members import Member
from kaggle_ray.rows import Rows
from kaggle_ray.share.sources import OwnedRun
from kaggle_ray.store.imported import Imported, ImportedRecord
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.store.record import RunRecord

Standing = Literal["proven", "unproven", "unproven, other folds", "test rows alone"]
"""What is known of a member: whether its models had not seen the rows that they predict, by which folds."""

LOW_CAPACITY = ("mean", "convex")
"""Combiners that learn a weight per member and no more, for members under other folds: each fold's weights are learnt
of rows that such members predict by models which saw that fold."""
_NOT_ON_A_SCALE = ("rank",)
"""Combiners whose blend is on another scale than predictions of test rows alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a member is from."""

    user: str
    """Empty where nothing says so: of a run that was not shared."""
    run_id: str
    """Name of the run, or of imported predictions."""
    standing: Standing


@dataclass(frozen=True, kw_only=True, slots=True)
class TeamPool:
    """All members, whose they are, and what has a share of the submission by itself."""

    pool: Pool
    """Members, those of test rows alone under ``test`` only."""
    origins: Mapping[str, Origin]
    """Member id -> where it is from."""
    shares: Mapping[str, float]
    """Member id of test rows alone -> its share of the submission."""

    @property
    def has_other_folds(self) -> bool:
        """Whether a member was predicted under other folds than the run's."""
        return any(origin.standing == "unproven, other folds" for origin in self.origins.values())

    def check_method(self, method: str) -> None:
        """Raise ConfigError where a combiner would learn targets by members under other folds, or blends no values."""
        if self.has_other_folds and method not in (AUTO, *LOW_CAPACITY):
            raise ConfigError(
                f"--ensemble {method}: with predictions under other folds expected {', '.join((AUTO, *LOW_CAPACITY))}."
            )
        if self.shares and method in _NOT_ON_A_SCALE:
            raise ConfigError(
                f"--ensemble {method}: its ranks and predictions of test rows alone are on different scales."
            )


def in_order(runs: Sequence[OwnedRun], record: RunRecord) -> list[OwnedRun]:
    """Return each run once, in one order. Raise FoldsError where one has other folds."""
    by_place = {run.store.location: run for run in reversed(runs)}
    for run in by_place.values():
        other = run.store.known_record()
        if (other.competition, other.metric) != (record.competition, record.metric):
            raise ConfigError(
                f"{run.store.location}: expected a run of {record.competition} with {record.metric}, got "
                f"{other.competition} with {other.metric}."
            )
        if other.folds_digest != record.folds_digest:
            raise FoldsError(
                f"{run.store.location}: expected predictions under fold plan {record.folds_digest}, got "
                f"{other.folds_digest}: its models have seen rows that yours are scored on. Agree on "
                f"the files and the folds, and run it again."
            )
    return sorted(by_place.values(), key=lambda run: (run.user, run.store.run_id, run.store.location))


def joined(
    runs: Sequence[OwnedRun],
    imported: Sequence[Imported],
    competition: Competition,
    split: Split,
    *,
    admit_unproven: bool,
) -> TeamPool:
    """Return the members of all runs, and what was imported, as one pool; of a member that several have one is taken.

    Raises:
        ConfigError: imported predictions are not admitted, are of another competition, or have all of the submission.
        FoldsError: they were imported for another fold plan.
        LeakError: a model saw a row that it predicts, or a row is not predicted exactly once.
    """
    by_id: dict[str, _Joining] = {}
    of_runs = chain.from_iterable(_of_run(run, competition, split, admit_unproven=admit_unproven) for run in runs)
    in_one_order = sorted(imported, key=lambda each: (each.record.user, each.record.name, each.location))
    of_others = (_imported(each, competition, split, admit_unproven=admit_unproven) for each in in_one_order)
    for each in chain(of_runs, of_others):
        by_id.setdefault(each.member.member_id, each)
    shares = {member_id: each.share for member_id, each in by_id.items() if each.share is not None}
    if sum(shares.values()) >= 1:
        raise ConfigError(f"the shares of test rows alone sum to {sum(shares.values()):g}, and nothing else has any.")
    pool = Pool(
        scored_ids=split.folds.sample_ids[split.folds.scored_rows()],
        test_ids=split.samples.test_ids,
        oof={member_id: each.oof for member_id, each in by_id.items() if each.oof is not None},
        test={member_id: each.test for member_id, each in by_id.items()},
        members={member_id: each.member for member_id, each in by_id.items()},
        unproven=frozenset(member_id for member_id, each in by_id.items() if each.origin.standing != "proven"),
    )
    origins = {member_id: each.origin for member_id, each in by_id.items()}
    return TeamPool(pool=pool.with_table_of(split.samples, split.folds), origins=origins, shares=shares)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Joining:
    """One member, and what it predicts."""

    member: Member
    origin: Origin
    oof: Rows | None
    """(S, C) out-of-fold predictions; None of test rows alone."""
    test: Rows
    """(T, C) predictions of the test rows."""
    share: float | None = None
    """Share of the submission, of test rows alone."""


def _of_run(run: OwnedRun, competition: Competition, split: Split, *, admit_unproven: bool) -> Iterator[_Joining]:
    """Yield the members of a run."""
    pool = gather(
        run.store,
        split.folds,
        run.store.experiments(),
        split.samples.test_ids,
        greater_is_better=competition.metric.greater_is_better,
        admit_unproven=admit_unproven,
    )
    for member_id, oof in pool.oof.items():
        standing: Standing = "unproven" if member_id in pool.unproven else "proven"
        origin = Origin(user=run.user, run_id=run.store.run_id, standing=standing)
        yield _Joining(member=pool.members[member_id], origin=origin, oof=oof, test=pool.test[member_id])


def _imported(each: Imported, competition: Competition, split: Split, *, admit_unproven: bool) -> _Joining:
    """Return what was predicted elsewhere as a member, its rows in the run's order."""
    _check_imported(each, competition, split, admit_unproven=admit_unproven)
    record, oof = each.record, None
    of_test = rows_in(each.test.sample_ids, split.samples.test_ids, where=each.location)
    if each.oof is not None:
        scored_ids = split.folds.sample_ids[split.folds.scored_rows()]
        oof = float_rows(each.oof.values[rows_in(each.oof.sample_ids, scored_ids, where=each.location)])[:]
    return _Joining(
        member=Member(member_id=record.member_id, name=record.name, parts=()),
        origin=Origin(user=record.user, run_id=record.name, standing=_standing(record)),
        oof=oof,
        test=float_rows(each.test.values[of_test])[:],
        share=record.share if each.oof is None else None,
    )


def _standing(record: ImportedRecord) -> Standing:
    if record.folds is None:
        return "test rows alone"
    return "unproven" if record.folds == "same" else "unproven, other folds"


def _check_imported(imported: Imported, competition: Competition, split: Split, *, admit_unproven: bool) -> None:
    record = imported.record
    if not admit_unproven:
        raise ConfigError(
            f"{imported.location}: nobody can prove that its models had not seen the rows that they predict. "
            f"--admit-unproven takes it; the ensemble then has no honest score."
        )
    if record.competition != competition.name:
        raise ConfigError(
            f"{imported.location}: expected predictions for {competition.name}, got {record.competition}."
        )
    if record.folds_digest != split.folds.digest:
        raise FoldsError(
            f"{imported.location}: was imported for fold plan {record.folds_digest}, and the run has "
            f"{split.folds.digest}. Import the files again, with --run."
        )
