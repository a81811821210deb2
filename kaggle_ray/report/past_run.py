"""A run that is opened again, to be looked at from Python: its board, its curves, what it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from kaggle_ray.combine.saved import chosen_ensemble
from kaggle_ray.errors import ConfigError, IncompleteFoldsError, StoreError, suggest
from kaggle_ray.evaluation.saved import ensemble_evaluation, experiment_evaluation
from kaggle_ray.evaluation.scores import histograms, label_scores
from kaggle_ray.evaluation.selection import Outcome, Selection
from kaggle_ray.evaluation.table import Evaluation
from kaggle_ray.pool.members import Member, MemberPart
from kaggle_ray.report.board import Board
from kaggle_ray.report.collect import board_of
from kaggle_ray.report.explain import find_experiment
from kaggle_ray.report.figures import FEW_EPOCHS, ticks_of
from kaggle_ray.rows import MeanRows
from kaggle_ray.store.opening import open_run as open_store
from kaggle_ray.store.predictions import as_floats
from kaggle_ray.store.record import RunRecord
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import EpochMetrics, Experiment, JsonValue, Location, Trial, TrialResult

if TYPE_CHECKING:
    import plotly.graph_objects

Part = Literal["oof", "test"]
"""Rows that are predicted: out of fold, each by a model that never saw it, or the test rows, by the folds' mean."""


def open_run(run: str | Path) -> PastRun:
    """Open the folder of a run, or its ``s3://`` URI, to look at it; one that is still going on, too.

    >>> import kaggle_ray
    >>> tiny = {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}, "image_size": 8, "epochs": 1}
    >>> result = kaggle_ray.run("digits", experiments=[tiny], launcher="local", reporters=[])
    >>> past = kaggle_ray.open_run(result.run_dir)
    >>> past.predictions().shape == (1437, 10)
    True

    Raises:
        StoreError: there is no run.
    """
    store = open_store(run)
    record = store.known_record()
    return PastRun(store=store, record=record)


