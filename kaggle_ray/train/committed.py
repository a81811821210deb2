"""What a trial takes from the committed trials of other experiments, on the same fold."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from safetensors.torch import load
from torch import Tensor

from kaggle_ray.errors import StoreError
from kaggle_ray.store.run import RunStore
from kaggle_ray.train.trial_data import Ancestor
from kaggle_ray.types import Experiment, Trial, TrialResult


class CommittedTrials:
    """The experiments of a run, and the results of those of their trials that are committed."""

    def __init__(self, location: str, store: RunStore) -> None:
        """Nothing is read before it is asked for; ``location`` names the run in messages."""
        self._location = location
        self._store = store
        self._experiments: dict[str, Experiment] = {}

    def experiment(self, trial: Trial) -> Experiment:
        """Return the experiment of ``trial``, which is read once. Raises StoreError where the run has none such."""
        if (known := self._experiments.get(trial.experiment_id)) is not None:
            return known
        if self._store.record() is None:
            raise StoreError(
                f"{self._location}: {socket.gethostname()} sees no run.json there. On a cluster the run's "
                f"folder has to be on a disk that all machines share, under the same path: name one with --runs."
            )
        for experiment in self._store.experiments():
            if experiment.experiment_id == trial.experiment_id:
                return self._experiments.setdefault(trial.experiment_id, experiment)
        raise StoreError(f"{self._location}: has no experiment {trial.experiment_id}.")

    def result(self, trial: Trial) -> TrialResult:
        """Return the result of ``trial``. Raises StoreError where it is not committed."""
        result = self._store.result(trial)
        if result is None or result.status != "committed":
            raise StoreError(f"{trial}: is needed first, and is not committed.")
        return result

    def ancestor(self, trial: Trial, experiment_id: str) -> Ancestor:
        """Return what ``trial`` inherits from the same fold of another experiment."""
        result = self.result(Trial(experiment_id=experiment_id, fold=trial.fold))
        lineage = self._store.lineage(result)
        return Ancestor(
            experiment_ids=(*lineage.parents, experiment_id),
            trained_rows=lineage.trained_rows,
            is_proven=lineage.is_proven,
            started_from=lineage.started_from,
        )

    def weights(self, trial: Trial, experiment_id: str) -> Mapping[str, Tensor]:
        """Return the weights of the same fold of another experiment."""
        result = self.result(Trial(experiment_id=experiment_id, fold=trial.fold))
        weights: Mapping[str, Tensor] = load(self._store.weights(result))
        return weights
