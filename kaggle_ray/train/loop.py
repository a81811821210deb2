"""The training loop: one experiment on one fold's training rows, an epoch at a time.

``Fit.epochs`` is the loop; ``_compute`` and ``_step`` are what happens to a batch. All that a fit changes as it goes is
its ``FitState``: a fit that was killed goes on from its last checkpoint and ends with the same bits.

Several ranks meet where they settle what each has noted: every few steps and at the end of an epoch. There rank 0's
word is everyone's, and so is an error that one of them has brought.

Shape suffixes: N samples, C columns of the prediction, D of a table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase

from kaggle_ray.config import Hyperparameters, LossHyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.models import Output, main_logits
from kaggle_ray.train.anomalies import ConstantWatch, GradientWatch, LossWatch, Warn, log_warning
from kaggle_ray.train.auxiliary import AuxiliaryScores
from kaggle_ray.train.averaging import count_anew, load_best
from kaggle_ray.train.batches import Batch, EpochBatches
from kaggle_ray.train.checkpoint import Cadence, Checkpoints, NoCheckpoints
from kaggle_ray.train.compiled import Compiled
from kaggle_ray.train.evaluate import NOT_MEASURED, Evaluator
from kaggle_ray.train.further_metrics import FurtherMetrics
from kaggle_ray.train.inputs import FitData
from kaggle_ray.train.loading import load
from kaggle_ray.train.losses import Outputs, make_outputs
from kaggle_ray.train.losses.objective import Objective
from kaggle_ray.train.memory import begin_gpu_peak, gpu_peak_bytes, resident_bytes
from kaggle_ray.train.on_device import Finisher
from kaggle_ray.train.predict import Predictor
from kaggle_ray.train.preemption import Notice, end_noticed
from kaggle_ray.train.process import autocast, derive_seed, prepare_process, seed_step
from kaggle_ray.train.ranks import ALONE, Ranks, noting
from kaggle_ray.train.running import RunningPredictions
from kaggle_ray.train.saving import Saving
from kaggle_ray.train.start import EpochAverage, MovingAverage
from kaggle_ray.train.state import FitState
from kaggle_ray.types import EpochMetrics, IntArray, TrialWarning

_NO_CHECKPOINTS = NoCheckpoints()


class Fit:
    """One experiment being trained on one fold. The result is a function of the arguments.

    With several ranks each of them makes a fit of the same arguments and does all that the others do.
    """

    def __init__(
        self,
        data: FitData,
        hyperparameters: Hyperparameters,
        settings: Settings,
        *,
        initial_weights: Mapping[str, Tensor] | None = None,
        ranks: Ranks = ALONE,
        checkpoints: Checkpoints = _NO_CHECKPOINTS,
        cadence: Cadence | None = None,
        at_epoch_end: Callable[[Fit, int], None] = lambda fit, epoch: None,
        warn: Warn = log_warning,
        notice: Notice | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        """Make the model and all that trains it; nothing is trained before ``epochs`` is iterated.

        Args:
            data: one fold.
            hyperparameters: of the experiment.
            settings: of the run.
            initial_weights: ``Fit.weights`` to start from, of a parent experiment's same fold; None starts afresh.
            ranks: this process among those that train together.
            checkpoints: where rank 0 saves all of the state, and goes on from.
            cadence: when; None every 30 seconds.
            at_epoch_end: called with the fit and each epoch that has ended, before the checkpoint that knows of it;
                what it puts into ``notes`` is in that checkpoint, too. With several ranks each calls its own. It should
                not hold the fit itself: both would stay in memory, a GPU's too, until garbage is collected.
            warn: called with what goes wrong and is no error, on rank 0.
            notice: by which another thread asks the fit to end; signals are noticed in the main thread without it.
            cache_dir: where the features of a frozen backbone are kept; None is the cache of this machine.

        Raises:
            ConfigError: the initial weights are those of another architecture.
            UnusableCheckpointError: there is a checkpoint, and it cannot be gone on from.
        """
        self._device = prepare_process(settings, derive_seed(hyperparameters.training.seed, data.fold))
        self._data, self._hyperparameters, self._settings = data, hyperparameters, settings
        self._ranks, self._at_epoch_end = ranks, at_epoch_end
        self._objective = Objective(data, hyperparameters.loss)
        self._outputs = self._objective.outputs
        self._finish = Finisher(data, self._objective, hyperparameters.images.augment, self._device)
        self._notice = notice or Notice()
        self._warn: Warn = warn if ranks.rank == 0 else lambda warning: None

        self.state = FitState(data, hyperparameters, settings, self._device, initial_weights)
        """All that changes, and so is in a checkpoint."""
        self._wrap()
        self.predictor = Predictor(
            self.state.average or self.state.model,
            self._outputs,
            hyperparameters,
            settings,
            mask_size=data.mask_size,
            ranks=ranks,
            cache_dir=cache_dir,
        )
        """Predicts with the last weights, their average, or those of the chosen epoch."""
        # Rows that are not trained on are measured by the plain loss of the task, whatever is minimised: no smoothing,
        # no weights of classes, no teacher. It then says the same of every experiment.
        plain = make_outputs(data.heads, data.target, data.train_rows, LossHyperparameters())
        further = FurtherMetrics(data.heads, data.metric, self._warn)
        self._evaluator = Evaluator(
            predictor=self.predictor, outputs=plain, data=data, hyperparameters=hyperparameters, ranks=ranks,
            constants=ConstantWatch(data, hyperparameters.training.epochs, self._warn), further=further,
            auxiliary=AuxiliaryScores.of(data, self._objective, further),
        )  # fmt: skip
        self._running = RunningPredictions(data, self._outputs, hyperparameters, further, ranks)
        self._gradients = GradientWatch(
            self.state.model, data.sample_ids, hyperparameters.optimizer.clip_norm,
            scaler=self.state.scaler, device=self._device, warn=self._warn,
        )  # fmt: skip
        self._saving = Saving(self.state, checkpoints, cadence or Cadence(30.0), self._notice, ranks)
        self._saving.restore()
        self.num_resumed = len(self.state.history)
        """Epochs that were trained before, and that a checkpoint brought along."""
        self.averaged_epochs: tuple[int, ...] = ()
        """Epochs the mean of whose weights predicts in the end, the best first; empty where one epoch's do."""

    @property
    def epoch(self) -> int:
        """Epoch whose weights predict: the last one, or the chosen one."""
        return self.state.epoch_selection.epoch or len(self.state.history)

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The weights that predict, on the CPU, and the scales of the images and of the outputs."""
        weights = {name: tensor.cpu().contiguous() for name, tensor in self.predictor.model.state_dict().items()}
        model = self.state.model
        weights |= {"images.mean": model.mean.flatten().cpu(), "images.std": model.std.flatten().cpu()}
        if isinstance(self._outputs, Outputs):
            weights |= {"outputs.mean": self._outputs.mean, "outputs.std": self._outputs.std}
        return weights

    def epochs(self) -> Generator[EpochMetrics]:
        """Train to the end, yielding what each epoch measured; those of a checkpoint come first, at once.

        Whoever iterates may stop after any epoch. At the end ``predictor`` and ``weights`` are what the trial predicts
        with.

        Raises:
            NonFiniteLossError: a loss, in training or validation, is NaN or infinite.
            Terminated: SIGTERM came; a checkpoint of this very step is saved.
            KeyboardInterrupt: the same of ctrl-c; a second one is raised at once.
        """
        yield from list(self.state.history)
        num_epochs, selection = self._hyperparameters.training.epochs, self.state.epoch_selection
        with end_noticed(self._notice):
            while len(self.state.history) < num_epochs and not selection.is_over:
                yield self._run_epoch()
                if self._saving.is_to_end():  # while whoever iterates had the word
                    self._saving.do("save and end")
        if selection.best:
            self.averaged_epochs = load_best(
                self.predictor.model, selection.best, self._measured_anew, self._data.metric
            )

    def _measured_anew(self, norms: Sequence[_NormBase], epoch: int) -> float:
        """Return the score that epochs are chosen by, of weights whose normalisation counts anew."""
        count_anew(self.predictor.model, norms, self._batches(epoch), self._finish, self._settings)
        rows = self._data.valid_rows if self._data.inner_rows is None else self._data.inner_rows
        return self._evaluator.measure(rows, epoch).score

    def _run_epoch(self) -> EpochMetrics:
        epoch = len(self.state.history) + 1
        training = self._hyperparameters.training
        is_evaluated = epoch % training.evaluate_every == 0 or epoch == training.epochs
        begin_gpu_peak(self._device)
        self._running.begin(is_wanted=is_evaluated and self.state.step_of_epoch == 0)
        if self.state.freezing.start_epoch(epoch):
            self._wrap()
        batches = self._batches(epoch, self._ranks)  # features that have to be computed are no part of the epoch's time
        started = time.perf_counter() - self.state.seconds_of_epoch
        self._train(batches, epoch, started)
        seconds_of_steps = time.perf_counter() - started
        if isinstance(self.state.average, EpochAverage):
            self.state.average.end_epoch(self.state.model, epoch)
        trained = self._running.scores(epoch)
        scored = inner = NOT_MEASURED
        if is_evaluated:
            if len(self._data.valid_rows):
                scored = self._evaluator.measure(self._data.valid_rows, epoch)
            else:
                self._evaluator.check_weights(epoch)
            if self._data.inner_rows is not None:
                inner = self._evaluator.measure(self._data.inner_rows, epoch)
            chosen_by = scored if self._data.inner_rows is None else inner
            self.state.epoch_selection.see(epoch, chosen_by.score, self.predictor.model.state_dict)
        self.state.history.append(
            EpochMetrics(
                epoch=epoch,
                train_loss=self.state.loss_of_epoch / self._data.num_per_epoch,
                valid_loss=scored.loss,
                score=scored.score,
                inner_score=None if inner is NOT_MEASURED else inner.score,
                lr=self.state.lr,
                duration_s=time.perf_counter() - started,
                samples_per_s=self._data.num_per_epoch / seconds_of_steps,
                resident_bytes=resident_bytes(),
                gpu_peak_bytes=gpu_peak_bytes(self._device),
                grad_norm=self._gradients.usual_norm(epoch),
                train_score=trained.score,
                metrics=scored.metrics,
                train_metrics=trained.metrics,
            )
        )
        self.state.begin_epoch()
        self._at_epoch_end(self, epoch)
        self._saving.do(self._saving.due())
        return self.state.history[-1]

    def _batches(self, epoch: int, ranks: Ranks = ALONE) -> EpochBatches:
        """Return what an epoch trains on, and have its features computed, where it takes some."""
        return EpochBatches(
            self._data, self._hyperparameters, epoch, uses_images=self.state.model.uses_images,
            features=self.predictor.features, rank=ranks.rank, world_size=ranks.world_size,
        )  # fmt: skip

    def _train(self, batches: EpochBatches, epoch: int, started: float) -> None:
        """Do the steps of an epoch that are left."""
        watch = LossWatch(
            self._data.sample_ids, epoch=epoch, lr=self._hyperparameters.optimizer.lr, device=self._device
        )
        watch.total = self.state.loss_of_epoch
        first_piece = self.state.step_of_epoch * self._hyperparameters.training.accumulate
        with closing(load(batches, self._settings, first=first_piece)) as pieces:
            for batch in pieces:
                self._compute(batch, watch)
                if not batch.ends_step:
                    continue
                self._step(epoch, batch.step, watch.rows_of_step)
                self.state.step_of_epoch += 1
                if due := self._saving.due_after_step():
                    self._settle(watch)
                    self.state.seconds_of_epoch = time.perf_counter() - started
                    self._saving.do(due)
        self._settle(watch)
        self.state.schedule.end_epoch(self._ranks.of_first(self.state.loss_of_epoch / self._data.num_per_epoch))

    def _wrap(self) -> None:
        """Prepare the model's forward pass: DDP looks at what is trained only when it is made."""
        self._parallel = self._ranks.parallel(self.state.model)
        self._forward: Callable[..., Output] = self._parallel
        if self._settings.compile:
            self._forward = Compiled(self._parallel, warn=self._warn_of_compiler)

    def _warn_of_compiler(self, text: str) -> None:
        self._warn(TrialWarning(topic="not_compiled", text=text, epoch=len(self.state.history) + 1))

    def _settle(self, watch: LossWatch) -> None:
        """Bring what each rank has noted together on rank 0."""
        self._gradients.look()
        with noting(self._ranks):
            watch.look()
        self.state.loss_of_epoch = self._ranks.sum(watch.total)
        watch.total = self.state.loss_of_epoch if self._ranks.rank == 0 else 0.0
        of_ranks = self._ranks.gather(self.state.trained_rows)
        self.state.trained_rows = np.logical_or.reduce([self.state.trained_rows, *of_ranks])

    def _compute(self, batch: Batch, watch: LossWatch) -> None:
        """Add the gradients of a piece's share of the step's mean loss."""
        seed_step(self._device, batch.seed)
        self.state.trained_rows[batch.rows] = True
        inputs, targets = self._finish(batch)
        with nullcontext() if batch.ends_step else self._ranks.without_exchange(self._parallel):
            with autocast(self._settings):
                output = self._forward(*inputs)
            self._running.add(batch.rows, main_logits(output))
            losses_N = self._objective.sample_losses(output, targets)
            with noting(self._ranks, at=batch.step):  # the other ranks wait for this one's gradient, whatever it is
                watch.add(batch, losses_N)
            # The ranks' gradients are averaged, so each counts as if the step were its own.
            share_N = torch.full_like(losses_N, self._ranks.world_size / batch.num_in_step)
            self.state.scaler.scale(losses_N).backward(share_N)  # type: ignore[no-untyped-call]

    def _step(self, epoch: int, step: int, rows: IntArray) -> None:
        """Move the weights along the step's gradient."""
        self.state.scaler.unscale_(self.state.optimizer)
        self._gradients.clip(epoch, step, rows)
        self.state.scaler.step(self.state.optimizer)
        self.state.scaler.update()
        self.state.optimizer.zero_grad(set_to_none=True)
        self.state.lr = self.state.schedule.lr
        self.state.schedule.step()
        if isinstance(self.state.average, MovingAverage):
            self.state.average.update_parameters(self.state.model)

    def save(self) -> None:
        """Save a checkpoint now; to be called between epochs, on rank 0."""
        self._saving.save()