@dataclass(frozen=True, kw_only=True, slots=True)
class PastRun:
    """A run as its folder has it. Everything is read when it is asked for, and nothing of the folder is executed.

    >>> import kaggle_ray
    >>> tiny = {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}, "image_size": 8, "epochs": 1}
    >>> past = kaggle_ray.open_run(kaggle_ray.run("digits", experiments=[tiny], launcher="local", reporters=[]).run_dir)
    >>> past.history()[["fold", "epoch"]].to_numpy().tolist()
    [[0, 1], [1, 1], [2, 1], [3, 1], [4, 1]]
    """

    store: RunStore
    record: RunRecord
    """What was run, where, and by which code."""

    @property
    def location(self) -> Location:
        """Where the run is: its folder, or its URI."""
        return Location(self.store.location)

    @property
    def board(self) -> Board:
        """The leaderboard, as far as the run is."""
        return board_of(self.store)

    @property
    def experiments(self) -> dict[str, Experiment]:
        """Name -> experiment, those included that a search has proposed."""
        return {experiment.name: experiment for experiment in self.store.experiments()}

    def label(self, experiment: str, *, name: str | None = None, notes: str | None = None) -> None:
        """Give an experiment a name and notes of your own; its id, and what was computed, stay what they are.

        >>> import kaggle_ray
        >>> tiny = {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}, "image_size": 8, "epochs": 1}
        >>> result = kaggle_ray.run("digits", experiments=[tiny], launcher="local", reporters=[])
        >>> past = kaggle_ray.open_run(result.run_dir)
        >>> past.label("resnet9", name="first try", notes="narrow, to see whether all works")
        >>> list(past.experiments)
        ['first try']

        Args:
            experiment: its name, its id, or how its id begins.
            name: its new name; empty: the one that the run gave it; None: as it is.
            notes: what to note; empty: nothing; None: as they are.

        Raises:
            StoreError: the run has no such experiment, or several.
            ConfigError: another experiment has the name, or it is no line.
        """
        self.store.label(find_experiment(self.store, experiment).experiment_id, name=name, notes=notes)

    def history(self) -> pd.DataFrame:
        """Return a row per experiment, fold and epoch, with the fields of ``EpochMetrics``: losses, score, lr, ...

        Metrics that heads name beside their own have two columns each, such as ``valid_auc`` and ``train_auc``.
        """
        rows = [
            {"experiment": name, "fold": result.trial.fold, **_columns(metrics)}
            for name, experiment in self.experiments.items()
            for result in self._results(experiment)
            for metrics in result.history
        ]
        return pd.DataFrame(rows)

    def learning_curves(self, quantity: str = "score") -> plotly.graph_objects.Figure:
        """Return a figure of a column of ``history`` by epoch: a line per fold, a colour per experiment."""
        import plotly.express as px

        title, history = self.record.metric if quantity == "score" else quantity, self.history()
        last = int(history["epoch"].max()) if len(history) else 0
        figure = px.line(
            history, x="epoch", y=quantity, color="experiment", line_group="fold", labels={quantity: title},
            markers=last < FEW_EPOCHS,  # a line of one epoch is nothing to be seen
        )  # fmt: skip
        return figure.update_xaxes(ticks_of(last))

    def predictions(self, experiment: str | None = None, *, of: Part = "oof") -> pd.DataFrame:
        """Return what an experiment, or by default the submitted ensemble, predicts: a row per id, sorted by it.

        There is a column per class, or one for the second of two classes or a number; those of several heads are
        numbered.

        Args:
            experiment: name or id; None for the ensemble.
            of: ``oof``: each training row by models that never saw it, those of an ensemble with its final weights;
                ``test``: the test rows, by the mean over the folds' models.

        Raises:
            ConfigError: there is no such experiment, or what is predicted are masks.
            StoreError: there is no ensemble yet.
            IncompleteFoldsError: a fold of it is not committed.
        """
        if experiment is not None:
            return self._named(self._of_member(self._alone(experiment), of))
        ensemble = chosen_ensemble(self.store)
        if ensemble is None:
            raise StoreError(f"{self.location}: has no ensemble yet. Name an experiment, or let the run end.")
        of_models = {member.member_id: self._models_of(member, of) for member in ensemble.weighted_members}
        ids = next(iter(of_models.values()))[0].index.sort_values()
        values = {
            member_id: MeanRows(_mean(frames).loc[ids].to_numpy(), tuple(frame.loc[ids].to_numpy() for frame in frames))
            for member_id, frames in of_models.items()
        }
        return self._named(pd.DataFrame(ensemble.combine().predict(values)[:], index=ids))

    def evaluation(
        self,
        experiment: str | None = None,
        *,
        outcome: Outcome | None = None,
        label: str | None = None,
        combination: str | None = None,
        probability: tuple[float, float] | None = None,
        head: str | None = None,
    ) -> pd.DataFrame:
        """Return a row per scored row: id, fold, truth, answer, what is predicted, loss; those that meet conditions.

        Each is predicted by models, weights and a rule that never saw it, as the honest score has it. Classes and
        labels have a probability each, numbers the prediction, and masks the sizes, Dice and IoU. The loss is
        -ln P(class), of labels the mean over them, of numbers the square of the error, of masks 1 - Dice.

        Args:
            experiment: name or id; None for the submitted ensemble.
            outcome: ``right`` or ``wrong``; or of ``label``, in a binary task of the second class, ``true_positive``,
                ``false_positive``, ``true_negative`` or ``false_negative``.
            label: class or label that is meant; without an outcome, the rows that truly have it.
            combination: labels, with blanks between, that a row has to have, and no others.
            probability: lowest and highest of the label, or of the surest answer; of masks the Dice.
            head: that is meant, by default the first one.

        Raises:
            ConfigError: there is no such experiment, label or head, or a condition does not suit the task.
            StoreError: the run keeps no rows: it has no ensemble with an honest score, or is of an earlier version.
        """
        selection = Selection(outcome=outcome, label=label, combination=combination, probability=probability, head=head)
        return selection.of(self.evaluated(experiment)).to_frame()

    def label_scores(self, experiment: str | None = None, *, head: str | None = None) -> pd.DataFrame:
        """Return a row per class or label: counts, outcomes, precision, recall, F1, F2, AUC and average precision.

        Args:
            experiment: name or id; None for the submitted ensemble.
            head: of classes or labels, by default the first one.
        """
        return label_scores(self.evaluated(experiment).labels(head))

    def histograms(self, experiment: str | None = None, *, head: str | None = None, num_bins: int = 20) -> pd.DataFrame:
        """Return a row per label and bin of its probability, with how many rows there have the label, or lack it.

        Args:
            experiment: name or id; None for the submitted ensemble.
            head: of classes or labels, by default the first one.
            num_bins: from 0 to 1.
        """
        return histograms(self.evaluated(experiment).labels(head), num_bins=num_bins)

    def evaluated(self, experiment: str | None = None) -> Evaluation:
        """Return what ``evaluation`` is a table of.

        Args:
            experiment: name or id; None for the submitted ensemble.

        Raises:
            ConfigError: there is no such experiment, or it predicts masks, which are kept of the ensemble alone.
            StoreError: the run keeps no rows.
        """
        if experiment is None:
            return ensemble_evaluation(self.store)
        member = self._alone(experiment)
        values = self._of_member(member, "oof").to_numpy()
        return experiment_evaluation(self.store, member.member_id, member.name, values)

    def _alone(self, name: str) -> Member:
        by_id = {experiment.experiment_id: experiment for experiment in self.experiments.values()}
        experiment = self.experiments.get(name) or by_id.get(name)
        if experiment is None:
            raise ConfigError(f"{self.location}: has no experiment {name!r}{suggest(name, self.experiments)}")
        chosen = chosen_ensemble(self.store)
        for member in () if chosen is None else chosen.members:
            if member.member_id == experiment.experiment_id:  # which tells whose epochs were chosen
                return member
        part = MemberPart(experiment_id=experiment.experiment_id, epochs=(None,) * self.record.num_folds)
        return Member(member_id=experiment.experiment_id, name=experiment.name, parts=(part,))

    def _of_member(self, member: Member, of: Part) -> pd.DataFrame:
        return _mean(self._models_of(member, of))

    def _models_of(self, member: Member, of: Part) -> list[pd.DataFrame]:
        """Return what each of a member's models predicts of all rows; out of fold those of one seed are one."""
        return [frame for part in member.parts for frame in self._of_part(part, of, name=member.name)]

    def _of_part(self, part: MemberPart, of: Part, *, name: str) -> list[pd.DataFrame]:
        frames: list[pd.DataFrame] = []
        for fold, epoch in enumerate(part.epochs):
            result = self.store.result(Trial(experiment_id=part.experiment_id, fold=fold))
            if result is None or result.status != "committed":
                raise IncompleteFoldsError(f"{self.location}: {name}: fold {fold} is not committed.")
            valid, test = self.store.predictions(result, epoch=epoch)
            chosen = valid if of == "oof" else test
            if chosen.values.dtype == np.uint8:
                raise ConfigError(
                    f"{self.location}: {name} predicts masks, which are no table. kaggle-ray evaluate, without "
                    f"--experiment, tells how good the ensemble's are, and draws them with --gallery."
                )
            values = as_floats(chosen.values).astype(np.float64)
            frames.append(pd.DataFrame(values, index=pd.Index(chosen.sample_ids, name="sample_id")))
        return [pd.concat(frames).sort_index()] if of == "oof" else frames

    def _results(self, experiment: Experiment) -> list[TrialResult]:
        trials = (Trial(experiment_id=experiment.experiment_id, fold=fold) for fold in range(self.record.num_folds))
        return [result for trial in trials if (result := self.store.result(trial)) is not None]

    def _named(self, frame: pd.DataFrame) -> pd.DataFrame:
        classes = self.record.classes
        if len(self.record.classes_of_heads) <= 1 and len(frame.columns) == len(classes):
            return frame.set_axis(list(classes), axis="columns")
        if len(frame.columns) == 1:
            return frame.set_axis([classes[1] if len(classes) == 2 else "value"], axis="columns")
        return frame

    def __repr__(self) -> str:
        """Return where the run is, and its board as text."""
        from rich.console import Console

        console = Console(width=120, color_system=None, force_terminal=False)
        with console.capture() as capture:
            console.print(self.board.table())
        return f"{self.location}\n{capture.get()}"

    def _repr_html_(self) -> str:
        """Return the board as an HTML table."""
        return self.board._repr_html_()


def _columns(metrics: EpochMetrics) -> dict[str, JsonValue]:
    """Return what an epoch measured, by the names of columns."""
    measured = asdict(metrics)
    of_valid, of_train = measured.pop("metrics"), measured.pop("train_metrics")
    measured |= {f"valid_{name}": score for name, score in of_valid.items()}
    return measured | {f"train_{name}": score for name, score in of_train.items()}


def _mean(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the mean of predictions of the same rows, joined by id."""
    total = reduce(lambda left, right: left + right.loc[left.index], frames)
    return (total / len(frames)).sort_index()
