"""Runs one trial from the store to its commit: what every launcher calls, in whatever process."""

from __future__ import annotations

import logging
import os
import time
from bdb import BdbQuit
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import asdict

from safetensors.torch import save

from kaggle_ray.cache.folder import adopt_variables
from kaggle_ray.config import Hyperparameters
from kaggle_ray.decide import default_score
from kaggle_ray.errors import UnusableCheckpointError
from kaggle_ray.rows import select_rows
from kaggle_ray.store.attempt import WEIGHTS_FILE, Attempt, KeptFiles, Part, kept_file
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.train.anomalies import Warn
from kaggle_ray.train.checkpoint import Cadence, Checkpoints, NoCheckpoints, StoredCheckpoints, restoring
from kaggle_ray.train.context import TrialContext
from kaggle_ray.train.failures import named_error, policy_of, reason_of
from kaggle_ray.train.loop import Fit
from kaggle_ray.train.peers import Peers
from kaggle_ray.train.predict_only import predict_only
from kaggle_ray.train.ranks import ALONE, Ranks
from kaggle_ray.train.run_data import RunData, TrialData
from kaggle_ray.train.schedules import snapshot_epochs
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import (
    FULL_DATA,
    EpochMetrics,
    Lineage,
    StoredValues,
    Trial,
    TrialMessage,
    TrialResult,
    TrialWarning,
)

logger = logging.getLogger(__name__)


class TrialRunner:
    """Runs trials one after the other in this process; what they share is loaded once."""

    def __init__(self, context: TrialContext) -> None:
        """Nothing is loaded, and no other process started, before the first trial."""
        adopt_variables(context.cache_variables)
        self._context = context
        self._store = open_run(context.location)
        self._data = RunData(context, self._store)
        self._peers = None if context.settings.world_size == 1 else Peers(context, follow)

    def run(self, trial: Trial) -> Generator[TrialMessage, None, TrialResult]:
        """Train, predict and commit ``trial``; the generator's value is the result.

        Nothing is trained where another experiment's weights predict. Otherwise it yields what each epoch measured,
        before it the warnings of that epoch, and before a failure those that may say why. A trial that cannot go on
        from its checkpoint says so, and begins anew.

        An error of the trial's own becomes a failed result, so that the others go on; it is committed where the policy
        of ``failures`` says that it would repeat itself.
        """
        attempt = self._store.attempt(trial)
        started = time.perf_counter()
        history: list[EpochMetrics] = []
        warnings: list[TrialWarning] = []
        ended = False
        try:
            result = yield from self._resumed_or_begun_anew(trial, attempt, history, warnings, started)
            ended = result.status == "committed"
            return result
        except BdbQuit:  # whoever leaves a debugger means the run
            raise KeyboardInterrupt from None
        except Exception as caught:
            yield from _taken(warnings)
            # No other name for it here: the error knows this frame, and would keep all of the trial's tensors with it.
            return self._failed(caught, trial, attempt, history, started)
        finally:
            if self._peers is not None and not ended:
                self._peers.kill()

    def _failed(
        self, caught: Exception, trial: Trial, attempt: Attempt, history: list[EpochMetrics], started: float
    ) -> TrialResult:
        error = named_error(caught if self._peers is None else self._peers.reason(caught))
        repeats_itself = policy_of(error).repeats_itself
        if not repeats_itself:
            logger.error("trial %s failed", trial, exc_info=error)
        failed = TrialResult(
            trial=trial,
            status="failed",
            attempt_id=attempt.attempt_id,
            history=tuple(history),
            duration_s=time.perf_counter() - started,
            process_id=os.getpid(),
            error=reason_of(error),
        )
        return attempt.commit(failed) if repeats_itself else failed

    def close(self) -> None:
        """End the processes that trained with this one."""
        if self._peers is not None:
            self._peers.kill()

    def _resumed_or_begun_anew(
        self,
        trial: Trial,
        attempt: Attempt,
        history: list[EpochMetrics],
        warnings: list[TrialWarning],
        started: float,
    ) -> Generator[TrialMessage, None, TrialResult]:
        try:
            return (yield from self._run(trial, attempt, history, warnings, started))
        except UnusableCheckpointError as unusable:  # nothing was trained or put yet
            text = f"{unusable} It begins anew."
        yield TrialWarning(topic="unusable_checkpoint", text=text, epoch=1)
        self._store.remove_checkpoint(trial)
        if self._peers is not None:  # they wait for this process where it gave up
            self._peers.kill()
        return (yield from self._run(trial, attempt, history, warnings, started))

    def _run(
        self,
        trial: Trial,
        attempt: Attempt,
        history: list[EpochMetrics],
        warnings: list[TrialWarning],
        started: float,
    ) -> Generator[TrialMessage, None, TrialResult]:
        trained = self._data.trained_elsewhere(trial)
        if trained is not None:  # by this process alone, as the bits do not depend on who predicts
            return predict_only(attempt, trained, self._data, self._store, self._context.settings)
        ranks = ALONE if self._peers is None else self._peers.begin(trial)
        data = self._data.of_trial(trial)
        checkpoints = StoredCheckpoints(self._store, trial)
        fit = _fit(
            data,
            self._context,
            ranks,
            checkpoints,
            lambda fit, epoch: self._keep(attempt, fit, data, epoch),
            warnings.append,
        )
        with restoring():
            attempt.adopt([from_json(KeptFiles, note, where="checkpoint: notes") for note in fit.notes.values()])
        num_resumed = fit.num_resumed
        with closing(fit.epochs()) as epochs:
            for metrics in epochs:
                history.append(metrics)
                yield from _taken(warnings)
                yield metrics
                if self._is_late() and len(history) < data.hyperparameters.training.epochs:
                    fit.save()
                    return TrialResult(
                        trial=trial, status="stopped", attempt_id=attempt.attempt_id, history=tuple(history),
                        num_resumed=num_resumed, duration_s=time.perf_counter() - started, num_decoded=data.num_decoded,
                        process_id=os.getpid(),
                    )  # fmt: skip
        score = self._put_predictions(trial, attempt, fit, data)
        if self._peers is not None:
            self._peers.end()
        return attempt.commit(
            TrialResult(
                trial=trial,
                status="committed",
                attempt_id=attempt.attempt_id,
                history=tuple(history),
                epoch=fit.epoch,
                num_resumed=num_resumed,
                score=score,
                duration_s=time.perf_counter() - started,
                num_decoded=data.num_decoded,
                process_id=os.getpid(),
            )
        )

    def _put_predictions(self, trial: Trial, attempt: Attempt, fit: Fit, data: TrialData) -> float | None:
        """Write weights, predictions and what they depend on; return the score of the fold's rows if it is honest."""
        trained_rows = fit.trained_rows.copy()
        for ancestor in data.ancestors:
            trained_rows |= ancestor.trained_rows
        lineage = Lineage(
            folds_digest=self._data.folds.digest,
            trained_rows=trained_rows,
            parents=tuple(dict.fromkeys(each for ancestor in data.ancestors for each in ancestor.experiment_ids)),
            epoch_rule=data.hyperparameters.training.epoch_rule,
            is_proven=trial.fold != FULL_DATA
            and data.hyperparameters.why_unproven is None
            and all(ancestor.is_proven for ancestor in data.ancestors),
            started_from=data.started_from,
            weights_digest=attempt.put(WEIGHTS_FILE, save(dict(fit.weights))),
        )
        rows, samples = data.fit.valid_rows, self._data.samples
        of_parts = {
            part: attempt.put_values(part, blocks, num_rows=num_rows) for part, num_rows, blocks in _predict(fit, data)
        }
        attempt.put_manifest(samples.train_ids[rows], samples.test_ids, lineage)
        if not lineage.is_proven:
            return None
        return default_score(data.fit.metric, select_rows(data.fit.target, rows), float_rows(of_parts["valid"]))

    def _keep(self, attempt: Attempt, fit: Fit, data: TrialData, epoch: int) -> None:
        """Keep weights and predictions of an epoch that may be wanted beside those of the end."""
        if epoch not in kept_epochs_of(data.hyperparameters):
            return
        attempt.put(kept_file(WEIGHTS_FILE, epoch), save(dict(fit.weights)))
        for part, num_rows, blocks in _predict(fit, data):
            attempt.put_values(part, blocks, num_rows=num_rows, epoch=epoch)
        # Where the process is killed, whoever goes on from the checkpoint finds them by this.
        fit.notes[str(epoch)] = asdict(attempt.kept(epoch))

    def _is_late(self) -> bool:
        return self._context.stop_at is not None and time.time() > self._context.stop_at


