"""The experiments of a run: those of its command, those that rounds propose, those that are added when it is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kaggle_ray.errors import CorruptBlobError, StoreError
from kaggle_ray.store.added import read_added, write_added
from kaggle_ray.store.blobs import Blobs
from kaggle_ray.store.labels import Label, labelled, read_labels, write_label
from kaggle_ray.store.record import RunRecord
from kaggle_ray.store.schema import encode, experiment_to_json
from kaggle_ray.store.trials import RUN_FILE, TrialStore, why_no_run
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import Experiment, JsonValue
from kaggle_ray.untrusted import PathPart


class ExperimentStore(TrialStore):
    """What the trials of a run are of."""

    def __init__(self, blobs: Blobs) -> None:
        """Use ``open_run``. Nothing is written until something is put."""
        super().__init__(blobs)
        self._proposed: dict[str, Experiment] = {}  # read once: what an id stands for is final

    def record(self) -> RunRecord | None:
        """Return what run.json says, None before the run was begun."""
        value = self._json(RUN_FILE)
        return None if value is None else from_json(RunRecord, value, where=self._at(RUN_FILE))

    def known_record(self) -> RunRecord:
        """Return what run.json says.

        Raises:
            StoreError: there is none: it is no run.
        """
        record = self.record()
        if record is None:
            raise StoreError(why_no_run(self.blobs))
        return record

    def save_experiment(self, experiment: Experiment) -> None:
        """Save what an experiment id stands for."""
        self.blobs.put_if_absent(
            f"trials/{experiment.experiment_id}/experiment.json", encode(experiment_to_json(experiment))
        )

    def experiments(self) -> tuple[Experiment, ...]:
        """Return the run's experiments: those of the command, those that rounds proposed, those that were added.

        There are none before the run was begun. Those that a person has named have that name.

        Raises:
            StoreError: a round, or added.json, names an experiment that was not saved.
        """
        return labelled(self.unlabelled_experiments(), self.labels())

    def labels(self) -> dict[str, Label]:
        """Return experiment id -> its own name and notes, of those that a person has given any."""
        return read_labels(self.blobs)

    def label(self, experiment_id: str, *, name: str | None = None, notes: str | None = None) -> None:
        """Keep a name and notes of one's own of an experiment, as ``write_label`` does."""
        write_label(self.blobs, self.unlabelled_experiments(), experiment_id, name=name, notes=notes)

    def unlabelled_experiments(self) -> tuple[Experiment, ...]:
        """Return the run's experiments by the names that the run gave them."""
        record = self.record()
        known = {each.experiment_id: each for each in record.experiments} if record else {}
        for number, decided in enumerate(self.rounds()):
            for proposed in from_json(list[PathPart], decided["proposed"], where=self._at(f"rounds/{number}.json")):
                if proposed not in known:
                    known[proposed] = self._experiment(proposed, by="a round has proposed it")
        for added in read_added(self.blobs):
            if added not in known:
                known[added] = self._experiment(added, by="it was added to the run")
        return tuple(known.values())

    def add(self, experiments: Sequence[Experiment]) -> None:
        """Add experiments to those of the run, which stays what it is: they predict with weights that it has."""
        for experiment in experiments:
            self.save_experiment(experiment)
        before = read_added(self.blobs)
        write_added(self.blobs, tuple(dict.fromkeys([*before, *(each.experiment_id for each in experiments)])))

    def added(self) -> tuple[Experiment, ...]:
        """Return the experiments that were added, by the names that the run has for them."""
        ids = set(read_added(self.blobs))
        return tuple(each for each in self.experiments() if each.experiment_id in ids) if ids else ()

    def save_round(self, number: int, decided: Mapping[str, JsonValue]) -> None:
        """Save what a round decided, before anything depends on it; the first stays.

        Its ``proposed`` are the ids of the experiments that it adds, each of which is saved already.
        """
        self.blobs.put_if_absent(f"rounds/{number}.json", encode(decided))

    def rounds(self) -> tuple[dict[str, JsonValue], ...]:
        """Return what each round decided, the first one first; none in a run that has no rounds."""
        found: list[dict[str, JsonValue]] = []
        while (decided := self._json(f"rounds/{len(found)}.json")) is not None:
            found.append({"proposed": [], **decided})
        return tuple(found)

    def _experiment(self, experiment_id: str, *, by: str) -> Experiment:
        if experiment_id in self._proposed:
            return self._proposed[experiment_id]
        key = f"trials/{experiment_id}/experiment.json"
        if (value := self._json(key)) is None:
            raise StoreError(f"{self._at(key)}: is missing, and {by}.")
        experiment = from_json(Experiment, value, where=self._at(key))
        if experiment.experiment_id != experiment_id:
            raise CorruptBlobError(f"{self._at(key)}: is experiment {experiment.experiment_id}.")
        self._proposed[experiment_id] = experiment
        return experiment
