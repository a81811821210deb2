"""What the scores of a run's submission mean: the public one to expect, its gap, its rank, and which two to choose.

Shape legend: N scored rows, C columns of a prediction, M submissions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.combine.saved import chosen_ensemble
from kaggle_ray.errors import ConfigError, StoreError
from kaggle_ray.images.readers import reader_of
from kaggle_ray.kaggle.adversarial import adversarial_auc
from kaggle_ray.kaggle.choosing import Candidate, Choice, choose_two
from kaggle_ray.kaggle.expected import ExpectedScore, ScoreOfRows, expected_score
from kaggle_ray.kaggle.leaderboard import read_leaderboard, standing_of
from kaggle_ray.kaggle.verdict import AdversarialAuc, verdict_on
from kaggle_ray.metrics import Metric, over_folds, score_of_rows
from kaggle_ray.pipeline.begun_rows import open_begun_rows
from kaggle_ray.pipeline.own_code import competition_of
from kaggle_ray.rows import select_rows
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.store.run import RunStore
from kaggle_ray.submission.kaggle_records import records_of
from kaggle_ray.submission.saved import FINAL
from kaggle_ray.types import Float64Array, FloatArray, IntArray, Location, StrArray, Target

_NUM_DRAWS = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreMeaning:
    """What is known of the score of one run's submission."""

    run_id: str
    metric: Metric
    expected: ExpectedScore
    public_score: float | None
    """Score on the public leaderboard; None as long as it was not submitted, or is not scored."""
    fold_scores: tuple[float, ...]
    adversarial: AdversarialAuc | None
    ids: StrArray
    """(N,) ids of the scored rows."""
    score_of: ScoreOfRows
    num_public: int
    num_private: int

    def lines(self, leaderboard: Path | None = None) -> Iterator[str]:
        """Yield what there is to say, with the rank on a downloaded leaderboard."""
        low, high, level = self.expected.low, self.expected.high, self.expected.level
        score = f"{self.metric.name} {self.expected.score:.5f}"
        yield f"{self.run_id}: expected public {score}, {low:.5f} to {high:.5f} ({level:.0%})"
        if self.public_score is not None:
            verdict = verdict_on(
                self.public_score,
                self.expected,
                greater_is_better=self.metric.greater_is_better,
                fold_scores=self.fold_scores,
                adversarial=self.adversarial,
            )
            yield f"{self.run_id}: {verdict}"
        if leaderboard is not None:
            scores = read_leaderboard(leaderboard)
            for what, at in {"expected": self.expected.score, "public": self.public_score}.items():
                if at is not None:
                    standing = standing_of(at, scores, greater_is_better=self.metric.greater_is_better)
                    yield f"{self.run_id}: {what} score {at:.5f}: {standing}"


def meaning_of(
    store: RunStore, *, data: str | Path, public_share: float, competition: str | Path | None = None
) -> ScoreMeaning:
    """Return what the score of a run's submission means.

    Args:
        store: of the run; nothing of it changes.
        data: folder or URI of the competition's files, which have the rows' targets.
        public_share: of the test rows that the public score is of.
        competition: as for ``predict``: whose code reads the files.

    Raises:
        StoreError: the run has no ensemble yet, or none with an honest score.
        FoldsError: the files are not those that the run was begun with.
        ConfigError: there are too few rows to tell.
    """
    record, ensemble = store.known_record(), chosen_ensemble(store)
    if ensemble is None or ensemble.score_honest is None:
        raise StoreError(
            f"{store.location}: has no ensemble with an honest score, of which something could be expected."
        )
    declared = competition_of(store, record, competition, cache_dir=default_cache_dir())
    begun = open_begun_rows(store, declared, data)
    opened, folds, samples = begun.competition, begun.split.folds, begun.split.samples
    rows = folds.scored_rows()
    oof = store.file(Location(f"{store.location}/ensembles/{ensemble.method}/oof.npy"))
    answers = ensemble.decide(opened.metric, opened.num_columns).apply(float_rows(np.load(oof, allow_pickle=False))[:])
    fold_of = folds.fold_of[rows].astype(np.int64)
    score_of = _scorer(opened.metric, select_rows(begun.target(), rows)[:], answers, fold_of)
    num_test = len(samples.test_ids)
    num_public = max(1, round(num_test * public_share))
    public = [each.public_score for each in records_of(store) if each.name == FINAL and each.public_score is not None]
    return ScoreMeaning(
        run_id=store.run_id,
        metric=opened.metric,
        expected=expected_score(
            score_of,
            score=ensemble.score_honest,
            num_rows=len(rows),
            num_public=num_public,
            groups=None if samples.groups is None else samples.groups[rows],
            num_draws=_NUM_DRAWS,
        ),
        public_score=public[-1] if public else None,
        fold_scores=tuple(score_of(np.flatnonzero(fold_of == fold)) for fold in np.unique(fold_of).tolist()),
        adversarial=adversarial_auc(
            samples.train_files, samples.test_files, channels=opened.channels, reader=reader_of(opened)
        )
        if public
        else None,
        ids=folds.sample_ids[rows],
        score_of=score_of,
        num_public=num_public,
        num_private=max(1, num_test - num_public),
    )


def choice_of(meanings: Sequence[ScoreMeaning]) -> Choice:
    """Return which two of several runs' submissions to choose.

    Raises:
        ConfigError: one has no public score, or they were scored on other rows or by other metrics.
    """
    first = meanings[0]
    candidates: list[Candidate] = []
    for each in meanings:
        if each.public_score is None:
            raise ConfigError(f"{each.run_id}: has no public score yet. Submit it: kaggle-ray submit.")
        if set(each.ids) != set(first.ids) or each.metric.name != first.metric.name:
            raise ConfigError(f"{each.run_id}: was scored on other rows, or by another metric, than {first.run_id}.")
        candidates.append(Candidate(name=each.run_id, score=each.expected.score, public_score=each.public_score))
    return choose_two(
        candidates,
        _covariance(meanings),
        num_oof=len(first.ids),
        num_public=first.num_public,
        num_private=first.num_private,
        greater_is_better=first.metric.greater_is_better,
    )


def _covariance(meanings: Sequence[ScoreMeaning]) -> Float64Array:
    """Return (M, M) the covariance of the scores of a row, by scores of the same resampled rows."""
    num_rows, rng = len(meanings[0].ids), np.random.default_rng(0)
    places = [np.argsort(each.ids) for each in meanings]  # the same row at the same place, in whatever order they are
    drawn = [rng.integers(num_rows, size=num_rows) for _ in range(_NUM_DRAWS)]
    scores = [[each.score_of(place[rows]) for rows in drawn] for each, place in zip(meanings, places, strict=True)]
    return np.atleast_2d(np.cov(np.array(scores))) * num_rows


def _scorer(metric: Metric, target: Target, answers: FloatArray, fold_of: IntArray) -> ScoreOfRows:
    """Return the score of some of the rows."""
    if metric.mean_over_rows:
        by_row = metric.row_scores(target, answers)
        return lambda rows: score_of_rows(metric, by_row[rows], fold_of[rows])
    return lambda rows: over_folds(metric, fold_of[rows]).score(target[rows], answers[rows])
