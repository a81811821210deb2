"""Pictures of samples with what is predicted of them, for the services that a run is told to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from queue import Queue
from threading import Thread

import numpy as np

from kaggle_ray.combine import Ensemble
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.pool.gather import Pool
from kaggle_ray.report.predicted_sheet import evenly_spaced, sheet_of_test, sheet_of_train
from kaggle_ray.reporters import Emit
from kaggle_ray.reporters.events import Event, SamplesDrawn, TrialEnded
from kaggle_ray.rows import Rows
from kaggle_ray.store.artifacts import save_artifact
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.types import FloatArray, StrArray, Trial

logger = logging.getLogger(__name__)

_MOST_TRIALS = 24
"""Trials of a run that are drawn, each the first fold of an experiment."""
_LONGEST_WAIT_S = 5.0
"""Seconds that the run's end waits for what is being drawn."""

Predicted = tuple[StrArray, Rows]
"""(N,) ids and (N, C) what is predicted of them."""


class SamplePictures:
    """Draws in a thread of its own, so that no trial waits, and tells which pictures there are.

    A picture that fails costs a warning, and never the run.
    """

    def __init__(self, plan: RunPlan, emit: Emit, *, are_shown: bool) -> None:
        """Listen to the run of ``plan``; nothing is drawn where nobody shows it."""
        self._plan, self._emit = plan, emit
        self._num_left = _MOST_TRIALS if are_shown else 0
        self._are_shown = are_shown
        self._trials: Queue[Trial | None] = Queue()
        self._thread = Thread(target=self._draw_trials, name="draw-samples", daemon=True)
        if are_shown:
            self._thread.start()

    def emit(self, event: Event) -> None:
        """Tell of ``event``; where it is a trial that is committed, its samples are drawn soon."""
        self._emit(event)
        match event:
            case TrialEnded(status="committed", trial=trial) if trial.fold == 0 and self._num_left:
                self._num_left -= 1
                self._trials.put(trial)

    def of_ensemble(self, ensemble: Ensemble, pool: Pool) -> None:
        """Draw the samples of the ensemble that was chosen, after those of the trials."""
        if self._are_shown:
            self.finish()
            self._try_to_draw(
                None,
                lambda: (
                    (pool.scored_ids, ensemble.oof),
                    (pool.test_ids, ensemble.apply(pool.test, pool.test_table)),
                ),
            )

    def finish(self) -> None:
        """Wait a few seconds for what is being drawn; no more trials are."""
        self._num_left = 0
        self._trials.put(None)
        if self._are_shown:
            self._thread.join(_LONGEST_WAIT_S)

    def _draw_trials(self) -> None:
        while (trial := self._trials.get()) is not None:
            self._try_to_draw(trial, partial(self._predicted_by, trial))

    def _predicted_by(self, trial: Trial) -> tuple[Predicted, Predicted]:
        store = open_run(self._plan.location)
        result = store.result(trial)
        assert result is not None, "it was told to be committed"
        valid, test = store.predictions(result)
        return (valid.sample_ids, float_rows(valid.values)), (test.sample_ids, float_rows(test.values))

    def _try_to_draw(self, trial: Trial | None, predicted: Callable[[], tuple[Predicted, Predicted]]) -> None:
        try:
            self._draw(trial, *predicted())
        except Exception as error:
            whose = "the ensemble" if trial is None else f"trial {trial}"
            logger.warning("samples of %s are not drawn: %s: %s", whose, type(error).__name__, error)

    def _draw(self, trial: Trial | None, oof: Predicted, test: Predicted) -> None:
        competition, samples = self._plan.competition, self._plan.samples
        blobs = open_run(self._plan.location).blobs
        name = "ensemble" if trial is None else f"{trial.experiment_id}-{trial.rows}"
        of_train = sheet_of_train(competition, samples, *_a_few(oof))
        of_test = sheet_of_test(competition, samples, *_a_few(test))
        self._emit(
            SamplesDrawn(
                trial=trial,
                oof=save_artifact(blobs, f"samples/{name}-oof.jpg", of_train),
                test=save_artifact(blobs, f"samples/{name}-test.jpg", of_test),
            )
        )


@contextmanager
def drawing_samples(plan: RunPlan, emit: Emit, *, are_shown: bool) -> Iterator[SamplePictures]:
    """Yield what draws the samples of a run, where they ``are_shown``; at the end nothing is drawn any more."""
    pictures = SamplePictures(plan, emit, are_shown=are_shown)
    try:
        yield pictures
    finally:
        pictures.finish()


def _a_few(predicted: Predicted) -> tuple[StrArray, FloatArray]:
    ids, values = predicted
    rows = evenly_spaced(len(ids))
    return ids[rows], np.concatenate([values[row : row + 1] for row in rows])
