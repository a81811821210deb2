"""What a model has to answer: one head per question, its columns side by side in a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np

from kaggle_ray.config.described import ADDED_LATER
from kaggle_ray.counted import counted
from kaggle_ray.decide import DECISIONS, default_score
from kaggle_ray.errors import ConfigError, KaggleRayError, suggest
from kaggle_ray.metrics import Metric, MetricPart, combine_metrics, likeliest, metric_by_name, of_shares
from kaggle_ray.types import FloatArray, IntArray, Target, Task

Scale = Literal["linear", "log", "log1p"]
"""What a number is taken for by the loss: itself, its logarithm, or the logarithm of 1 more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """One question about a sample, with its own loss and metric.

    >>> from kaggle_ray import Head, metric_by_name
    >>> Head(task="multiclass", classes=("cat", "dog", "horse"), metric=metric_by_name("accuracy")).num_outputs
    3

    Raises:
        ConfigError: on creation, where task and classes contradict each other.
    """

    task: Task
    metric: Metric
    classes: tuple[str, ...] = ()
    """Names in the order of the target's numbers: two for binary (the second is the positive one), the labels of
    multi-label. Segmentation: one is the foreground of a binary mask; several are the classes of a pixel, the
    background first. Regression has none."""
    name: str = "target"
    loss_weight: float = 1.0
    """Share of the loss that is trained on, relative to the other heads."""
    score_weight: float = 1.0
    """Share of the competition's score, relative to the other heads."""
    scale: Scale = field(default="linear", metadata=ADDED_LATER)
    """What the loss of a number is computed on: the number itself, its ``log`` (of numbers above 0), or its ``log1p``
    (of 0 and above), brought to mean 0 and deviation 1 over the rows that a fold trains on. Predictions, and so scores,
    ensembles and the submission, are in the unit of the files, whatever the scale."""
    soft: bool = field(default=False, metadata=ADDED_LATER)
    """Whether the truth of a row is a share for each class rather than a class: the probabilities of a table, or the
    votes of several annotators (``vote_shares``). The loss is the cross-entropy with the shares; the metric is of the
    shares where it knows of any, as log loss does, and else of the likeliest class, by which folds are stratified."""
    metrics: tuple[str | Metric, ...] = field(default=(), compare=False)
    """Metrics beside the head's own, by name or as they are: measured in each epoch, to be looked at. Nothing is chosen
    by them, so that they are no part of what an experiment's id is made of."""

    def __post_init__(self) -> None:
        """Check the number of classes."""
        if self.task not in get_args(Task):
            raise ConfigError(f"head {self.name!r}: there is no task {self.task!r}{suggest(self.task, get_args(Task))}")
        if not isinstance(self.metric, Metric):
            raise ConfigError(
                f"head {self.name!r}: expected a metric, got {self.metric!r}. Of a name, metric_by_name returns it: "
                f"metric=metric_by_name({self.metric!r})."
            )
        expected = {
            "binary": len(self.classes) == 2,
            "multiclass": len(self.classes) >= 2,
            "multilabel": len(self.classes) >= 1,
            "regression": not self.classes,
            "segmentation": len(self.classes) >= 1,
        }
        if not expected[self.task]:
            number = {"binary": "2 classes", "multiclass": "2 or more classes", "regression": "no classes"}
            raise ConfigError(
                f"head {self.name!r}: a {self.task} task has {number.get(self.task, '1 or more classes')}, "
                f"got {len(self.classes)}."
            )
        if len(set(self.classes)) < len(self.classes):
            raise ConfigError(
                f"head {self.name!r}: expected classes of different names, got {', '.join(self.classes)}."
            )
        DECISIONS.check(self.metric.decision)
        # Of several classes the most probable one of each pixel is the answer, whatever the metric.
        of_pixels = ("none", "mask") if len(self.classes) == 1 else ("none",)
        if self.task == "segmentation" and self.metric.decision not in of_pixels:
            raise ConfigError(
                f"head {self.name!r}: metric {self.metric.name!r} decides by {self.metric.decision!r}; masks of "
                f"{counted(len(self.classes), 'class')} are decided by "
                f"{' or '.join(map(repr, of_pixels))}."
            )
        if self.loss_weight <= 0 or self.score_weight < 0:
            raise ConfigError(
                f"head {self.name!r}: expected a loss_weight above 0 and a score_weight of at least 0, "
                f"got {self.loss_weight} and {self.score_weight}."
            )
        self._check_scale()
        if self.soft and not is_of_classes(self):
            raise ConfigError(
                f"head {self.name!r}: soft targets are shares of classes, got those of a {self.task} task."
            )
        if self.soft:
            object.__setattr__(self, "metric", of_shares(self.metric, self.task))
        self._check_further_metrics()

    @property
    def further_metrics(self) -> tuple[Metric, ...]:
        """The ``metrics``, as they score this head's task: labels are named above a threshold each, not one of all."""
        given = (metric_by_name(metric) if isinstance(metric, str) else metric for metric in self.metrics)
        of_labels = self.task == "multilabel"
        found = (
            replace(metric, decision="label_thresholds") if of_labels and metric.decision == "argmax" else metric
            for metric in given
        )
        return tuple(of_shares(metric, self.task) if self.soft else metric for metric in found)

    @property
    def num_outputs(self) -> int:
        """Outputs of the model: columns of a prediction, or of each pixel's."""
        return 1 if self.task in ("binary", "regression") else len(self.classes)

    @property
    def num_target_columns(self) -> int:
        """Columns of the target, where it stands beside those of other heads."""
        return len(self.classes) if self.has_columns else 1

    @property
    def has_columns(self) -> bool:
        """Whether its target, where it stands alone, is (N, T) rather than (N,)."""
        return self.task == "multilabel" or (self.task == "multiclass" and self.soft)

    def _check_scale(self) -> None:
        if self.scale not in get_args(Scale):
            raise ConfigError(f"head {self.name!r}: unknown scale {self.scale!r}{suggest(self.scale, get_args(Scale))}")
        if self.scale != "linear" and self.task != "regression":
            raise ConfigError(f"head {self.name!r}: a scale is for numbers, got {self.scale!r} of a {self.task} task.")

    def _check_further_metrics(self) -> None:
        """Raise ConfigError where one is unknown, comes twice, or does not score perfect answers of the task."""
        names = [metric.name for metric in self.further_metrics]
        taken = [self.metric.name, "score", "loss"]
        if twice := [name for number, name in enumerate(names) if name in [*taken, *names[:number]]]:
            raise ConfigError(
                f"head {self.name!r}: expected metrics of names other than {', '.join(taken)}, each once, "
                f"got {twice[0]!r}."
            )
        for metric in self.further_metrics:
            try:
                default_score(metric, *self._perfect_answers())
            except KaggleRayError as error:
                raise ConfigError(
                    f"head {self.name!r}: the metric {metric.name!r} does not score a {self.task} task. {error}"
                ) from error

    def _perfect_answers(self) -> tuple[Target, FloatArray]:
        """Return a few targets, each class or label among them, and values that predict them."""
        if self.task == "regression":
            numbers = np.array([0.0, 1.0, 2.0])
            return numbers, numbers[:, np.newaxis].astype(np.float32)
        one_hot = np.eye(max(2, len(self.classes)), dtype=np.float32)
        if self.task == "multilabel":
            labels = one_hot[:, : len(self.classes)]
            return labels.astype(np.int64), labels
        if self.task == "segmentation":  # the pixels of a single image
            classes = np.arange(len(one_hot), dtype=np.uint8)[np.newaxis]
            return classes, classes.astype(np.float32) if len(self.classes) == 1 else one_hot.reshape(1, -1)
        truth: Target = one_hot.astype(np.int64) if self.has_columns else np.arange(len(one_hot))
        return truth, one_hot[:, 1:] if self.task == "binary" else one_hot


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedHead:
    """A head and where its columns are."""

    head: Head
    outputs: slice
    """The head's columns in a prediction (N, C)."""
    targets: slice
    """The head's columns in a target (N, T)."""