def follow(context: TrialContext, ranks: Ranks) -> Callable[[Trial], None]:
    """Return what another rank does for a trial: all that rank 0 does together with the others."""
    store = open_run(context.location)
    run_data = RunData(context, store)

    def follow_trial(trial: Trial) -> None:
        data = run_data.of_trial(trial)

        def predict(fit: Fit) -> None:
            for _, _, blocks in _predict(fit, data):
                for _ in blocks:  # rank 0 has them
                    pass

        def at_epoch_end(fit: Fit, epoch: int) -> None:
            if epoch in kept_epochs_of(data.hyperparameters):
                predict(fit)

        fit = _fit(data, context, ranks, NoCheckpoints(), at_epoch_end, lambda warning: None)  # rank 0 has them
        for _ in fit.epochs():
            pass
        predict(fit)

    return follow_trial


def _taken(warnings: list[TrialWarning]) -> list[TrialWarning]:
    """Return the warnings and leave none behind."""
    taken = warnings.copy()
    warnings.clear()
    return taken


def kept_epochs_of(hyperparameters: Hyperparameters) -> set[int]:
    """Return the epochs before the last whose predictions may be wanted: ends of cycles, or all that were evaluated."""
    if hyperparameters.training.epoch_rule == "other_folds":
        return set(
            range(
                hyperparameters.training.evaluate_every,
                hyperparameters.training.epochs,
                hyperparameters.training.evaluate_every,
            )
        )
    return set(snapshot_epochs(hyperparameters)) - {hyperparameters.training.epochs}


def _predict(fit: Fit, data: TrialData) -> Iterator[tuple[Part, int, Iterator[StoredValues]]]:
    """Yield the parts of a trial's predictions that have rows, each with its number of rows and its blocks."""
    if len(data.fit.valid_rows):
        yield "valid", len(data.fit.valid_rows), fit.predictor.value_blocks(data.fit.inputs, data.fit.valid_rows)
    yield "test", len(data.test_rows), fit.predictor.value_blocks(data.test, data.test_rows)


def _fit(
    data: TrialData,
    context: TrialContext,
    ranks: Ranks,
    checkpoints: Checkpoints,
    at_epoch_end: Callable[[Fit, int], None],
    warn: Warn,
) -> Fit:
    return Fit(
        data.fit,
        data.hyperparameters,
        context.settings,
        initial_weights=None if data.parent is None else data.parent.weights,
        ranks=ranks,
        checkpoints=checkpoints,
        cadence=Cadence(context.checkpoint_every_s),
        at_epoch_end=at_epoch_end,
        warn=warn,
    )
