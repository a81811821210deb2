"""The import of predictions that were made elsewhere, for the ensemble of a run: what can be checked of them is.

What cannot be is what the models that made them had seen. So they are unproven, and an ensemble with them has no honest
score. Same folds: they may join it as any member does. Other folds: a row's members were trained on rows of its own
fold, so that what learns much of the rows would learn their targets, too; see ``LOW_CAPACITY``. Test rows alone have a
share that a person names.

Shape legend: S scored rows, T test rows, C columns of a prediction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.counted import counted
from kaggle_ray.data.given_folds import with_folds_of
from kaggle_ray.data.predictions_csv import PredictedRows, read_predictions
from kaggle_ray.errors import ConfigError, DataError, FoldsError, LeakError
from kaggle_ray.pipeline.begun_rows import BegunRows, open_begun_rows
from kaggle_ray.pipeline.own_code import competition_of
from kaggle_ray.store.imported import FoldsOfOthers, ImportedRecord, save_imported
from kaggle_ray.store.opening import place_of
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import NO_FOLD, TRAIN_ONLY, FloatArray, Location, StrArray
from kaggle_ray.untrusted import file_digest, is_path_part


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedPlace:
    """Where imported predictions are, and what is known of them: what an import returns."""

    location: Location
    """Folder or URI, which ``kaggle-ray ensemble`` takes as it takes a run."""
    record: ImportedRecord

    @property
    def words(self) -> str:
        """What may be made of them, in a sentence."""
        of = f"{self.location}: {counted(len(self.record.test_ids), 'test row')}"
        if self.record.folds is None:
            return (
                f"{of} alone, for a share of {self.record.share:g}; kaggle-ray ensemble --admit-unproven blends them."
            )
        of += f" and {counted(len(self.record.oof_ids), 'row')} out of fold"
        how = (
            "under the run's folds: they join as any experiment does, unproven"
            if self.record.folds == "same"
            else "under other folds, or unknown ones: they join by mean or convex weights, unproven"
        )
        return f"{of}, {how}; kaggle-ray ensemble --admit-unproven takes them."


def import_files(
    store: RunStore,
    oof: str | Path | None,
    test: str | Path,
    *,
    data: str | Path,
    runs: str | Path,
    folds: str | Path | None = None,
    name: str | None = None,
    user: str = "",
    share: float | None = None,
    competition: str | Path | None = None,
) -> ImportedPlace:
    """Import predictions of csv files for the ensembles of a run: save them beside the runs of its competition.

    Args:
        store: a run of one's own, whose rows and folds count; nothing of it changes.
        oof: file of the scored rows, each predicted by a model that never saw it, which nobody can prove; None where
            there are test rows alone.
        test: file of the test rows.
        data: folder or URI of the competition's files.
        runs: folder of the run folders.
        folds: file of the folds that ``oof`` was predicted under; None: a column ``fold`` of ``oof``, or unknown.
        name: what to call them; None: a digest of the files.
        user: whose they are.
        share: of the submission, between 0 and 1, where there are test rows alone.
        competition: as for ``predict``: whose code reads the files, where the run's own is not known to be one's own.

    Raises:
        DataError: a file is no table of predictions of the competition's rows, each once; what is wrong is named.
        FoldsError: the folds cannot be read.
        LeakError: a row is predicted that, by the folds, each of the models was trained on.
        ConfigError: a share is named with ``oof`` or missing without it, or masks are predicted.
        StoreError: something else has the name.
    """
    _check_share(share, has_oof=oof is not None)
    declared = competition_of(store, store.known_record(), competition, cache_dir=default_cache_dir())
    begun = open_begun_rows(store, declared, data)
    if begun.competition.is_segmentation:
        raise ConfigError(f"{store.competition_name}: predictions of masks are not imported: no table holds them.")
    test_ids = begun.split.samples.test_ids
    of_test = _rows_of(read_predictions(Path(test), begun.competition), test_ids, where=str(test))
    scored = _OutOfFold() if oof is None else _out_of_fold(oof, folds, begun)
    files = {part: _digest(Path(file)) for part, file in (("oof", oof), ("test", test)) if file is not None}
    record = ImportedRecord(
        name=_named(name, files),
        user=user,
        competition=store.competition_name,
        folds_digest=begun.split.folds.digest,
        folds=scored.folds,
        share=share,
        files=files,
        oof_ids=tuple(scored.ids.tolist()),
        test_ids=tuple(test_ids.tolist()),
        digests={},
    )
    location, saved = save_imported(
        place_of(runs, record.competition, record.name), record, oof=scored.values, test=of_test
    )
    return ImportedPlace(location=location, record=saved)


@dataclass(frozen=True, kw_only=True, slots=True)
class _OutOfFold:
    """What was predicted of the scored rows; nothing, where there are test rows alone."""

    ids: StrArray = field(default_factory=lambda: np.array([], dtype=np.str_))
    """(S,) ids of the scored rows."""
    values: FloatArray | None = None
    """(S, C) predictions of them."""
    folds: FoldsOfOthers | None = None
    """Whether they were predicted under the run's folds."""


