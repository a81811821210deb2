"""Runs one trial from the store to its commit: what every rank does, and every launcher calls, in whatever process."""

from __future__ import annotations

import logging
import os
import time
from bdb import BdbQuit
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from dataclasses import replace

from kaggle_ray.cache.folder import adopt_variables, default_cache_dir
from kaggle_ray.config import Hyperparameters
from kaggle_ray.errors import UnusableCheckpointError
from kaggle_ray.given import import_given
from kaggle_ray.progress import Counter
from kaggle_ray.s3 import adopt_credentials
from kaggle_ray.store.attempt import KeptFiles
from kaggle_ray.store.opening import open_run
from kaggle_ray.train.assembling import made_of, trained_elsewhere, trial_data
from kaggle_ray.train.checkpoint import Cadence, StoredCheckpoints, restoring
from kaggle_ray.train.context import TrialContext
from kaggle_ray.train.failures import is_users, named_error, policy_of, reason_of
from kaggle_ray.train.inputs import FitData
from kaggle_ray.train.keep import Keeper
from kaggle_ray.train.loop import Fit
from kaggle_ray.train.predict_only import predict_only
from kaggle_ray.train.preemption import Notice
from kaggle_ray.train.process import gpu_name
from kaggle_ray.train.ranks import ALONE, Ranks, together
from kaggle_ray.train.run_data import RunData
from kaggle_ray.train.soups import make_soup
from kaggle_ray.train.teachers import answers_of
from kaggle_ray.train.trial_data import MadeOf, TrainedElsewhere, TrialData
from kaggle_ray.train.users_warnings import users_warnings_told
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import EpochMetrics, Trial, TrialMessage, TrialResult, TrialStatus, TrialWarning

logger = logging.getLogger(__name__)


class TrialRunner:
    """Runs trials one after the other in this process, a rank of each; what they share is loaded once."""

    def __init__(self, context: TrialContext) -> None:
        """Nothing is loaded before the first trial."""
        adopt_variables(context.cache_variables)
        adopt_credentials(context.credentials)
        import_given(context.given)
        self.context = context
        self.store = open_run(context.location)
        self.data = RunData(context, self.store)
        self.notice = Notice()
        """Notice by which another thread asks the trial to save a checkpoint and end."""

    def run(self, trial: Trial, ranks: Ranks = ALONE) -> Generator[TrialMessage, None, TrialResult]:
        """Train, predict and commit ``trial``; the generator's value is the result.

        All ranks iterate their own generator of the same trial. Each yields what the epochs measured, rank 0 before
        that the warnings of the epoch, those of the user's own code among them, before a failure those that may say
        why, and at the end what is left of them; rank 0 commits. Where its
        generator is closed after an epoch's measures, those of the other ranks end there, too.

        Nothing is trained where another experiment's weights predict, or the mean of several ones'. A trial that cannot
        go on from its checkpoint says so, and begins anew.

        An error of the trial's own becomes a failed result, so that the others go on; it is committed where the policy
        of ``failures`` says that it would repeat itself. Where ``ranks.failed_together`` is false afterwards, one rank
        failed by itself: the others may wait for it for ever, and have to be replaced.

        Raises:
            Terminated: the process or ``notice`` was asked to end; a checkpoint is saved.
        """
        attempt = _Attempted(self, trial, ranks)
        try:
            with users_warnings_told(attempt.add_warning, attempt.current_epoch):
                return (yield from attempt.resumed_or_begun_anew())
        except BdbQuit:  # whoever leaves a debugger means the run
            raise KeyboardInterrupt from None
        except BaseException as caught:
            if not (isinstance(caught, Exception) or is_users(caught)):
                raise
            yield from attempt.taken_warnings()
            # No other name for it here: the error knows this frame, and would keep all of the trial's tensors with it.
            return attempt.failed(caught)


