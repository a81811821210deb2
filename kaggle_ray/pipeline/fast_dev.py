"""What is left of a run that is only to show whether it works: one epoch on one batch of everything.

The folds are those of the whole competition, so that rows that cannot be split show here, too, and no group is torn
apart: each fold then keeps a few of its rows. Near-duplicates are not looked for: that takes a look at every image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from kaggle_ray.config import Hyperparameters
from kaggle_ray.data.head import Head, classes_of, place_heads
from kaggle_ray.data.samples import Samples
from kaggle_ray.types import FloatArray, Folds, IntArray, JsonValue, StrArray, Target


def rows_of_one_batch(
    samples: Samples, folds: Folds, heads: Sequence[Head], hyperparameter_sets: Sequence[Hyperparameters]
) -> frozenset[str]:
    """Return the ids of the training and test rows that give each fold one batch to train on, to score and to predict.

    The batch is the largest of ``hyperparameter_sets``. Each fold keeps a row of each class, as long as these are at
    most a batch, even where it then trains on a few batches; and rows of as many groups as it can.
    """
    size = max(
        hyperparameters.training.batch_size * (2 if hyperparameters.training.epoch_rule == "inner" else 1)
        for hyperparameters in hyperparameter_sets
    )
    parts = np.unique(folds.fold_of)
    share = -(-size // max(1, len(parts) - 1))  # what a fold does not score, it trains on
    rows = [
        _rows_of_part(np.flatnonzero(folds.fold_of == part), samples, heads, share=share, most=size) for part in parts
    ]
    return frozenset(samples.train_ids[np.concatenate(rows)].tolist() + samples.test_ids[:size].tolist())


def one_epoch_of(hyperparameter_sets: Sequence[Hyperparameters], folds: Folds) -> list[Hyperparameters]:
    """Return the experiments as they are run on the rows of ``folds``, without those that are now the same.

    There is one epoch, or two where something happens between epochs: layers are unfrozen, or weights are kept. They
    train at the size of the last ones, which takes the most memory.
    """
    num_train = min(len(folds.train_rows(fold)) for fold in range(folds.num_folds))
    cut: list[Hyperparameters] = []
    for hyperparameters in hyperparameter_sets:
        if (short := _one_epoch_of(hyperparameters, num_train)) not in cut:
            cut.append(short)
    return cut


def _one_epoch_of(hyperparameters: Hyperparameters, num_train: int) -> Hyperparameters:
    training = hyperparameters.training
    num_train = num_train // 2 if training.epoch_rule == "inner" else num_train
    smallest_batch = num_train // -(-num_train // training.batch_size)
    is_snapshot = hyperparameters.schedule.name == "snapshot"
    has_more = (
        hyperparameters.model.freeze_epochs
        or is_snapshot
        or training.epoch_rule == "other_folds"
        or training.keep_epochs
        or training.average_best > 1
    )
    cut = hyperparameters.replace(
        epochs=2 if has_more else 1,
        keep_epochs=[1] if training.keep_epochs else [],
        average_best=min(2, training.average_best),
        evaluate_every=1,
        freeze_epochs=min(1, hyperparameters.model.freeze_epochs),
        swa_epochs=min(1, hyperparameters.optimizer.swa_epochs),
        schedule_args={"num_cycles": min(2, _num_cycles(hyperparameters))}
        if is_snapshot
        else hyperparameters.schedule.args,
        start_size=0,
        inner_share=0.5,
        accumulate=min(training.accumulate, smallest_batch),
        init_from={},
        soup_of=[],
        soup="greedy",
        distill_from={},
        distill_out_of_fold=False,
        pseudolabel_from={},
        pseudolabel_min_confidence=0.0,
    )
    souped = dict.fromkeys(_one_epoch_of(each, num_train) for each in hyperparameters.souped)
    if len(souped) > 1:  # otherwise they differ in what is cut, and one of them stands for the soup, too
        return cut.replace(soup_of=[_differences(each, cut) for each in souped], soup=hyperparameters.model.soup)
    if hyperparameters.parent is not None:
        cut = cut.replace(init_from=_differences(_one_epoch_of(hyperparameters.parent, num_train), cut))
    if hyperparameters.teacher is not None:
        differences = _differences(_one_epoch_of(hyperparameters.teacher, num_train), cut)
        cut = cut.replace(distill_from=differences, distill_out_of_fold=hyperparameters.loss.distill_out_of_fold)
    if hyperparameters.labeller is not None:
        labeller = _one_epoch_of(hyperparameters.labeller, num_train)
        cut = cut.replace(pseudolabel_from=_differences(labeller, cut.replace(pseudolabel_share=0.0)))
    return cut


def _num_cycles(hyperparameters: Hyperparameters) -> int:
    return int(hyperparameters.schedule.full_args(epochs=hyperparameters.training.epochs)["num_cycles"])


def _differences(hyperparameters: Hyperparameters, other: Hyperparameters) -> dict[str, JsonValue]:
    values, others = hyperparameters.to_dict(), other.to_dict()
    return {name: value for name, value in values.items() if value != others[name]}


def _rows_of_part(rows: IntArray, samples: Samples, heads: Sequence[Head], *, share: int, most: int) -> IntArray:
    """Return ``share`` of the ``rows`` of a fold, or as many up to ``most`` as it takes to have one of each class.

    Classes keep their shares of the rows, which often lie class by class, as folders do.
    """
    parts_of_class = _parts_of_class(list(_answers(samples.target[rows], heads)), len(rows))
    of_group = [0] * len(rows) if samples.groups is None else _occurrences(samples.groups[rows])
    rows = rows[np.lexsort((parts_of_class, np.array(of_group)))]
    answers = _answers(samples.target[rows], heads)
    firsts = dict.fromkeys(first for answer in answers for first in np.unique(answer, return_index=True)[1].tolist())
    num_kept = max(share, min(len(firsts), most))
    return rows[list(dict.fromkeys([*firsts, *range(len(rows))]))[:num_kept]]


def _answers(target: Target, heads: Sequence[Head]) -> Iterator[Target]:
    """Yield (N,) the classes of each question; of masks, whether there is any foreground."""
    columns = target.reshape(len(target), -1)
    for place in place_heads(heads):
        if place.head.task == "segmentation":
            yield columns[:, 0] > 0
        elif place.head.task != "regression":
            yield from classes_of(place.head, columns[:, place.targets]).T


def _parts_of_class(answers: Sequence[Target], num_rows: int) -> FloatArray:
    """Return (N,) which part of the rows with the same answers lies before each row: by it all are mixed evenly."""
    parts = np.zeros(num_rows, dtype=np.float32)
    if answers:
        _, kinds = np.unique(np.stack(answers, axis=1), axis=0, return_inverse=True)
        for kind in np.unique(kinds):
            alike = np.flatnonzero(kinds == kind)
            parts[alike] = (np.arange(len(alike)) + 0.5) / len(alike)
    return parts


def _occurrences(groups: StrArray) -> list[int]:
    """Return (N,) how many rows of its group come before each row."""
    seen: Counter[str] = Counter()
    numbers = []
    for group in groups.tolist():
        numbers.append(seen[group])
        seen[group] += 1
    return numbers