def _out_of_fold(oof: str | Path, folds: str | Path | None, begun: BegunRows) -> _OutOfFold:
    """Return the predictions of a file, whose folds are those of the file ``folds`` or of a column of its own."""
    ids = begun.split.folds.sample_ids[begun.split.folds.scored_rows()]
    read = read_predictions(Path(oof), begun.competition)
    values = _rows_of(read, ids, where=str(oof), others=begun.all_samples.train_ids)
    dealt = folds if folds is not None else oof if read.has_folds else None
    return _OutOfFold(ids=ids, values=values, folds="other" if dealt is None else _compared(dealt, begun))


def _check_share(share: float | None, *, has_oof: bool) -> None:
    if has_oof and share is not None:
        raise ConfigError("--share: predictions with rows out of fold are weighted by these. Leave it out.")
    if not has_oof and (share is None or not 0 < share < 1):
        raise ConfigError(
            f"--share: of test rows alone expected their share of the submission, between 0 and 1, got {share}: there "
            f"is nothing to choose it by."
        )


def _rows_of(predicted: PredictedRows, wanted: StrArray, *, where: str, others: StrArray | None = None) -> FloatArray:
    """Return the values of the ``wanted`` ids; the file may have rows of ``others``, too, which are left out."""
    number_of = {sample_id: number for number, sample_id in enumerate(predicted.ids.tolist())}
    missing = [sample_id for sample_id in wanted.tolist() if sample_id not in number_of]
    known = set(wanted.tolist()) | set([] if others is None else others.tolist())
    unknown = [sample_id for sample_id in number_of if sample_id not in known]
    parts = {"are missing": missing, "are of no such row": unknown}
    if found := [f"{len(ids)} {what}, such as {', '.join(ids[:3])}" for what, ids in parts.items() if ids]:
        raise DataError(f"{where}: expected the ids of {counted(len(wanted), 'row')}, each once: {'; '.join(found)}.")
    return predicted.values[[number_of[sample_id] for sample_id in wanted.tolist()]]


def _compared(file: str | Path, begun: BegunRows) -> FoldsOfOthers:
    """Return whether a file deals the scored rows to the folds that the run has, by whatever numbers."""
    folds = begun.split.folds
    _, dealt = with_folds_of(begun.competition, begun.all_samples, file)
    assert dealt.folds is not None
    fold_by_id = dict(zip(dealt.train_ids.tolist(), dealt.folds.tolist(), strict=True))
    rows = folds.scored_rows()
    ids, own = folds.sample_ids[rows], folds.fold_of[rows].astype(np.int64)
    theirs = np.array([fold_by_id[sample_id] for sample_id in ids.tolist()])
    if (seen := ids[theirs == TRAIN_ONLY]).size:
        raise LeakError(
            f"{file}: {counted(seen.size, 'row has', 'rows have')} the fold -1, such as {str(seen[0])!r}: all models "
            "were trained on them, and their predictions cannot be used."
        )
    if (absent := ids[theirs == NO_FOLD]).size:
        raise FoldsError(
            f"{file}: {absent.size} of {counted(len(ids), 'row')} have no fold, such as {str(absent[0])!r}."
        )
    if folds.forward:
        return "same" if np.array_equal(own, theirs) else "other"
    num_pairs = np.unique(np.stack([own, theirs]), axis=1).shape[1]
    return "same" if num_pairs == len(np.unique(own)) == len(np.unique(theirs)) else "other"


def _named(name: str | None, files: dict[str, str]) -> str:
    if name is None:
        return f"imported-{'-'.join(digest[:6] for digest in files.values())}"
    if not is_path_part(name):
        raise ConfigError(f"--name {name!r}: expected a name without slashes that does not begin with a dot.")
    return name


def _digest(file: Path) -> str:
    digest = file_digest(file)
    if digest is None:
        raise DataError(f"{file}: no such file.")
    return digest
