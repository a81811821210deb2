"""What a run will do, resolved before anything is trained: experiments, folds, settings and where it all goes."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kaggle_ray.cache.folder import cache_variables, default_cache_dir
from kaggle_ray.combine import COMBINERS
from kaggle_ray.config import Search, parse_hyperparameters
from kaggle_ray.config.clock import SteadyClock
from kaggle_ray.config.settings import Machine, Settings
from kaggle_ray.config.sources import SourceBundle
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.duplicate_groups import NearDuplicates
from kaggle_ray.data.opening import load_competition
from kaggle_ray.data.reading import Reading
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.staging import StagedData
from kaggle_ray.errors import ConfigError
from kaggle_ray.given import to_import
from kaggle_ray.launch.by_name import joins_cluster
from kaggle_ray.launch.placement import RayPlacement
from kaggle_ray.pipeline.execution import settings_of
from kaggle_ray.pipeline.experiments import labels_of, make_experiments
from kaggle_ray.pipeline.identity import identity_of, run_id
from kaggle_ray.pipeline.known_names import check_known
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.pipeline.tried import what_is_tried
from kaggle_ray.pipeline.used_rows import open_files, used_rows
from kaggle_ray.s3 import credentials
from kaggle_ray.store.labels import Label
from kaggle_ray.store.opening import check_is_no_run, open_run, place_of
from kaggle_ray.store.record import RunIdentity
from kaggle_ray.store.run import FAST_DEV, RunStore
from kaggle_ray.submission.submit import Submitter
from kaggle_ray.train.content import Content, content_of
from kaggle_ray.train.context import TrialContext
from kaggle_ray.types import Experiment, Folds

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPlan:
    """A run that is ready to be started or resumed."""

    options: RunOptions
    """What the user said; what it comes to on this machine and with these files is below."""
    competition: Competition
    competition_file: Path
    data: str
    """The folder or URI that the user named."""
    staged: StagedData
    """Where the files are on this machine."""
    unreadable: Mapping[str, str]
    """Files that are left out, relative to ``data_dir`` -> why."""
    begins_anew: bool
    """Whether what its folder has is removed first: of an earlier fast-dev run, or of a try that met such files."""
    near_duplicates: NearDuplicates
    """The near-duplicates that the folds were made with."""
    num_decoded: int
    """Images that had to be decoded to find them."""
    samples: Samples
    folds: Folds
    experiments: tuple[Experiment, ...]
    """The experiments of the command; none where a search proposes them."""
    search: Search | None
    examples: tuple[Experiment, ...]
    """What is looked at before anything is trained: the experiments, or those at the ends of what a search draws."""
    labels: Mapping[str, Label]
    """Experiment id -> name and notes that the space has of it."""
    content: Content
    """What they are trained on."""
    settings: Settings
    num_slots: int
    run_id: str
    location: str
    """Where the run is, for ``open_run``."""
    clock: SteadyClock
    """Clock that tells the time for ``stop_at`` and ``ends_at``, from when the plan was begun."""
    stop_at: float | None
    """Seconds since the Unix epoch after which no trial goes on."""
    ends_at: float | None
    """Seconds since the Unix epoch by which the submission is to be written; None without a limit."""
    only_ids: frozenset[str] | None
    """Ids of the samples that a fast-dev run is cut to; None is a real run."""

    @property
    def data_dir(self) -> Path:
        """The folder of the competition's files on this machine."""
        return self.staged.folder

    @property
    def reading(self) -> Reading:
        """How the values of images and masks are read."""
        assert self.competition.reading is not None, "the plan has found it out"
        return self.competition.reading

    @property
    def identity(self) -> RunIdentity:
        """What has to be the same whenever the run is resumed."""
        return identity_of(
            self.competition.name, self.experiments, self.folds, self.settings, self.content, self.search
        )

    def trial_context(self) -> TrialContext:
        """Return what a trial's process needs to know of the run."""
        return TrialContext(
            sources=SourceBundle.of(self.competition_file),
            data=self.data,
            location=self.location,
            settings=self.settings,
            clock=self.clock,
            stop_at=self.stop_at,
            folds=self.competition.folds if self.options.deals_folds else None,
            checkpoint_every_s=self.options.checkpoint_every_s,
            only_ids=self.only_ids,
            metrics=tuple(self.options.metrics or ()),
            cache_variables=cache_variables(),
            given=to_import(),
            credentials=credentials(),
        )

    def ray_placement(self) -> RayPlacement:
        """Return where Ray runs the run's trials, and how many at once."""
        options = self.options
        return RayPlacement(
            num_slots=self.num_slots,
            most_at_once=options.num_slots,
            gpus_per_trial=options.gpus_per_trial,
            address=options.address,
            dashboard=options.dashboard,
            results_folder=Path(options.tune_results) if options.tune_results else None,
        )

    def submitter(self, store: RunStore) -> Submitter:
        """Return who writes the run's submissions into ``store``."""
        return Submitter(
            competition=self.competition,
            test_ids=self.samples.test_ids,
            data_dir=self.data_dir,
            only_ids=self.only_ids,
            store=store,
        )

    @property
    def num_trials(self) -> int:
        """Experiments times folds; a search in a small space may end with fewer."""
        return self.num_experiments * self.folds.num_folds

    @property
    def num_experiments(self) -> int:
        """Experiments of the command and those that the search is to propose."""
        return len(self.experiments) + (self.search.num_experiments if self.search else 0)

    @staticmethod
    def epochs_of(experiment: Experiment) -> int:
        """Return how many epochs each trial of an experiment trains."""
        return parse_hyperparameters(experiment.hyperparameters, where=experiment.name).training.epochs

    @property
    def is_fast_dev(self) -> bool:
        """Whether nothing is to be learnt but that all of it works."""
        return self.only_ids is not None

    @property
    def image_sides(self) -> tuple[tuple[int, int], ...]:
        """The heights and widths in pixels that images are decoded to, ascending."""
        hyperparameter_sets = [parse_hyperparameters(e.hyperparameters, where=e.name) for e in self.examples]
        return tuple(sorted({hyperparameters.images.decoded_sides for hyperparameters in hyperparameter_sets}))


