"""Proves that a prediction is not a leak: the model never saw the row, and each scored row is predicted once."""

from __future__ import annotations

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.errors import LeakError
from kaggle_ray.types import FULL_DATA, BoolArray, Folds, Lineage, Predictions, PseudolabelSource, StrArray, Trial


def check_lineage(trial: Trial, predictions: Predictions, folds: Folds) -> None:
    """Check what a trial declares, and what its loader yielded, against the fold plan.

    Raises:
        LeakError: the trial used another fold plan, saw rows that its fold scores or, where folds follow each other in
            time, rows of later ones, or says nothing of what it saw; or it has no fold, but was trained on all rows.
    """
    if trial.fold == FULL_DATA:
        raise LeakError(f"{trial}: was trained on all rows. Its predictions get no score.")
    lineage = _checked_lineage(trial, predictions, folds)
    for source in lineage.pseudolabels:
        trained_rows = np.zeros(len(folds.sample_ids), dtype=np.bool_)
        trained_rows[folds.train_rows(source.trial.fold)] = True
        _check_unseen(trial, trained_rows, folds, source=source)
    _check_unseen(trial, lineage.trained_rows, folds)


def check_pseudolabels(
    trial: Trial, source: PseudolabelSource, digest: str | None, labeller: Lineage | None, folds: Folds
) -> None:
    """Check that a trial's pseudolabels are what the trial that it names has predicted, which saw no scored row.

    Args:
        trial: that was trained on them.
        source: where they are from, as the trial tells it.
        digest: of the test predictions that the run has of the source; None where it has none.
        labeller: what these depend on; None where the run has none.
        folds: the run's fold plan.

    Raises:
        LeakError: they are from elsewhere, or from a model that saw rows which the trial scores.
    """
    if labeller is None or digest != source.digest:
        raise LeakError(
            f"{trial}: its {counted(source.num_rows, 'pseudolabel is', 'pseudolabels are')} said to be what "
            f"{source.trial} predicts, whose file is "
            f"{digest or 'not there'}, and they are {source.digest}. What made them is not known."
        )
    _check_unseen(trial, labeller.trained_rows, folds, source=source)


def _check_unseen(
    trial: Trial, trained_rows: BoolArray, folds: Folds, *, source: PseudolabelSource | None = None
) -> None:
    """Raise LeakError where rows that ``trial`` scores are among those that it, or its pseudolabels' source, saw."""
    is_forbidden = np.ones(len(folds.sample_ids), dtype=np.bool_)
    is_forbidden[folds.train_rows(trial.fold)] = False
    if (seen := np.flatnonzero(trained_rows & is_forbidden)).size:
        who = f"its pseudolabels are from {source.trial}, which was" if source else "was"
        raise LeakError(
            f"{trial}: {who} trained on {seen.size} of the rows that it scores{' or that are later' * folds.forward}, "
            f"such as {str(folds.sample_ids[seen[0]])!r}. Its predictions cannot be used."
        )


def check_full_lineage(trial: Trial, valid: Predictions, test: Predictions, folds: Folds) -> None:
    """Check that a trial of the whole data is one: it predicts test rows, and no row that has a score.

    Raises:
        LeakError: it used another fold plan, predicts rows that are scored, or says nothing of what it saw.
    """
    _checked_lineage(trial, test, folds)
    if trial.fold != FULL_DATA or len(valid.sample_ids):
        raise LeakError(
            f"{trial}: expected a trial of all rows that scores none, got {counted(len(valid.sample_ids), 'row')}."
        )


def check_place(
    trial: Trial, lineage: Lineage, *, scored_ids: StrArray, expected_ids: StrArray, folds_digest: str
) -> None:
    """Check that a trial is the one that its place in the run says, without a look at the rows themselves.

    Args:
        trial: whose place it has.
        lineage: of what it predicts.
        scored_ids: that it predicts out of fold.
        expected_ids: that its fold scores.
        folds_digest: of the run's fold plan.

    Raises:
        LeakError: it used another fold plan, or predicts other rows than its fold scores.
    """
    if lineage.folds_digest != folds_digest:
        raise LeakError(f"{trial}: expected a model under fold plan {folds_digest}, got {lineage.folds_digest}.")
    rows_in(scored_ids, expected_ids, where=str(trial))


def _checked_lineage(trial: Trial, predictions: Predictions, folds: Folds) -> Lineage:
    """Return what the predictions depend on. Raises LeakError where it is not known, or is another fold plan."""
    lineage = predictions.lineage
    if lineage is None or len(lineage.trained_rows) != len(folds.sample_ids):
        raise LeakError(
            f"{trial}: its lineage does not say which of the {counted(len(folds.sample_ids), 'row')} it was trained on."
        )
    if lineage.folds_digest != folds.digest:
        raise LeakError(f"{trial}: expected predictions under fold plan {folds.digest}, got {lineage.folds_digest}.")
    return lineage


def rows_in(sample_ids: StrArray, wanted: StrArray, *, where: str) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return for each of ``wanted`` its position in ``sample_ids``, which must hold exactly those ids once each.

    Raises:
        LeakError: an id is predicted twice, is missing or is not wanted.
    """
    order = np.argsort(sample_ids, kind="stable")
    ordered = sample_ids[order]
    if (repeated := ordered[1:][ordered[1:] == ordered[:-1]]).size:
        raise LeakError(
            f"{where}: {counted(repeated.size, 'row is', 'rows are')} predicted more than once, such as "
            f"{str(repeated[0])!r}."
        )
    if np.array_equal(ordered, np.sort(wanted)):
        return order[np.searchsorted(ordered, wanted)]
    if (missing := np.setdiff1d(wanted, sample_ids)).size:
        raise LeakError(
            f"{where}: {counted(missing.size, 'row is', 'rows are')} not predicted, such as {str(missing[0])!r}."
        )
    if (extra := np.setdiff1d(sample_ids, wanted)).size:
        raise LeakError(
            f"{where}: {counted(extra.size, 'row is', 'rows are')} predicted that should not be, such as "
            f"{str(extra[0])!r}."
        )
    return order[np.searchsorted(ordered, wanted)]
