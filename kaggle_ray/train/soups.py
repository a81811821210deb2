"""Averages the weights of experiments that were trained on the same fold: nothing is trained, and one network predicts.

A greedy soup begins with the member that is best on an inner split of the fold's training rows, and takes each further
one, the better first, where the mean scores no worse there. The lineage of each member says that its loader yielded
none of these rows. A uniform soup chooses nothing: it is the mean of all members. Either way no row that the fold
scores has a say, so that its score is as honest as that of its members.

A soup of all rows has no row to choose by: it has the members that most of the folds' soups have.

Source: Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
increasing inference time", ICML 2022.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.counted import counted
from kaggle_ray.decide import default_score
from kaggle_ray.errors import ConfigError, LeakError
from kaggle_ray.rows import select_rows
from kaggle_ray.store.attempt import WEIGHTS_FILE, Attempt
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.store.run import RunStore
from kaggle_ray.train.averaging import Weights, count_anew, load_mean
from kaggle_ray.train.batches import EpochBatches
from kaggle_ray.train.losses.objective import Objective
from kaggle_ray.train.on_device import Finisher
from kaggle_ray.train.predict import Predictor, model_of
from kaggle_ray.train.process import gpu_name
from kaggle_ray.train.reload import reloaded
from kaggle_ray.train.run_data import RunData
from kaggle_ray.train.start import own_weights
from kaggle_ray.train.trial_data import MadeOf
from kaggle_ray.types import FULL_DATA, Lineage, StoredValues, TrialResult


@dataclass(frozen=True, kw_only=True, slots=True)
class _Member:
    """One of those that may go into a soup."""

    experiment_id: str
    result: TrialResult
    lineage: Lineage
    weights: Weights
    """Weights by the names that the network has for them."""


def make_soup(attempt: Attempt, given: MadeOf, data: RunData, store: RunStore, settings: Settings) -> TrialResult:
    """Commit an attempt whose weights are the mean of those of other trials of the same fold.

    Args:
        attempt: at the trial.
        given: of which trials, and what it predicts.
        data: of the run.
        store: of the run.
        settings: of the run.

    Raises:
        ConfigError: the weights are not those of one architecture, on one scale of images and outputs.
        LeakError: a member was trained on rows that the soup would be chosen by.
        CorruptBlobError: weights are not those that were committed.
    """
    started = time.perf_counter()
    candidates = _Candidates(attempt, given, data, store, settings)
    chosen = candidates.chosen()
    weights = candidates.weights_of(chosen)
    hyperparameters, samples = given.hyperparameters, data.samples
    lineage = candidates.lineage(data.folds.digest, weights_digest=attempt.put(WEIGHTS_FILE, weights))
    predictor = reloaded(data.competition, samples, settings, hyperparameters, weights, where=str(attempt.trial))
    score = _put_predictions(attempt, predictor, given, data, is_scored=lineage.is_proven)
    attempt.put_manifest(samples.train_ids[given.fit.valid_rows], samples.test_ids, lineage)
    return attempt.commit(
        TrialResult(
            trial=attempt.trial,
            status="committed",
            attempt_id=attempt.attempt_id,
            epoch=chosen[0].result.epoch,
            averaged_experiments=tuple(member.experiment_id for member in chosen),
            score=score,
            duration_s=time.perf_counter() - started,
            num_decoded=given.num_decoded,
            process_id=os.getpid(),
            model_size=data.model_sizes.of(hyperparameters),
            gpu=gpu_name(settings),
        )
    )


def _put_predictions(
    attempt: Attempt, predictor: Predictor, given: MadeOf, data: RunData, *, is_scored: bool
) -> float | None:
    """Write what a soup predicts; return the score of the fold's rows, None without any, or where it is not honest."""
    valid_rows, num_test = given.fit.valid_rows, len(data.samples.test_ids)
    valid: StoredValues | None = None
    if len(valid_rows):
        blocks = predictor.value_blocks(given.fit.inputs, valid_rows)
        valid = attempt.put_values("valid", blocks, num_rows=len(valid_rows))
    attempt.put_values("test", predictor.value_blocks(given.test, np.arange(num_test)), num_rows=num_test)
    if valid is None or not is_scored:
        return None
    return default_score(data.competition.metric, select_rows(data.target, valid_rows), float_rows(valid))


