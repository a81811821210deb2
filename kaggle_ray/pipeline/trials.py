"""The trials that a session of a run trains, and how they are trained: as far as there is time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.images.datasets import open_masks, open_test, open_train
from kaggle_ray.launch.by_name import make_launcher
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pipeline.summing_up import summing_up
from kaggle_ray.pipeline.time_limit import with_time_to_ensemble
from kaggle_ray.pipeline.warned_once import warned_once
from kaggle_ray.reporters import Emit
from kaggle_ray.rows import Rows
from kaggle_ray.schedule.rounds_source import RoundsSource
from kaggle_ray.schedule.source import DeadlineSource, TrialSource
from kaggle_ray.store.run import RunStore
from kaggle_ray.train.context import TrialContext
from kaggle_ray.types import Experiment, TrialResult


@dataclass(frozen=True, kw_only=True, slots=True)
class Trials:
    """Trials of some of a run's experiments, those among them that earlier sessions have run."""

    source: TrialSource
    """Decides which is next, and is told how each ended."""
    experiments: Sequence[Experiment]
    """The experiments that are known before any trial is run."""
    num_folds: int
    """Trials of each experiment."""
    num_resumed: int
    """Results of earlier sessions."""

    @classmethod
    def of(cls, source: TrialSource, experiments: Sequence[Experiment], num_folds: int) -> Trials:
        """Return the trials of a ``source`` that has recorded nothing yet but what earlier sessions have."""
        return cls(source=source, experiments=experiments, num_folds=num_folds, num_resumed=len(source.results))

    @property
    def results(self) -> tuple[TrialResult, ...]:
        """All results so far, those of earlier sessions first."""
        return self.source.results

    @property
    def new_results(self) -> tuple[TrialResult, ...]:
        """Results of this session."""
        return self.results[self.num_resumed :]

    def admitted(self) -> tuple[Experiment, ...]:
        """Return the experiments that may enter the ensemble once they are complete."""
        return self.source.admitted()

    @property
    def has_left(self) -> bool:
        """Whether a launcher has anything to run: to start one takes seconds."""
        if isinstance(self.source, RoundsSource):
            return not self.source.is_over
        return len(self.results) < len(self.experiments) * self.num_folds


@dataclass(frozen=True, kw_only=True, slots=True)
class RunTrials:
    """All cross-validated trials of a run."""

    own: Trials
    """Trials of the experiments that the run tries."""
    added: Trials
    """Trials of experiments that were added to it, which predict with what its own have learnt."""
    is_adding: bool
    """Whether this session adds some, and then runs none of the run's own."""

    @property
    def results(self) -> tuple[TrialResult, ...]:
        """All results so far."""
        return (*self.own.results, *self.added.results)

    @property
    def new_results(self) -> tuple[TrialResult, ...]:
        """Results of this session."""
        return (*self.own.new_results, *self.added.new_results)

    @property
    def is_cut_short(self) -> bool:
        """Whether the clock kept trials from being started or from ending."""
        return any(result.status == "stopped" for result in self.results)

    def left(self) -> list[Trials]:
        """Return what this session is to train, the run's own first."""
        return [each for each in ((self.added,) if self.is_adding else (self.own, self.added)) if each.has_left]


def train_all(plan: RunPlan, store: RunStore, target: Rows, trials: RunTrials, emit: Emit) -> int:
    """Train what is left of a run, as far as there is time before it is ensembled; sum the results up meanwhile.

    Args:
        plan: of the run.
        store: its store.
        target: (N,) or (N, T) of all training rows.
        trials: of the run.
        emit: is told how they get on.

    Returns:
        How many images this process decoded for them.
    """
    num_decoded, emit = 0, warned_once(emit)
    for each in trials.left():
        tell = summing_up(emit, lambda: store.save_summary(trials.results))
        limited = with_time_to_ensemble(plan, target)
        num_decoded += train(limited, each, limited.trial_context(), tell)
    return num_decoded


def train(plan: RunPlan, trials: Trials, context: TrialContext, emit: Emit) -> int:
    """Train the trials that are left, as far as there is time; return how many images this process decoded for them."""
    source = trials.source
    if plan.stop_at is not None:
        source = DeadlineSource(
            source,
            trials.experiments,
            trials.num_folds,
            stop_at=plan.stop_at,
            num_slots=plan.num_slots,
            now=plan.clock.now,
        )
        if plan.clock.now() >= plan.stop_at:
            source.next()  # records each trial that is left as stopped: nothing ends in time any more
            return 0
    cache_dir = default_cache_dir()
    opened = [
        images
        for sides in plan.image_sides
        for open_images in (open_train, open_test, open_masks)
        if (images := open_images(plan.competition, plan.samples, sides, cache_dir)) is not None
    ]
    make_launcher(plan.options.launcher, plan.ray_placement()).run(source, context, emit)
    return sum(images.num_decoded for images in opened)