class _Attempted:
    """One attempt at a trial by one rank: what it has measured so far, and how it ends."""

    def __init__(self, runner: TrialRunner, trial: Trial, ranks: Ranks) -> None:
        self._runner = runner
        self._trial = trial
        self._ranks = ranks
        self._attempt = runner.store.attempt(trial)
        self._started = time.perf_counter()
        self._history: list[EpochMetrics] = []
        self._warnings: list[TrialWarning] = []

    def add_warning(self, warning: TrialWarning) -> None:
        """Keep what code warned of that all ranks run, for rank 0 to tell."""
        if self._ranks.rank == 0:
            self._warnings.append(warning)

    def current_epoch(self) -> int:
        """Return the epoch that is trained now, 1 for the first; after the last the one that would follow."""
        return len(self._history) + 1

    def resumed_or_begun_anew(self) -> Generator[TrialMessage, None, TrialResult]:
        store, is_first = self._runner.store, self._ranks.rank == 0
        while True:
            try:
                result = yield from self._run()
                yield from self.taken_warnings()
                return result
            except UnusableCheckpointError as unusable:  # nothing was trained or put yet
                goes_on = is_first and store.has_earlier_checkpoint(self._trial)
                text = f"{unusable} It {'goes on from the one before' if goes_on else 'begins anew'}."
            if is_first:
                yield TrialWarning(topic="unusable_checkpoint", text=text, epoch=1)
            with together(self._ranks):
                if is_first:
                    store.remove_checkpoint(self._trial)

    def failed(self, caught: BaseException) -> TrialResult:
        """Return, and on rank 0 commit where it would repeat itself, that the trial failed."""
        error = named_error(caught)
        repeats_itself = policy_of(error).repeats_itself
        if not repeats_itself:
            logger.error("trial %s failed", self._trial, exc_info=error)
        failed = self._result("failed", error=reason_of(error))
        return self._attempt.commit(failed) if repeats_itself and self._ranks.rank == 0 else failed

    def taken_warnings(self) -> list[TrialWarning]:
        """Return the warnings and leave none behind."""
        taken = self._warnings.copy()
        self._warnings.clear()
        return taken

    def _run(self) -> Generator[TrialMessage, None, TrialResult]:
        ranks, context = self._ranks, self._runner.context
        with together(ranks):
            trained = trained_elsewhere(self._runner.data, self._trial) if ranks.rank == 0 else None
        if ranks.of_first(trained is not None):
            return self._of_first(lambda: self._predicted(trained))
        with together(ranks):
            souped = made_of(self._runner.data, self._trial) if ranks.rank == 0 else None
        if ranks.of_first(souped is not None):
            return self._of_first(lambda: self._averaged(souped))
        with together(ranks):
            data = trial_data(self._runner.data, self._trial)
        if (taught := self._taught(data)) is None:
            return self._result("stopped", num_decoded=data.num_decoded)
        keeper = Keeper(self._attempt, data, self._runner.data, ranks)
        fit = Fit(
            taught,
            data.hyperparameters,
            context.settings,
            initial_weights=data.initial_weights,
            ranks=ranks,
            checkpoints=StoredCheckpoints(self._runner.store, self._trial),
            cadence=Cadence(context.checkpoint_every_s),
            at_epoch_end=keeper.keep,
            warn=self._warnings.append,
            notice=self._runner.notice,
        )
        self._adopt(fit)
        for inputs in (data.fit.inputs, data.test):
            fit.predictor.prepare(inputs)
        with closing(fit.epochs()) as epochs:
            for metrics in epochs:
                self._history.append(metrics)
                is_last = len(self._history) == data.hyperparameters.training.epochs
                if (yield from self._told(metrics, is_last=is_last)):
                    if ranks.rank == 0:
                        fit.save()
                    return self._result("stopped", num_resumed=fit.num_resumed, num_decoded=data.num_decoded)
        result = self._result(
            "committed",
            score=keeper.put(fit),
            epoch=fit.epoch,
            averaged_epochs=fit.averaged_epochs,
            num_resumed=fit.num_resumed,
            num_decoded=data.num_decoded,
        )
        return self._of_first(lambda: self._attempt.commit(self._with_model(result, data.hyperparameters)))

    def _taught(self, data: TrialData) -> FitData | None:
        """Return the data to train on with the answers of teachers that are asked first; None where time is over."""
        if not data.teachers:
            return data.fit
        assert data.fit.teacher is not None, "some of it is known"
        answers, counter = data.fit.teacher.copy(), Counter("training teachers", len(data.teachers))
        for teacher in data.teachers:
            of_rows = answers_of(
                teacher,
                self._runner.context.settings,
                self._ranks,
                cache_dir=default_cache_dir(),
                notice=self._runner.notice,
                is_late=self._is_late,
            )
            if of_rows is None:
                return None
            answers[teacher.rows] = of_rows
            counter.add(1)
        answers[data.fit.valid_rows] = 0
        return replace(data.fit, teacher=answers)

    def _with_model(self, result: TrialResult, hyperparameters: Hyperparameters) -> TrialResult:
        """Return the result with how large the network is, and where it was trained."""
        runner = self._runner
        return replace(
            result, model_size=runner.data.model_sizes.of(hyperparameters), gpu=gpu_name(runner.context.settings)
        )

    def _predicted(self, trained: TrainedElsewhere | None) -> TrialResult:
        """Predict with another trial's weights: by rank 0 alone, as the bits do not depend on who predicts."""
        assert trained is not None, "rank 0 knows"
        runner = self._runner
        return predict_only(self._attempt, trained, runner.data, runner.store, runner.context.settings)

    def _averaged(self, made_of: MadeOf | None) -> TrialResult:
        """Predict with a mean of other trials' weights: by rank 0 alone, as nothing is trained."""
        assert made_of is not None, "rank 0 knows"
        runner = self._runner
        return make_soup(self._attempt, made_of, runner.data, runner.store, runner.context.settings)

    def _adopt(self, fit: Fit) -> None:
        """Take over what an earlier attempt kept, whose checkpoint the fit goes on from."""
        with together(self._ranks), restoring():
            if self._ranks.rank == 0:
                notes = fit.state.notes.values()
                self._attempt.adopt([from_json(KeptFiles, note, where="checkpoint: notes") for note in notes])

    def _told(self, metrics: EpochMetrics, *, is_last: bool) -> Generator[TrialMessage, None, bool]:
        """Yield what an epoch has to tell; return on every rank whether the trial stops here for now."""
        try:
            yield from self.taken_warnings()
            yield metrics
        except GeneratorExit:
            with suppress(RuntimeError):  # a rank that is gone needs no word
                self._ranks.of_first(True)
            raise
        return self._ranks.of_first(self._is_late() and not is_last)

    def _is_late(self) -> bool:
        context = self._runner.context
        return context.stop_at is not None and context.clock.now() > context.stop_at

    def _of_first(self, make: Callable[[], TrialResult]) -> TrialResult:
        """Return, on every rank, what rank 0 makes by itself."""
        result: TrialResult | None = None
        with together(self._ranks):
            if self._ranks.rank == 0:
                result = make()
        result = self._ranks.of_first(result)
        assert result is not None, "rank 0 made it"
        return result

    def _result(
        self,
        status: TrialStatus,
        *,
        epoch: int = 0,
        averaged_epochs: tuple[int, ...] = (),
        num_resumed: int = 0,
        num_decoded: int = 0,
        score: float | None = None,
        error: str | None = None,
    ) -> TrialResult:
        return TrialResult(
            trial=self._trial,
            status=status,
            attempt_id=self._attempt.attempt_id,
            history=tuple(self._history),
            epoch=epoch,
            averaged_epochs=averaged_epochs,
            num_resumed=num_resumed,
            score=score,
            duration_s=time.perf_counter() - self._started,
            error=error,
            num_decoded=num_decoded,
            process_id=os.getpid(),
        )


def run_to_end(messages: Generator[TrialMessage, None, TrialResult]) -> TrialResult:
    """Return how a trial ended, once all its messages have come."""
    while True:
        try:
            next(messages)
        except StopIteration as stop:
            result: TrialResult = stop.value
            return result
