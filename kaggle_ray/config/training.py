"""The hyperparameters of the loop: how long it goes on, in which batches, and which epoch's weights predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kaggle_ray.config.part import check_types, require
from kaggle_ray.types import EpochRule


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingHyperparameters:
    """How long the training goes on, in which batches, and which epoch's weights predict."""

    batch_size: int = 64
    """Samples per optimizer step, those of all processes together."""
    accumulate: int = 1
    """Parts that a batch is computed in, one after the other, where it does not fit into memory at once."""
    epochs: int = 10
    """Passes over the training rows."""
    sampler: str = "uniform"
    """Which rows an epoch is made of, as many as there are: ``uniform`` takes each once; ``balanced`` each class
    equally often, a row of labels as its rarest one; ``weighted`` in proportion to ``Samples.train_weights``, which
    then do not weight the loss; or one that the competition's file registers."""
    epoch_rule: EpochRule = "last"
    """Which epoch's weights predict. ``last``: the budget's end; ``inner``: the best on an inner split of the training
    rows, which is not trained on; ``other_folds``: for each fold the epoch that is best on the others' rows;
    ``scored_fold``: the best on the very rows that are scored, which is a selection and gets no honest score."""
    inner_share: float = 0.1
    """Share of the training rows that ``epoch_rule`` inner holds out."""
    average_best: int = 1
    """Best epochs whose weights are averaged, for ``epoch_rule`` inner and scored_fold; 1 lets the best alone predict.
    Their mean predicts unless the best alone scores better on the rows that it was chosen by. The statistics of batch
    normalisation are computed anew, of the training rows as they were trained on. Source: Wortsman et al., "Model
    soups", ICML 2022."""
    patience: int = 0
    """Evaluations without a better one after which training ends early, for ``epoch_rule`` inner and scored_fold; 0
    trains for all epochs."""
    evaluate_every: int = 1
    """Epochs from one evaluation to the next; the last epoch is always evaluated."""
    keep_epochs: Sequence[int] = ()
    """Epochs whose weights are kept beside those that predict, such as ``[5, 10]``; all of them stay when the run is
    complete. ``load_model(epoch=5)`` and ``kaggle-ray predict --epoch 5`` predict by them; they are neither scored nor
    in an ensemble."""
    seed: int = 0
    """Seed of all that is random: first weights, order, augmentation, dropout."""

    @property
    def inner_split(self) -> tuple[float, int] | None:
        """What the rows depend on that ``epoch_rule`` inner holds out of the same fold; None where there are none."""
        return (self.inner_share, self.seed) if self.epoch_rule == "inner" else None

    def __post_init__(self) -> None:
        """Check every value's type and range. Raises ConfigError."""
        check_types(self)
        for name in ("batch_size", "epochs", "accumulate", "evaluate_every", "average_best"):
            require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        require(self.patience >= 0, "patience", "at least 0", self.patience)
        if self.epoch_rule in ("last", "other_folds"):
            require(self.patience == 0, "patience", f"0 with epoch_rule {self.epoch_rule}", self.patience)
            require(self.average_best == 1, "average_best", f"1 with epoch_rule {self.epoch_rule}", self.average_best)
        num_evaluated = -(-self.epochs // self.evaluate_every)
        most = f"at most {num_evaluated}, the epochs that are evaluated"
        require(self.average_best <= num_evaluated, "average_best", most, self.average_best)
        for epoch in self.keep_epochs:
            require(1 <= epoch <= self.epochs, "keep_epochs", f"epochs from 1 to {self.epochs}", epoch)
        object.__setattr__(self, "keep_epochs", sorted(set(self.keep_epochs)))
        require(0 < self.inner_share < 1, "inner_share", "above 0 and below 1", self.inner_share)
        require(0 <= self.seed < 2**31, "seed", "from 0 to 2**31 - 1", self.seed)
