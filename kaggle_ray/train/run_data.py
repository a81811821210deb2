"""A run's competition as its trials see it: loaded once in each process, opened once for each image size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.config import Hyperparameters, parse_hyperparameters
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.duplicate_groups import NearDuplicates, merged_groups
from kaggle_ray.data.folds_csv import folds_from_csv
from kaggle_ray.data.further_metrics import with_metrics
from kaggle_ray.data.opening import load_competition, open_competition
from kaggle_ray.data.reading import Reading
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.staging import StagedData, stage_data
from kaggle_ray.errors import DataError, StoreError
from kaggle_ray.images.cache import Images
from kaggle_ray.images.datasets import open_masks, open_target
from kaggle_ray.images.moments import ImageMoments
from kaggle_ray.images.unreadable import without_unreadable
from kaggle_ray.rows import Rows
from kaggle_ray.store.run import RunStore
from kaggle_ray.train.committed import CommittedTrials
from kaggle_ray.train.content import Content, content_of
from kaggle_ray.train.context import TrialContext
from kaggle_ray.train.fold_data import TrainingRows, hashes_of, test_inputs, train_inputs
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.model_sizes import ModelSizes
from kaggle_ray.types import Folds, Trial


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedImages:
    """A competition's images at one size."""

    train: Inputs
    test: Inputs
    masks: Images | None
    moments: ImageMoments


class RunData:
    """What the trials of a run share in one process."""

    def __init__(self, context: TrialContext, store: RunStore) -> None:
        """Nothing is loaded before it is asked for."""
        self.context = context
        self.store = store
        self.committed = CommittedTrials(context.location, store)
        self._cache_dir = default_cache_dir()
        self._opened: dict[tuple[int, int], OpenedImages] = {}
        self._content: Content | None = None

    def data_of_fold(
        self, trial: Trial, hyperparameters: Hyperparameters, opened: OpenedImages, folds: Folds | None = None
    ) -> FitData:
        """Return the rows of a trial, of the run's fold plan or of ``folds``."""
        return self._training_rows.of_fold(
            folds or self.folds,
            trial.fold,
            hyperparameters,
            inputs=opened.train,
            masks=opened.masks,
            moments=opened.moments,
        )

    @cached_property
    def model_sizes(self) -> ModelSizes:
        """How large the networks of experiments are."""
        return ModelSizes(self.competition, self.samples)

    @cached_property
    def _staged(self) -> StagedData:
        return stage_data(self.context.data, cache_dir=self._cache_dir)

    @cached_property
    def _competition_file(self) -> Path:
        return self.context.sources.here(self._cache_dir / "sources")

    @cached_property
    def _competition_and_samples(self) -> tuple[Competition, Samples]:
        declared, _ = load_competition(self._competition_file)
        data_dir = self._staged.folder
        competition, samples = open_competition(declared, data_dir)
        competition = with_metrics(competition, self.context.metrics)
        if self.context.folds is not None:
            competition = replace(competition, folds=self.context.folds)
        if self.context.only_ids is not None:
            samples = samples.with_ids(self.context.only_ids)
        reading = Reading.recorded(self.store.reading(), where=self.store.location)
        competition = replace(competition, reading=reading)
        unreadable = [data_dir / name for name in self.store.unreadable()]
        samples = without_unreadable(competition, samples, unreadable, self._cache_dir)
        return competition, samples.without_train_ids(self._near_duplicates.left_out)

    @cached_property
    def _near_duplicates(self) -> NearDuplicates:
        return NearDuplicates.from_json(self.store.near_duplicates())

    @property
    def competition(self) -> Competition:
        """The competition, with nothing left to resolve."""
        return self._competition_and_samples[0]

    @property
    def samples(self) -> Samples:
        """The competition's rows, without what cannot be read and what would leak."""
        return self._competition_and_samples[1]

    @cached_property
    def folds(self) -> Folds:
        """The fold plan that the run was started with.

        Raises:
            StoreError: the folder is no run.
        """
        csv, record = self.store.folds_csv(), self.store.record()
        if csv is None or record is None:
            raise StoreError(f"{self.context.location}: is no run: run.json or folds.csv is missing.")
        return folds_from_csv(csv, self.competition.folds, self.samples, expected_digest=record.folds_digest)

    @cached_property
    def target(self) -> Rows:
        """What predictions are scored against."""
        return open_target(self.competition, self.samples, self._cache_dir)[0]

    @cached_property
    def _training_rows(self) -> TrainingRows:
        return TrainingRows(
            competition=self.competition,
            samples=self.samples,
            target=self.target,
            hashes=hashes_of(self.samples),
            # An inner split must not part near-duplicates either.
            groups=merged_groups(self._near_duplicates, self.samples),
        )

    def open_images(self, hyperparameters: Hyperparameters) -> tuple[OpenedImages, int]:
        """Return the images at the experiment's size, and how many of them had to be decoded now."""
        sides = hyperparameters.images.decoded_sides
        if sides in self._opened:
            return self._opened[sides], 0
        of_run = (self.competition, self.samples, sides, self._cache_dir)
        train, test = train_inputs(*of_run), test_inputs(*of_run)
        if self.competition.reader is not None and train.dtype != test.dtype:
            raise DataError(f"expected training and test images of one type, got {train.dtype} and {test.dtype}.")
        opened = OpenedImages(train=train, test=test, masks=open_masks(*of_run), moments=ImageMoments(train.images))
        self._check_content()  # after it was opened: what is read from now on is what is looked at here
        self._opened[sides] = opened
        images = [opened.train.images, opened.test.images, *([opened.masks] if opened.masks else [])]
        return opened, sum(each.num_decoded for each in images)

    def _check_content(self) -> None:
        """Raise DataError where what this process has loaded is not what the run was begun on.

        Rows and code are looked at once, with the first images: what becomes of their files later does no harm.
        """
        folder = {"data_dir": self._staged.folder, "cache_dir": self._cache_dir}
        record = self.store.record()
        assert record is not None, "the folds were read from it"
        if self._content is None:
            self._content = content_of(
                self.competition,
                self._competition_file,
                self.samples,
                self.folds,
                self._near_duplicates,
                [
                    *(parse_hyperparameters(each.hyperparameters, where=each.name) for each in record.experiments),
                    *(record.search.extremes if record.search else ()),
                ],
                **folder,
            )
        else:
            self._content = self._content.with_files_of(self.samples, **folder)
        identity = replace(record.identity, content=self._content.to_json())
        if found := self.store.changes_to(identity, self._content.files):
            raise DataError(
                f"{self.context.location}: something has changed while the run goes on: {'; '.join(map(str, found))}. "
                f"Restore it, or stop the run; the same command then begins a new one on what there is now."
            )
