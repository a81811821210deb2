"""The ensemble of several people's runs: their predictions are data, the competition and its files are one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from rich import box
from rich.table import Table

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.combine import AUTO, COMBINERS, Ensemble, Kept, select
from kaggle_ray.combine.shares import with_shares
from kaggle_ray.config.sources import source_digests
from kaggle_ray.data.opening import load_competition
from kaggle_ray.pipeline.begun_rows import BegunRows, open_begun_rows
from kaggle_ray.pipeline.ensembling import described
from kaggle_ray.pipeline.own_code import competition_file
from kaggle_ray.pipeline.repeated_folds import repetitions_of
from kaggle_ray.pipeline.team_pool import LOW_CAPACITY, Standing, TeamPool, in_order, joined
from kaggle_ray.reporters.texts import known_score, plain, score_text
from kaggle_ray.rows import Rows, select_rows
from kaggle_ray.share.sources import OwnedRun
from kaggle_ray.store.imported import Imported
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import RunStore
from kaggle_ray.submission.submit import Submitter
from kaggle_ray.types import Location


@dataclass(frozen=True, kw_only=True, slots=True)
class TeamMember:
    """A member of a team's ensemble, and whose it is."""

    member_id: str
    name: str
    user: str
    """Empty where nothing says so: of a run that was not shared."""
    run_id: str
    score: float | None
    """Honest score of the member by itself."""
    weight: float
    """Weight in the ensemble; 0 where it was not taken."""
    standing: Standing
    """What is known of it: whether its models had not seen the rows that they predict."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TeamEnsemble:
    """What several runs are worth together."""

    submission: Location
    score_honest: float | None
    why_no_score: str | None
    """Why there is no honest score, in one line; None where there is one."""
    members: tuple[TeamMember, ...]
    """Members, those with most weight first."""

    def table(self) -> Table:
        """Return the members with their weights, and the ensemble's honest score above them."""
        title = f"honest score {known_score(self.score_honest)}"
        if self.why_no_score is not None:
            title = f"no honest score: {self.why_no_score}"
        table = Table(box=box.SIMPLE_HEAD, title=plain(title), padding=(0, 1, 0, 0))
        for title in ("experiment", "user", "run", "standing"):
            table.add_column(title, overflow="fold")
        for title in ("score", "weight"):
            table.add_column(title, justify="right", no_wrap=True)
        for each in self.members:
            texts = (each.name, each.user, each.run_id, each.standing, score_text(each.score), f"{each.weight:.3f}")
            table.add_row(*map(plain, texts))
        return table


def ensemble_of_runs(
    store: RunStore,
    others: Sequence[OwnedRun],
    *,
    data: str | Path,
    out: str | Path,
    imported: Sequence[Imported] = (),
    competition: str | Path | None = None,
    method: str = AUTO,
    admit_unproven: bool = False,
    repeated_folds: bool = False,
) -> TeamEnsemble:
    """Ensemble the complete experiments of runs under the same folds, and what was imported; write the submission.

    The order of the runs does not matter. Of an experiment that several have run, the same on the same content, one
    is taken. What was learnt of the same members before, with the same ``out``, is not learnt again.

    Args:
        store: a run of one's own, whose folds and competition count; nothing of it changes.
        others: the other runs.
        data: folder or URI of the competition's files.
        out: folder that ensemble and submission are written to.
        imported: predictions that were made elsewhere.
        competition: as for ``predict``: whose code reads the files, where the run's own is not known to be one's own.
        method: name of the combiner, or ``auto``; with predictions under other folds one of ``LOW_CAPACITY``.
        admit_unproven: take members whose models had, or may have had, a say of the scored rows; the ensemble then has
            no honest score. Needed for all that is imported.
        repeated_folds: take runs of the same rows in other folds, too: an experiment that several have is one member,
            the mean of these, and is scored like any other, by the folds of ``store``.

    Raises:
        ConfigError: what is imported is not admitted, or the combiner is not one that may learn of it.
        FoldsError: a run has other folds that are not to be repeated, or scores other rows, or the files are not those
            that a run was begun with.
        LeakError: a model saw a row that it predicts, or a row is not predicted exactly once.
        CorruptBlobError: a stored file is not the one that was committed.
        NothingToSubmitError: no experiment is complete.
    """
    record = store.known_record()
    file = competition_file(store, record, competition, cache_dir=default_cache_dir())
    declared, _ = load_competition(file)
    COMBINERS.check(method)
    runs = in_order([OwnedRun(user="", store=store), *others], record, repeated_folds=repeated_folds)
    begun = open_begun_rows(store, declared, data)
    team = joined(
        runs, imported, begun.competition, begun.split, admit_unproven=admit_unproven,
        repetitions=repetitions_of(runs, declared, data, begun.split),
    )  # fmt: skip
    team.check_method(method)
    saved, target = open_run(out), begun.target()
    kept = Kept(saved.learnt(), code=dict(source_digests(file)))
    ensemble, scores = _selected(team, begun, target, method, kept)
    saved.save_learnt(kept.to_json())
    members = _members(team, ensemble, scores)
    _save(saved, method, ensemble, members, team, begun)
    submitter = Submitter(
        competition=begun.competition,
        test_ids=begun.split.samples.test_ids,
        data_dir=begun.staged.folder,
        only_ids=None,
        store=saved,
    )
    submission = submitter.submit_ensemble(ensemble, team.pool, begun.split.folds, target)
    return TeamEnsemble(
        submission=submission,
        score_honest=ensemble.score_honest,
        why_no_score=ensemble.why_no_score,
        members=members,
    )


def _members(team: TeamPool, ensemble: Ensemble, scores: Mapping[str, float | None]) -> tuple[TeamMember, ...]:
    """Return what each member is worth, those with most weight first."""
    members = [
        TeamMember(
            member_id=member_id,
            name=team.pool.members[member_id].name,
            user=origin.user,
            run_id=origin.run_id,
            score=scores.get(member_id),
            weight=ensemble.weights.get(member_id, 0.0),
            standing=origin.standing,
        )
        for member_id, origin in team.origins.items()
    ]
    return tuple(sorted(members, key=lambda member: (-member.weight, member.member_id)))


def _selected(
    team: TeamPool, begun: BegunRows, target: Rows, method: str, kept: Kept
) -> tuple[Ensemble, dict[str, float | None]]:
    """Return the ensemble, and member id -> its own honest score."""
    pool, folds, metric = team.pool, begun.split.folds, begun.competition.metric
    rows = folds.scored_rows()
    select_of = partial(
        select, target=select_rows(target, rows), fold_of=folds.fold_of[rows], metric=metric, unproven=pool.unproven,
        forward=folds.forward, kept=kept, table=pool.scored_table,
    )  # fmt: skip
    ensemble = select_of(pool.oof, method=method, elaborate=LOW_CAPACITY[1:] if team.has_other_folds else None)
    alone = {each: select_of({each: values}, method="mean", with_error=False) for each, values in pool.oof.items()}
    return with_shares(ensemble, team.shares), {each: ensemble.score_honest for each, ensemble in alone.items()}


def _save(
    store: RunStore, method: str, ensemble: Ensemble, members: Sequence[TeamMember], team: TeamPool, begun: BegunRows
) -> None:
    store.save_ensemble(
        method,
        {
            **described(ensemble),
            "folds_digest": begun.split.folds.digest,
            "members": [{**team.pool.members[each.member_id].to_json(), **asdict(each)} for each in members],
        },
        oof=ensemble.oof,
        test=ensemble.apply(team.pool.test, team.pool.test_table),
        are_masks=begun.competition.is_segmentation,
    )
