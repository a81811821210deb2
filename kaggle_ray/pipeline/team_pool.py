"""The pool of a team: the members of several people's runs, and predictions that were made elsewhere, joined by id.

Shape legend: S scored rows, T test rows, C columns of a prediction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from kaggle_ray.combine import AUTO
from kaggle_ray.counted import counted
from kaggle_ray.data.competition import Competition
from kaggle_ray.errors import ConfigError, FoldsError
from kaggle_ray.pipeline.split import Split
from kaggle_ray.pool.gather import Pool, gather, mean_of
from kaggle_ray.pool.ledger import rows_in
from kaggle_ray.pool.members import Member, without_seed
from kaggle_ray.rows import MeanRows, Rows, are_read_anew, select_rows
from kaggle_ray.share.sources import OwnedRun
from kaggle_ray.store.imported import Imported, ImportedRecord
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.store.record import RunRecord

Standing = Literal["proven", "proven, other folds", "unproven", "unproven, other folds", "test rows alone"]
"""What is known of a member: whether its models had not seen the rows that they predict, by which folds."""

_UNPROVEN: Standing = "unproven, other folds"

LOW_CAPACITY = ("mean", "convex")
"""Combiners that learn a weight per member and no more, for members under other folds: some rows that weights are
learnt of are then predicted by the very models that predict the rows which are scored by these weights."""
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
        return any(origin.standing.endswith("other folds") for origin in self.origins.values())

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


def in_order(runs: Sequence[OwnedRun], record: RunRecord, *, repeated_folds: bool) -> list[OwnedRun]:
    """Return each run once, in one order. Raise FoldsError where one has other folds, which are not to be repeated."""
    by_place = {run.store.location: run for run in reversed(runs)}
    for run in by_place.values():
        other = run.store.known_record()
        if (other.competition, other.metric) != (record.competition, record.metric):
            raise ConfigError(
                f"{run.store.location}: expected a run of {record.competition} with {record.metric}, got "
                f"{other.competition} with {other.metric}."
            )
        if other.folds_digest != record.folds_digest and not repeated_folds:
            raise FoldsError(
                f"{run.store.location}: expected predictions under fold plan {record.folds_digest}, got "
                f"{other.folds_digest}: its models have seen rows that yours are scored on. Agree on "
                f"the files and the folds, and run it again. Runs of your own that are the same files dealt otherwise "
                f"are repeated folds: --repeated-folds."
            )
    return sorted(by_place.values(), key=lambda run: (run.user, run.store.run_id, run.store.location))


def joined(
    runs: Sequence[OwnedRun],
    imported: Sequence[Imported],
    competition: Competition,
    split: Split,
    *,
    admit_unproven: bool,
    repetitions: Mapping[str, Split] | None = None,
) -> TeamPool:
    """Return the members of all runs, and what was imported, as one pool; of a member that several have one is taken.

    Args:
        runs: whose complete experiments are members.
        imported: what was predicted elsewhere.
        competition: of all of them.
        split: the rows and folds of one's own run, by which the pool is scored.
        admit_unproven: take members, too, whose models had, or may have had, a say of the scored rows.
        repetitions: place of each run that has other folds -> the rows in its own; what is the same experiment in
            several runs but for its seed is then one member, their mean.

    Raises:
        ConfigError: imported predictions are not admitted, are of another competition, or have all of the submission.
        FoldsError: they were imported for another fold plan.
        LeakError: a model saw a row that it predicts, or a row is not predicted exactly once.
    """
    by_id: dict[str, _Joining] = {}
    of_runs = chain.from_iterable(
        _of_run(run, competition, split, (repetitions or {}).get(run.store.location), admit_unproven=admit_unproven)
        for run in runs
    )
    in_one_order = sorted(imported, key=lambda each: (each.record.user, each.record.name, each.location))
    of_others = (_imported(each, competition, split, admit_unproven=admit_unproven) for each in in_one_order)
    for each in chain(of_runs, of_others):
        by_id.setdefault(each.member.member_id, each)
    if repetitions:
        by_id = {each.member.member_id: each for each in _means(by_id.values())}
    shares = {member_id: each.share for member_id, each in by_id.items() if each.share is not None}
    if sum(shares.values()) >= 1:
        raise ConfigError(f"the shares of test rows alone sum to {sum(shares.values()):g}, and nothing else has any.")
    pool = Pool(
        scored_ids=split.folds.sample_ids[split.folds.scored_rows()],
        test_ids=split.samples.test_ids,
        oof={member_id: each.oof for member_id, each in by_id.items() if each.oof is not None},
        test={member_id: each.test for member_id, each in by_id.items()},
        members={member_id: each.member for member_id, each in by_id.items()},
        unproven=frozenset(
            member_id for member_id, each in by_id.items() if not each.origin.standing.startswith("proven")
        ),
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
    repeats: str | None = None
    """What it has in common with the same experiment under other folds; None of what was predicted elsewhere."""


def _of_run(
    run: OwnedRun, competition: Competition, split: Split, repetition: Split | None, *, admit_unproven: bool
) -> Iterator[_Joining]:
    """Yield the members of a run, proven by its own folds, their rows in the order of ``split``."""
    experiments = run.store.experiments()
    pool = gather(
        run.store,
        (repetition or split).folds,
        experiments,
        split.samples.test_ids,
        greater_is_better=competition.metric.greater_is_better,
        admit_unproven=admit_unproven,
    )
    scored_ids = split.folds.sample_ids[split.folds.scored_rows()]
    order = rows_in(pool.scored_ids, scored_ids, where=run.store.location) if repetition else None
    kinds = {each.experiment_id: without_seed(each) for each in experiments}
    for member_id, oof in pool.oof.items():
        member = pool.members[member_id]
        known: Standing = "unproven" if member_id in pool.unproven else "proven"
        yield _Joining(
            member=member,
            origin=Origin(user=run.user, run_id=run.store.run_id, standing=_under_other_folds(known, repetition)),
            oof=oof if order is None else select_rows(oof, order),
            test=pool.test[member_id],
            repeats=kinds[member.parts[0].experiment_id] + "".join(member_id.partition("@")[1:]),
        )


def _under_other_folds(standing: Standing, repetition: Split | None) -> Standing:
    if repetition is None:
        return standing
    return "proven, other folds" if standing == "proven" else _UNPROVEN


def _means(found: Iterable[_Joining]) -> Iterator[_Joining]:
    """Yield what was joined, the repetitions of an experiment as one member: their mean, in which nothing is learnt."""
    groups: dict[str, list[_Joining]] = {}
    for each in found:
        groups.setdefault(each.repeats or each.member.member_id, []).append(each)
    for key, group in groups.items():
        yield group[0] if len(group) == 1 else _mean(key, group)


def _mean(key: str, group: Sequence[_Joining]) -> _Joining:
    oof = mean_of([each.oof for each in group if each.oof is not None])
    test = mean_of([each.test for each in group])
    if not are_read_anew(group[0].test):
        oof, test = MeanRows(oof[:], oof.parts), MeanRows(test[:], test.parts)
    standings = {each.origin.standing for each in group}
    member = Member(
        member_id=f"{key}-repeated",
        name=f"{group[0].member.name} (mean of {counted(len(group), 'run')})",
        parts=tuple(part for each in group for part in each.member.parts),
    )
    origin = Origin(
        user=", ".join(sorted({each.origin.user for each in group} - {""})),
        run_id=", ".join(sorted({each.origin.run_id for each in group})),
        standing="proven, other folds" if all(each.startswith("proven") for each in standings) else _UNPROVEN,
    )
    return _Joining(member=member, origin=origin, oof=oof, test=test)


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
    return "unproven" if record.folds == "same" else _UNPROVEN


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