def place_heads(heads: Sequence[Head]) -> tuple[PlacedHead, ...]:
    """Return the heads with their columns, which lie side by side in the heads' order."""
    placed: list[PlacedHead] = []
    output = target = 0
    for head in heads:
        outputs = slice(output, output + head.num_outputs)
        targets = slice(target, target + head.num_target_columns)
        placed.append(PlacedHead(head=head, outputs=outputs, targets=targets))
        output, target = outputs.stop, targets.stop
    return tuple(placed)


def is_of_classes(head: Head) -> bool:
    """Return whether a row's target is a class, or is labels: not a number, nor a mask."""
    return head.task in ("binary", "multiclass", "multilabel")


def class_columns(heads: Sequence[Head], target: Target) -> IntArray | None:
    """Return (N, L) the columns of a target that are classes or labels, None where it has none."""
    columns = target.reshape(len(target), -1)
    of_heads = [
        classes_of(place.head, columns[:, place.targets]) for place in place_heads(heads) if is_of_classes(place.head)
    ]
    return np.concatenate(of_heads, axis=1) if of_heads else None


def classes_of(head: Head, columns: Target) -> IntArray:
    """Return the classes (N, 1) or labels (N, L) of a head's target (N, T): of shares the likeliest."""
    if not head.soft:
        return columns.astype(np.int64)
    return likeliest(columns, head.task).reshape(len(columns), -1).astype(np.int64)


def without_shares(heads: Sequence[Head], target: Target) -> Target:
    """Return the target (N,) or (N, T) as if no head were soft: the likeliest class in the place of its shares."""
    if not any(head.soft for head in heads):
        return target
    columns = target.reshape(len(target), -1)
    of_heads = [
        classes_of(place.head, columns[:, place.targets]) if place.head.soft else columns[:, place.targets]
        for place in place_heads(heads)
    ]
    joined = np.concatenate(of_heads, axis=1)
    return joined if len(heads) > 1 or heads[0].task == "multilabel" else joined[:, 0]


def metric_of(heads: Sequence[Head]) -> Metric:
    """Return what predictions of all ``heads`` together are scored by: of several, the mean by ``score_weight``.

    Raises:
        ConfigError: the heads' metrics have different directions, or no head counts.
    """
    if len(heads) == 1:
        return heads[0].metric
    return combine_metrics(
        [
            MetricPart(
                metric=place.head.metric,
                target=place.targets if place.head.has_columns else place.targets.start,
                values=place.outputs,
                weight=place.head.score_weight,
            )
            for place in place_heads(heads)
        ]
    )


def check_heads(heads: Sequence[Head], *, where: str) -> None:
    """Raise ConfigError where there is no head, names repeat, or masks stand beside other heads."""
    names = [head.name for head in heads]
    if not heads or len(set(names)) != len(names):
        raise ConfigError(f"{where}: expected one head or more, each with a name of its own, got {names}.")
    if len(heads) > 1 and any(head.task == "segmentation" for head in heads):
        raise ConfigError(f"{where}: a segmentation head stands alone, got the heads {names}.")
    metric_of(heads)
