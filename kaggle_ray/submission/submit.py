"""Puts a submission in its place once it has been checked as Kaggle would check it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kaggle_ray.combine import Ensemble
from kaggle_ray.data.baseline import constant_predictions, mixed_predictions
from kaggle_ray.data.competition import Competition
from kaggle_ray.decide import Decision, decided, default_decision
from kaggle_ray.errors import SubmissionError
from kaggle_ray.metrics import over_folds
from kaggle_ray.pool.gather import Pool
from kaggle_ray.rows import LazyRows, Rows, select_rows
from kaggle_ray.store.run import RunStore
from kaggle_ray.submission.cells import to_cells
from kaggle_ray.submission.check import check_submission
from kaggle_ray.submission.draft import Kept, StoredParts, draft_file, kept_by
from kaggle_ray.submission.mask_rows import write_masks
from kaggle_ray.submission.rescore import ScoredRows
from kaggle_ray.submission.saved import BASELINE, FINAL, REFIT
from kaggle_ray.submission.table import digest_of_cells
from kaggle_ray.submission.write import write_submission
from kaggle_ray.types import Folds, JsonValue, Location, StrArray

REHEARSED_MASKS = 16
"""Training rows whose masks are rehearsed: all would take a pass over the images."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitter:
    """Writes the submissions of one run into its store, each once it has been checked."""

    competition: Competition
    test_ids: StrArray
    """(T,) ids of the rows to predict."""
    data_dir: Path
    """The folder with the sample submission."""
    only_ids: frozenset[str] | None
    """Ids of the samples that a fast-dev run is cut to; None is all."""
    store: RunStore

    def submit_baseline(self, folds: Folds, target: Rows) -> tuple[Location, float]:
        """Submit a constant answer; return the file and its score, each row's predicted without the row's own fold.

        Args:
            folds: of the run.
            target: (N, T) of the training rows.

        Raises:
            SubmissionError: the file is not what the sample submission asks for.
        """
        heads, metric = self.competition.heads, self.competition.metric
        targets = [select_rows(target, folds.train_rows(fold)) for fold in range(folds.num_folds)]
        of_folds = np.concatenate([constant_predictions(heads, each, 1) for each in targets])
        scored = folds.scored_rows()
        fold_of = folds.fold_of[scored]
        oof = LazyRows((len(scored), self.competition.num_columns), lambda rows: of_folds[fold_of[rows]])
        decision = default_decision(metric, self.competition.num_columns)
        score = over_folds(decided(metric, decision), fold_of).score(select_rows(target, scored), oof)
        values = constant_predictions(heads, target, len(self.test_ids))
        return self._submit(BASELINE, values, decision, {"method": "constant", "score_honest": score}), score

    def rehearse(self, folds: Folds, target: Rows) -> None:
        """Write, read and score predictions that are made up, to meet before training what would be refused after it.

        Args:
            folds: of the run.
            target: (N, T) of the training rows.

        Raises:
            SubmissionError: a submission would not be what was scored.
        """
        rows = folds.scored_rows()
        if self.competition.is_segmentation:
            rows = rows[:REHEARSED_MASKS]
        of_rows = select_rows(target, rows)
        rule = default_decision(self.competition.metric, self.competition.num_columns)
        made_up = ScoredRows(
            competition=self.competition,
            what="made-up predictions of the training rows",
            ids=folds.sample_ids[rows],
            values=mixed_predictions(self.competition.heads, of_rows),
            fold_of=folds.fold_of[rows],
            part_of=folds.fold_of[rows],
            decisions=dict.fromkeys(range(folds.num_folds), rule),
        )
        made_up.check(of_rows, None)

    def submit_ensemble(self, ensemble: Ensemble, pool: Pool, folds: Folds, target: Rows) -> Location:
        """Submit the ensemble's test predictions; return the file.

        Args:
            ensemble: of the pool.
            pool: the members' predictions.
            folds: of the run.
            target: (N, T) of the training rows.

        Raises:
            SubmissionError: the file is not what the sample submission asks for, or would not be what was scored.
        """
        rows = folds.scored_rows()
        scored = ScoredRows(
            competition=self.competition,
            what="the out-of-fold predictions",
            ids=folds.sample_ids[rows],
            values=ensemble.oof,
            fold_of=folds.fold_of[rows],
            part_of=ensemble.part_of,
            decisions={part: blend.decision for part, blend in ensemble.by_part.items()},
        )
        scored.check(select_rows(target, rows), ensemble.score_honest)
        made_of = {
            "method": ensemble.method,
            "weights": dict(ensemble.weights),
            "decision": ensemble.decision.to_json(),
            "score_honest": ensemble.score_honest,
        }
        return self._submit(FINAL, ensemble.apply(pool.test, pool.test_table), ensemble.decision, made_of)

    def submit_refit(self, ensemble: Ensemble, test: Mapping[str, Rows], table: Rows | None = None) -> Location:
        """Submit what models of all rows predict, under the weights and the decision of the cross-validated ensemble.

        Args:
            ensemble: of the cross-validated members.
            test: member id -> (T, C) predictions by models that were trained on all rows.
            table: (T, D) numbers that come with these rows, where there are any.

        Raises:
            SubmissionError: the file is not what the sample submission asks for.
        """
        made_of = {
            "method": ensemble.method,
            "weights": dict(ensemble.weights),
            "decision": ensemble.decision.to_json(),
            "score_honest": None,
            "cross_validated_score": ensemble.score_honest,
            "note": "The models were trained on all rows, so no row is left to score them by: the score is that of "
            "the cross-validated ensemble with the same weights.",
        }
        return self._submit(REFIT, ensemble.apply(test, table), ensemble.decision, made_of)

    def _submit(self, name: str, values: Rows, decision: Decision, made_of: Mapping[str, JsonValue]) -> Location:
        kept = kept_by(self.store, name)
        with checked_draft(
            values, decision, self.competition, self.test_ids, self.data_dir, only_ids=self.only_ids, kept=kept
        ) as draft:
            return self.store.save_submission(name, draft, made_of)


@contextmanager
def checked_draft(
    values: Rows,
    decision: Decision,
    competition: Competition,
    test_ids: StrArray,
    data_dir: Path,
    *,
    only_ids: frozenset[str] | None = None,
    kept: Kept = None,
) -> Iterator[Path]:
    """Yield the file of a submission of (T, C) test predictions, which was read back and checked; it does not stay.

    Some rows at a time are in memory. Masks are made by a thread per core.

    Args:
        values: not yet decided.
        decision: turns predictions into an answer.
        competition: says what the file looks like.
        test_ids: (T,) of the rows.
        data_dir: the folder with the sample submission.
        only_ids: that a fast-dev run is cut to; None is all.
        kept: where masks that are whole outlive a killed write, and where the next one goes on; None: each begins anew.

    Raises:
        SubmissionError: the file is not what the sample submission asks for.
    """
    fmt = competition.submission
    are_masks = fmt.cells == "rle"
    with draft_file(kept if are_masks else None) as draft:
        if are_masks:
            parts = kept if isinstance(kept, StoredParts) else None
            written = write_masks(draft, test_ids, values, competition, decision, parts=parts)
        else:
            written = write_submission(draft, test_ids, to_cells(values, competition, decision, ids=test_ids), fmt)
        check_submission(draft, data_dir / fmt.sample_file, competition, only_ids=only_ids)
        if digest_of_cells(draft) != written:
            raise SubmissionError("the submission reads back with other values than were written.")
        yield draft