class _Candidates:
    """The members that may go into a soup, and the network that their means are tried in."""

    def __init__(self, attempt: Attempt, given: MadeOf, data: RunData, store: RunStore, settings: Settings) -> None:
        """Load all members. Raises ConfigError and LeakError as ``make_soup`` does."""
        self._given, self._settings, self._where = given, settings, str(attempt.trial)
        # As it was trained: what it then predicts with, such as more views, has no say in what it is made of.
        self._plain = _as_trained(given.hyperparameters)
        files = [store.weights(result) for result in given.results]
        self._predictor = reloaded(data.competition, data.samples, settings, self._plain, files[0], where=self._where)
        model = model_of(self._predictor.model)
        stored = [load(file) for file in files]
        self._beside = _beside(stored, given, self._where)
        self.members = [
            _Member(
                experiment_id=result.trial.experiment_id,
                result=result,
                lineage=store.lineage(result),
                weights=_own_weights(model.state_dict(), each, result, self._where),
            )
            for result, each in zip(given.results, stored, strict=True)
        ]
        objective = Objective(given.fit, self._plain.loss)
        augment, device = self._plain.images.augment, torch.device(settings.device)
        self._finish = Finisher(given.fit, objective, augment, device)

    def chosen(self) -> list[_Member]:
        """Return the members of the soup, the best first."""
        rows = self._given.fit.inner_rows
        if self._given.method == "uniform" or rows is None:
            return self.members
        for member in self.members:
            if num_seen := int(member.lineage.trained_rows[rows].sum()):
                raise LeakError(
                    f"{self._where}: {member.experiment_id} was trained on {num_seen} of the "
                    f"{counted(len(rows), 'row')} that the "
                    f"soup would be chosen by. Use experiments that hold out the same inner split, or soup='uniform', "
                    f"which chooses nothing."
                )
        metric = self._given.fit.metric
        scores = {member.experiment_id: self._inner_score([member]) for member in self.members}
        sign = -1 if metric.greater_is_better else 1
        first, *others = sorted(self.members, key=lambda member: sign * scores[member.experiment_id])
        soup, best = [first], scores[first.experiment_id]
        for member in others:
            score = self._inner_score([*soup, member])
            if not metric.is_better(best, score):
                soup, best = [*soup, member], score
        return soup

    def lineage(self, folds_digest: str, *, weights_digest: str) -> Lineage:
        """Return what the mean depends on: all that any member does, be it chosen or not."""
        lineages = [member.lineage for member in self.members]
        hyperparameters = self._given.hyperparameters
        parents = (each for of in self.members for each in (*of.lineage.parents, of.experiment_id))
        return Lineage(
            folds_digest=folds_digest,
            trained_rows=np.logical_or.reduce([each.trained_rows for each in lineages]),
            parents=tuple(dict.fromkeys(parents)),
            epoch_rule=hyperparameters.training.epoch_rule,
            is_proven=self._given.fit.fold != FULL_DATA
            and hyperparameters.why_unproven is None
            and all(each.is_proven for each in lineages),
            started_from={name: digest for each in lineages for name, digest in each.started_from.items()},
            weights_digest=weights_digest,
            pseudolabels=tuple(dict.fromkeys(source for each in lineages for source in each.pseudolabels)),
        )

    def weights_of(self, soup: Sequence[_Member]) -> bytes:
        """Return the file of the mean's weights."""
        self._load(soup)
        model = model_of(self._predictor.model)
        own = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
        file: bytes = save({**own, **self._beside})
        return file

    def _inner_score(self, soup: Sequence[_Member]) -> float:
        fit = self._given.fit
        assert fit.inner_rows is not None, "a greedy soup has rows to choose by"
        self._load(soup)
        values = self._predictor.values(fit.inputs, fit.inner_rows)
        return default_score(fit.metric, fit.target[fit.inner_rows], float_rows(values))

    def _load(self, soup: Sequence[_Member]) -> None:
        """Give the network the mean of a soup's weights; what batch normalisation counts is counted anew under it."""
        model = model_of(self._predictor.model)
        norms = load_mean(model, [member.weights for member in soup])
        if norms:
            batches = EpochBatches(
                self._given.fit, self._plain, self._plain.training.epochs, uses_images=model.uses_images,
                features=self._predictor.features,
            )  # fmt: skip
            count_anew(model, norms, batches, self._finish, self._settings)


def _as_trained(hyperparameters: Hyperparameters) -> Hyperparameters:
    """Return what says how batches are made and plainly predicted: nothing that is learnt of others than the labels."""
    return hyperparameters.replace(
        soup_of=[], soup="greedy", init_from={}, distill_from={}, pseudolabel_share=0.0, tta="none"
    )


def _beside(stored: Sequence[Weights], given: MadeOf, where: str) -> dict[str, Tensor]:
    """Return what a file of weights has beside them, which all members have to share."""
    names = [name for name in stored[0] if name.startswith(("images.", "outputs."))]
    for result, each in zip(given.results, stored, strict=True):
        for name in names:
            if name not in each or not torch.equal(each[name], stored[0][name]):
                raise ConfigError(
                    f"{where}: soup_of: {result.trial.experiment_id} has another {name} than "
                    f"{given.results[0].trial.experiment_id}: expected weights on one scale. Use experiments that hold "
                    f"out the same rows and begin with the same network."
                )
    return {name: stored[0][name] for name in names}


def _own_weights(network: Weights, stored: Weights, result: TrialResult, where: str) -> Weights:
    try:
        own = own_weights(network, stored)
    except KeyError as error:
        raise ConfigError(f"{where}: soup_of: {result.trial.experiment_id} has no weight {error}.") from error
    for name, tensor in own.items():
        if tensor.shape != network[name].shape:
            raise ConfigError(
                f"{where}: soup_of: expected {name} of shape {tuple(network[name].shape)}, got {tuple(tensor.shape)} "
                f"of {result.trial.experiment_id}. Only weights of one architecture have a mean."
            )
    return own
