"""Everything that happens in a run and is worth telling: a frozen dataclass per kind.

Launchers and the pipeline emit these; FanOut puts each into an Envelope, which says of which run it is, and when and
where it happened. A reporter matches on the type. A field that is a Path names a file that belongs to the event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from kaggle_ray.progress import Progress
from kaggle_ray.types import (
    EpochMetrics,
    JsonValue,
    Location,
    Trial,
    TrialMessage,
    TrialResult,
    TrialStatus,
    TrialWarning,
)

InterruptReason = Literal["ctrl-c", "sigterm", "deadline"]
RowKind = Literal["experiment", "member", "ensemble", "baseline"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BoardRow:
    """One line of the leaderboard."""

    name: str
    kind: RowKind
    score: float | None
    """Honest, over all scored rows; None where folds are missing."""
    score_std: float | None = None
    """Standard deviation of the folds' scores."""
    mean_so_far: float | None = None
    """Mean score of the folds that are done, where others are missing: no place on the board is given for it."""
    standard_error: float | None = None
    """Standard error of the score of an ensemble, from which rows there happen to be; None for all else."""
    in_sample: float | None = None
    """Score of an ensemble on the very rows that chose its weights, shown only as optimism; None for all else."""
    weight: float | None = None
    """Weight in the chosen ensemble; None for what is no member."""
    folds_done: int = 0
    """Folds whose trial is committed."""
    num_folds: int = 0
    """Folds of the experiment; 0 for what has none."""
    epochs: int = 0
    """Epochs of each trial."""
    duration_s: float = 0.0
    """Seconds of all trials together."""
    is_submitted: bool = False
    """Whether it is the ensemble that the submission was made of."""
    error: str | None = None
    """Why folds are missing, or why there is no honest score, in one line."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Metric that heads name beside their own -> mean over the folds that are done, after the epoch whose weights
    predict; of an experiment only."""
    notes: str = ""
    """What a person has noted of the experiment."""
    num_parameters: int | None = None
    """Parameters of the experiment's network, the frozen ones included; None before a trial is committed."""
    num_layers: int | None = None
    """Modules of it that have parameters of their own."""
    flops: int | None = None
    """Operations of a forward pass of it, as ``ModelSize`` counts them."""

    def optimism(self, *, greater_is_better: bool) -> float | None:
        """Return how much better the row looks in-sample than it is; negative where it looks worse."""
        if self.in_sample is None or self.score is None:
            return None
        return self.in_sample - self.score if greater_is_better else self.score - self.in_sample


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialStarted:
    """A launcher began an attempt at a trial."""

    trial: Trial


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochEnded:
    """A trial completed an epoch."""

    trial: Trial
    metrics: EpochMetrics


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialProgressed:
    """A trial got on between two epochs, before the first or after the last; told every ten seconds at most."""

    trial: Trial
    progress: Progress
    """Stage, and how far it is in batches, or whatever the stage counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialWarned:
    """A trial met an anomaly, and goes on."""

    trial: Trial
    warning: TrialWarning


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialEnded:
    """A trial ended, well or not."""

    trial: Trial
    status: TrialStatus
    score: float | None
    """The competition's metric of the fold's final predictions; None where there are none."""
    duration_s: float
    """Wall time of the attempt."""
    error: str | None = None
    """One line; set where status is failed."""
    reason: str | None = None
    """Why its source stopped it, in one line; set where status is pruned."""

    @classmethod
    def of(cls, result: TrialResult) -> TrialEnded:
        """Return the event of a trial's result."""
        return cls(
            trial=result.trial,
            status=result.status,
            score=result.score,
            duration_s=result.duration_s,
            error=result.error,
            reason=result.reason,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplesDrawn:
    """A few samples were drawn with what a trial that is committed, or the ensemble, predicts of them."""

    trial: Trial | None
    """Trial whose model predicts; None for the ensemble."""
    oof: str
    """Key of the artifact, a JPEG, of out-of-fold samples."""
    test: str
    """Key of the same of test samples."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStarted:
    """A driver began, or resumed, a run."""

    metric: str
    """Name of the competition's metric."""
    greater_is_better: bool
    """Whether a greater score is the better one."""
    experiments: Mapping[str, str]
    """Experiment id -> name, as far as known now."""
    epochs: Mapping[str, int]
    """Experiment id -> epochs of each of its trials."""
    num_folds: int
    """Folds, hence trials, per experiment."""
    num_experiments: int = 0
    """Experiments that the run is to have, where more are proposed than are known now; 0 where it was not said."""
    ended: tuple[TrialEnded, ...] = ()
    """How the trials ended that are in the store already and are not run again."""
    launcher: str
    """Name of the launcher."""
    num_slots: int
    """Trials that run at a time."""
    run_dir: Location
    """The run's folder, or its URI."""
    how_to_resume: str = ""
    """The command that goes on, should this driver not come to its end; unknown of a run of an earlier version."""
    hyperparameters: Mapping[str, Mapping[str, JsonValue]] = field(default_factory=dict)
    """Experiment id -> name -> value of all its hyperparameters; empty of a run of an earlier version."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Experiment id -> what a person has noted of it, where there is anything."""
    epoch_costs: Mapping[str, float] = field(default_factory=dict)
    """Experiment id -> what an epoch of it costs beside the others, in no unit; those that are not said are as the mean
    of those that are."""
    feature_costs: Mapping[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)
    """Experiment id -> of each of its first epochs: set of features of a frozen part that is taken from then on -> what
    it costs beside the epochs, once for all experiments and folds that take it."""
    weights: Mapping[str, str | None] = field(default_factory=dict)
    """File, address or package of the pretrained weights -> sha256, None where it is no file; what libraries download
    is not among them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RoundBegan:
    """A round of a search added experiments, by the scores of those before; the first begins with the run."""

    number: int
    """0 for the first round."""
    experiments: Mapping[str, str]
    """Experiment id -> name, of those that it adds."""
    epochs: Mapping[str, int]
    """Experiment id -> epochs of each of its trials."""
    hyperparameters: Mapping[str, Mapping[str, JsonValue]] = field(default_factory=dict)
    """Experiment id -> name -> value of all its hyperparameters; empty of a run of an earlier version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparationProgressed:
    """Files were copied, decoded or compared, or predictions combined, apart from trials; once a second at most."""

    progress: Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class RunWarned:
    """Something about the run as a whole that a person should know, and that does not stop it."""

    topic: str
    """What it is about, in a word that stays the same, such as ``near_duplicates``."""
    text: str
    """One line: what, where, and where to read more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DashboardServed:
    """A dashboard of what runs the trials is there to be looked at, as long as they run."""

    url: str
    """Address of the dashboard, for a browser of the machine that it is on."""
    asks_for_token: bool = False
    """Whether it shows nothing before it is told Ray's token, as ``ray get-auth-token`` prints it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaselineScored:
    """A constant prediction was scored and written, before anything is trained."""

    score: float | None
    """Honest score of the constant; None where it has none."""
    submission: Location | None
    """The checked submission file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInterrupted:
    """The run stopped before its last trial."""

    reason: InterruptReason
    """What stopped it."""
    num_committed: int
    """Trials that are safe in the store."""
    num_trials: int
    """Trials of the whole run."""
    how_to_resume: str
    """The command that goes on."""
    how_to_ensemble: str
    """The command that makes a submission of what is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStalled:
    """Nothing was heard of a run for longer than is usual; it may go on by itself."""

    silent_s: float
    """Seconds since the last event."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFailed:
    """The driver gave up with an error; what is committed is safe."""

    error: str
    """What, where, and the next step."""
    how_to_resume: str
    """The command that goes on, once the reason is mended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunKilled:
    """The driver went without a word, killed or with its machine; whoever looked after it tells so."""

    how_to_resume: str
    """The command that goes on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnsembleChosen:
    """The complete experiments were weighted and scored."""

    method: str
    """Name of the combiner that was asked for; ``auto`` where one was to be chosen."""
    weights: Mapping[str, float]
    """Experiment name -> weight."""
    score_honest: float | None
    """The nested score: the figure to believe; None where there is none."""
    score_in_sample: float | None
    """The score on the rows that chose the weights: only good for the optimism."""
    score_full_size: float | None = None
    """The honest score of masks at the size of the files, where they are predicted smaller."""
    combiner: str | None = None
    """Name of the combiner that it is; None in an event of before one could be chosen, where it is the method."""
    standard_error: float | None = None
    """Standard error of the honest score; None where it is not known."""

    @property
    def name(self) -> str:
        """What a person calls it: the method, and where that chooses, what it chose."""
        return self.method if self.combiner in (None, self.method) else f"{self.method}: {self.combiner}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RefitEnded:
    """The ensemble was trained once more on all rows, or was to be."""

    submission: Location | None
    """What it predicts; None where it was not finished."""
    cross_validated_score: float | None
    """Honest score of the cross-validated ensemble with the same weights; no row is left to score the refit by."""
    why_not: str | None = None
    """One line; set where there is no submission."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEnded:
    """The run is complete."""

    submission: Location | None
    """The checked submission file."""
    report: Location | None
    """The HTML report."""
    seconds: float
    """Wall time of this driver."""
    board: tuple[BoardRow, ...]
    """The leaderboard, best first."""
    note: str | None = None
    """What there is to know of its scores."""


Event = (
    PreparationProgressed
    | RunStarted
    | RoundBegan
    | RunWarned
    | BaselineScored
    | DashboardServed
    | TrialStarted
    | TrialProgressed
    | EpochEnded
    | TrialWarned
    | TrialEnded
    | SamplesDrawn
    | RunInterrupted
    | RunStalled
    | RunFailed
    | RunKilled
    | EnsembleChosen
    | RefitEnded
    | RunEnded
)


def event_of(trial: Trial, message: TrialMessage) -> EpochEnded | TrialWarned:
    """Return the event of what a trial tells while it runs."""
    match message:
        case EpochMetrics():
            return EpochEnded(trial=trial, metrics=message)
        case TrialWarning():
            return TrialWarned(trial=trial, warning=message)
