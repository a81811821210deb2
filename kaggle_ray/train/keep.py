"""What a trial leaves behind: weights, and predictions with what they depend on.

All ranks predict, and rank 0 writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from safetensors.torch import save

from kaggle_ray.config import Hyperparameters
from kaggle_ray.decide import default_score
from kaggle_ray.rows import select_rows
from kaggle_ray.store.attempt import WEIGHTS_FILE, Attempt, Part, kept_file
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.train.loop import Fit
from kaggle_ray.train.ranks import Ranks
from kaggle_ray.train.run_data import RunData
from kaggle_ray.train.schedules import snapshot_epochs
from kaggle_ray.train.trial_data import TrialData
from kaggle_ray.types import FULL_DATA, Lineage, StoredValues


class Keeper:
    """Keeps what a fit comes to, at its end and at the epochs that may be wanted beside it."""

    def __init__(self, attempt: Attempt, data: TrialData, run_data: RunData, ranks: Ranks) -> None:
        """Write the files of ``attempt``; a rank that is not the first has one, too, and writes nothing."""
        self._attempt = attempt
        self._data = data
        self._run_data = run_data
        self._writes = ranks.rank == 0
        self._predicted_epochs = predicted_epochs_of(data.hyperparameters)
        self._kept_epochs = epochs_kept_of(data.hyperparameters)

    def keep(self, fit: Fit, epoch: int) -> None:
        """Keep weights of an epoch that may be wanted beside those of the end; predictions of what may be a member."""
        if epoch not in self._kept_epochs:
            return
        if self._writes:
            self._attempt.put(kept_file(WEIGHTS_FILE, epoch), save(dict(fit.weights)))
        if epoch in self._predicted_epochs:
            self._put_predictions(fit, epoch)
        if self._writes:  # where the process is killed, whoever goes on from the checkpoint finds them by this
            fit.state.notes[str(epoch)] = asdict(self._attempt.kept(epoch))

    def put(self, fit: Fit) -> float | None:
        """Write what the trial comes to; return the score of the fold's rows if it is honest, on rank 0."""
        lineage = self._lineage(fit, self._attempt.put(WEIGHTS_FILE, save(dict(fit.weights)))) if self._writes else None
        of_parts = self._put_predictions(fit)
        if lineage is None:
            return None
        rows, samples = self._data.fit.valid_rows, self._run_data.samples
        self._attempt.put_manifest(samples.train_ids[rows], samples.test_ids, lineage)
        if not lineage.is_proven:
            return None
        return default_score(
            self._data.fit.metric, select_rows(self._data.fit.target, rows), float_rows(of_parts["valid"])
        )

    def _put_predictions(self, fit: Fit, epoch: int | None = None) -> dict[Part, StoredValues]:
        """Predict on all ranks; write and return the parts on rank 0."""
        found: dict[Part, StoredValues] = {}
        for part, num_rows, blocks in _predict(fit, self._data):
            if self._writes:
                found[part] = self._attempt.put_values(part, blocks, num_rows=num_rows, epoch=epoch)
            else:
                assert not list(blocks), "rank 0 has them"
        return found

    def _lineage(self, fit: Fit, weights_digest: str) -> Lineage:
        data, folds = self._data, self._run_data.folds
        trained_rows = fit.state.trained_rows[: len(folds.sample_ids)].copy()
        for ancestor in data.ancestors:
            trained_rows |= ancestor.trained_rows
        return Lineage(
            folds_digest=folds.digest,
            trained_rows=trained_rows,
            parents=tuple(dict.fromkeys(each for ancestor in data.ancestors for each in ancestor.experiment_ids)),
            epoch_rule=data.hyperparameters.training.epoch_rule,
            is_proven=self._attempt.trial.fold != FULL_DATA
            and data.hyperparameters.why_unproven is None
            and all(ancestor.is_proven for ancestor in data.ancestors),
            started_from=data.started_from,
            weights_digest=weights_digest,
            pseudolabels=data.pseudolabels,
        )


def epochs_kept_of(hyperparameters: Hyperparameters) -> set[int]:
    """Return the epochs whose weights are kept beside those of the end."""
    return predicted_epochs_of(hyperparameters) | set(hyperparameters.training.keep_epochs)


def predicted_epochs_of(hyperparameters: Hyperparameters) -> set[int]:
    """Return the epochs before the last whose predictions may be wanted: ends of cycles, or all that were evaluated."""
    training = hyperparameters.training
    if training.epoch_rule == "other_folds":
        return set(range(training.evaluate_every, training.epochs, training.evaluate_every))
    return set(snapshot_epochs(hyperparameters)) - {training.epochs}


def _predict(fit: Fit, data: TrialData) -> Iterator[tuple[Part, int, Iterator[StoredValues]]]:
    """Yield the parts of a trial's predictions that have rows, each with its number of rows and its blocks."""
    if len(data.fit.valid_rows):
        yield "valid", len(data.fit.valid_rows), fit.predictor.value_blocks(data.fit.inputs, data.fit.valid_rows)
    yield "test", len(data.test_rows), fit.predictor.value_blocks(data.test, data.test_rows)