def make_plan(options: RunOptions) -> RunPlan:
    """Return the plan of a run; nothing is written but the files of a competition that carries them itself.

    Where the run folder exists, what the user leaves open is taken from it: settings, and experiments.

    Raises:
        ConfigError: an unknown competition, space, hyperparameter or value.
        DataError: the competition's files are missing or contradict each other.
        FoldsError: the rows cannot be assigned to folds, or are not those that the run was started with.
    """
    clock = SteadyClock()
    declared, competition_file = load_competition(options.competition)
    COMBINERS.check(options.ensemble)
    check_is_no_run(options.runs)
    options = _in_this_process(options) if options.fast_dev else options
    started = _named_run(options, declared.name)
    record = started.record() if started else None
    machine = dataclasses.replace(Machine.here(), joins_cluster=joins_cluster(options.launcher, options.address))
    settings = settings_of(options, machine, record)
    tried = what_is_tried(options, declared, settings, record)
    check_known(tried.hyperparameter_sets, default_cache_dir())
    files = open_files(declared, options)
    used = used_rows(files, tried.hyperparameter_sets, options, started)
    split = used.split
    content = content_of(
        used.competition, competition_file, split.samples, split.folds, split.near_duplicates,
        used.hyperparameter_sets, data_dir=files.staged.folder, cache_dir=default_cache_dir(),
    )  # fmt: skip
    examples = make_experiments(used.hyperparameter_sets, content)
    experiments = examples if tried.search is None else ()
    name = options.run_id or run_id(experiments, settings, tried.search, content)
    name = f"{FAST_DEV}-{name}" if options.fast_dev else name
    return RunPlan(
        options=options,
        competition=used.competition,
        competition_file=competition_file,
        data=files.data,
        staged=files.staged,
        unreadable=used.left_out.reasons,
        begins_anew=options.fast_dev or used.left_out.begins_anew,
        near_duplicates=split.near_duplicates,
        num_decoded=split.num_decoded,
        samples=split.samples,
        folds=split.folds,
        experiments=experiments,
        search=tried.search,
        examples=examples,
        labels=labels_of(examples, used.hyperparameter_sets, tried.texts),
        content=content,
        settings=settings,
        num_slots=_num_slots(options, machine, settings),
        run_id=name,
        location=place_of(options.runs, declared.name, name),
        clock=clock,
        stop_at=options.stop_at(now=clock.began_at),
        ends_at=options.ends_at(now=clock.began_at),
        only_ids=used.only_ids,
    )


def _named_run(options: RunOptions, competition: str) -> RunStore | None:
    """Return the run that the user names, which may not be begun yet; None of one that is named by what it computes."""
    if options.run_id is None:
        return None
    return open_run(place_of(options.runs, competition, _checked_run_id(options.run_id)))


def _num_slots(options: RunOptions, machine: Machine, settings: Settings) -> int:
    """Return how many trials run at once."""
    if options.launcher == "local":  # this process runs one after the other
        return 1
    return options.num_slots or machine.num_slots(settings, gpus_per_trial=options.gpus_per_trial)


def _in_this_process(options: RunOptions) -> RunOptions:
    """Return a fast-dev run's options, no other process at work. Raise ConfigError for one that contradicts it."""
    given = {"run_id": options.run_id, "budget": options.budget, "deadline": options.deadline}
    for name, value in given.items():
        if value is not None:
            raise ConfigError(
                f"--fast-dev with --{name.replace('_', '-')}: it takes seconds, in a folder of its own that is "
                f"started anew each time. Leave --{name.replace('_', '-')} out."
            )
    own_process = {
        "processes": None, "gpus_per_trial": 1.0, "loader_workers": None, "compile": None, "dashboard": False,
        "tune_results": None,
    }  # fmt: skip
    for name, default in own_process.items():
        if getattr(options, name) and getattr(options, name) != default:
            logger.warning("--fast-dev: %s is ignored, since breakpoints work in this process alone", name)
    if not isinstance(options.launcher, str):
        logger.warning("--fast-dev: the launcher is ignored, since breakpoints work in this process alone")
    return dataclasses.replace(options, **own_process, launcher="local", num_slots=1)  # type: ignore[arg-type]


def _checked_run_id(run_id: str) -> str:
    if not run_id or not all(letter.isalnum() or letter in "-_." for letter in run_id) or run_id.startswith("."):
        raise ConfigError(f"--run-id {run_id!r}: expected letters, digits, '-', '_' and '.', not starting with '.'.")
    if run_id.startswith(FAST_DEV):
        raise ConfigError(f"--run-id {run_id!r}: such names are those of --fast-dev runs, which are not resumed.")
    return run_id
