"""Why an experiment was stopped, or was not, by the rounds of its run."""

from __future__ import annotations

from kaggle_ray.counted import counted
from kaggle_ray.errors import StoreError, suggest
from kaggle_ray.schedule.rounds import rounds_from_json
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Experiment


def explain(store: RunStore, wanted: str) -> str:
    """Return in one sentence, with the numbers, what became of an experiment in the run's rounds.

    Args:
        store: of the run.
        wanted: the experiment's name, or its id, or how its id begins.

    Raises:
        StoreError: the run has no such experiment, or several.
    """
    experiment = find_experiment(store, wanted)
    rounds = rounds_from_json(store.rounds())
    if not rounds:
        return f"{experiment.name} was not stopped: the run does not proceed in rounds, and runs every fold of all."
    said = [
        (each.number, each.verdicts[experiment.experiment_id])
        for each in rounds
        if experiment.experiment_id in each.verdicts
    ]
    if not said:
        return f"{experiment.name} was not stopped: there was nothing to compare it with."
    number, verdict = said[-1]
    became = "was stopped" if verdict.is_stopped else "was not stopped"
    return f"{experiment.name} {became} before round {number}: {verdict.text}"


def find_experiment(store: RunStore, wanted: str) -> Experiment:
    """Return the experiment of a run that a person means by its name, its id, or how its id begins.

    Raises:
        StoreError: the run has no such experiment, or several.
    """
    found = experiments_named(store, wanted)
    if len(found) != 1:
        names = [each.name for each in found or store.experiments()]
        which = (
            "is no experiment of it"
            if not found
            else f"are {counted(len(found), 'experiment')} of it: {', '.join(names)}"
        )
        raise StoreError(f"{store.location}: {wanted!r} {which}{suggest(wanted, names) if not found else '.'}")
    return found[0]


def experiments_named(store: RunStore, wanted: str) -> list[Experiment]:
    """Return the experiments of a run that have a name, an id, or an id that begins so; none for an empty text."""
    experiments = store.experiments() if wanted else ()
    return [each for each in experiments if each.name == wanted or each.experiment_id.startswith(wanted)]
