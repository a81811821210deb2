"""The decision noun: a rule and its parameters.

Shape legend: N rows, C columns of a prediction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from kaggle_ray.counted import counted
from kaggle_ray.decide.label_sets import LabelSets
from kaggle_ray.decide.own import BUILT_IN, DECISIONS, OwnDecision
from kaggle_ray.errors import ConfigError, JsonShapeError
from kaggle_ray.metrics import CountsScore, Metric, with_parts
from kaggle_ray.rows import Rows
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import BoolArray, Float64Array, FloatArray, IntArray, JsonValue, Target


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """A rule that makes answers of predictions, a function of one row at a time."""

    kind: str
    """One of ours, or one that the competition's file registers."""
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    """none: empty; label_thresholds: ``thresholds``, one a label; expected_f: ``beta`` of the F-beta whose expectation
    a row's labels maximise, and of how probable these are ``scale`` and ``weights``, without which they are independent
    (``label_sets``); mask: ``threshold``, and ``min_pixels`` below which a
    mask is empty; cutpoints: ``cuts`` between the classes 0, 1, ..., ascending; argmax: empty, the most probable class
    is 1 and the others 0, and a single column is 1 above a half; round: empty, the nearest whole number; by_head:
    ``heads``, of each in turn its ``num_columns`` and the ``rule`` for them."""

    @staticmethod
    def by_head(rules: Sequence[tuple[int, Decision]]) -> Decision:
        """Return the rule that decides the columns of several heads, side by side: each by its own.

        Args:
            rules: of each head the number of its columns, and its rule.
        """
        heads: list[JsonValue] = [{"num_columns": num_columns, "rule": rule.to_json()} for num_columns, rule in rules]
        return Decision(kind="by_head", parameters={"heads": heads})

    def apply(self, values: FloatArray | Float64Array) -> FloatArray:
        """Return (N, C) the answers: 0 or 1, or a whole number; the values where nothing is to be decided."""
        if self.kind == "label_thresholds":
            return np.asarray(values > self._numbers("thresholds"), dtype=np.float32)
        if self.kind == "expected_f":
            return np.asarray(self._label_sets.best(values, self._number("beta")), dtype=np.float32)
        if self.kind == "mask":
            return np.asarray(self.masks(values), dtype=np.float32)
        if self.kind == "cutpoints" and values.shape[1] == 1:
            return np.asarray(np.searchsorted(self._numbers("cuts"), values), dtype=np.float32)
        if self.kind == "argmax":
            is_chosen = values > 0.5 if values.shape[1] == 1 else _is_most_probable(values)
            return np.asarray(is_chosen, dtype=np.float32)
        if self.kind == "round":
            return np.asarray(np.rint(values), dtype=np.float32)
        if self.kind == "by_head":
            rules = self.of_heads()
            ends = np.cumsum([num_columns for num_columns, _ in rules]).tolist()
            if ends[-1:] != [values.shape[1]]:
                raise JsonShapeError(
                    f"decision by_head: expected rules for {counted(values.shape[1], 'column')}, got {ends}."
                )
            answers = [rule.apply(values[:, end - num : end]) for (num, rule), end in zip(rules, ends, strict=True)]
            return np.concatenate(answers, axis=1)
        if self.kind not in BUILT_IN:
            return self._own.answers(values, self.parameters)
        return np.asarray(values, dtype=np.float32)

    @property
    def _own(self) -> OwnDecision:
        if self.kind not in DECISIONS:
            raise ConfigError(
                f"decision {self.kind!r}: no rule of this name is known here. Import the file that registers it, or "
                f"name the competition whose file does."
            )
        return DECISIONS[self.kind]

    def masks(self, values: FloatArray | Float64Array) -> BoolArray:
        """Return (N, P) whether each pixel is of the mask, of a rule for masks: the answers without their numbers."""
        masks = np.asarray(values > self.threshold)
        masks[np.count_nonzero(masks, axis=1) < self.min_pixels] = False
        return masks

    @property
    def _label_sets(self) -> LabelSets:
        if "weights" not in self.parameters:
            return LabelSets()
        return LabelSets(scale=self._number("scale"), weights=tuple(self._numbers("weights").tolist()))

    @property
    def threshold(self) -> float:
        """Value above which a pixel is of the mask, of a rule for masks."""
        return self._number("threshold")

    @property
    def min_pixels(self) -> float:
        """Pixels below which a mask is taken for empty, of a rule for masks."""
        return self._number("min_pixels")

    def of_heads(self) -> list[tuple[int, Decision]]:
        """Return the number of columns and the rule of each head, of a rule by head."""
        heads = from_json(tuple[_OfHead, ...], self.parameters["heads"], where=f"decision {self.kind}: heads")
        return [(head.num_columns, Decision.from_json(head.rule)) for head in heads]

    def whole_columns(self, num_columns: int) -> BoolArray:
        """Return (C,) whether the answers of a column are whole numbers."""
        if self.kind == "by_head":
            return np.concatenate([rule.whole_columns(num) for num, rule in self.of_heads()])
        is_whole = self.kind != "none" if self.kind in BUILT_IN else self._own.whole_numbers
        return np.full(num_columns, is_whole)

    def enlarged(self, times: float) -> Decision:
        """Return the same rule for masks of ``times`` as many pixels."""
        if self.kind != "mask":
            return self
        min_pixels = round(self.min_pixels * times)
        return dataclasses.replace(self, parameters={**self.parameters, "min_pixels": min_pixels})

    def to_json(self) -> dict[str, JsonValue]:
        """Return the decision as JSON."""
        return {"kind": self.kind, **self.parameters}

    @staticmethod
    def from_json(value: Mapping[str, JsonValue]) -> Decision:
        """Return the decision that ``to_json`` described."""
        parameters = {name: item for name, item in value.items() if name != "kind"}
        decision = from_json(Decision, {"kind": value.get("kind"), "parameters": parameters}, where="decision")
        if missing := [name for name in BUILT_IN.get(decision.kind, ()) if name not in parameters]:
            raise JsonShapeError(f"decision {decision.kind}: {missing} is missing.")
        return decision

    def _number(self, name: str) -> float:
        return from_json(float, self.parameters[name], where=f"decision {self.kind}: {name}")

    def _numbers(self, name: str) -> Float64Array:
        return np.array(from_json(list[float], self.parameters[name], where=f"decision {self.kind}: {name}"))


@dataclass(frozen=True, kw_only=True, slots=True)
class _OfHead:
    """What the parameters of a rule by head say of one head."""

    num_columns: int
    rule: Mapping[str, JsonValue]


def default_decision(metric: Metric, num_columns: int) -> Decision:
    """Return the rule that needs no fitting, for predictions of ``num_columns`` columns."""
    if metric.parts and metric.decision == "by_head":
        columns = [part.values.stop - part.values.start for part in metric.parts]
        rules = [default_decision(part.metric, num) for part, num in zip(metric.parts, columns, strict=True)]
        return Decision.by_head(list(zip(columns, rules, strict=True)))
    if metric.decision == "label_thresholds":
        thresholds = [metric.default_threshold] * num_columns
        return Decision(kind="label_thresholds", parameters={"thresholds": thresholds})
    if metric.decision == "mask":
        return Decision(kind="mask", parameters={"threshold": metric.default_threshold, "min_pixels": 0})
    if metric.decision == "cutpoints":
        return Decision(kind="round" if num_columns == 1 else "argmax")
    if metric.decision in BUILT_IN:
        return Decision(kind=metric.decision)
    return Decision(kind=metric.decision, parameters=DECISIONS[metric.decision].unfitted(num_columns))


def _is_most_probable(values_NC: FloatArray | Float64Array) -> BoolArray:
    """Return (N, C) True for each row's most probable column; of equal ones the first."""
    most_probable: BoolArray = values_NC.argmax(axis=1)[:, np.newaxis] == np.arange(values_NC.shape[1])
    return most_probable


def decided(metric: Metric, decision: Decision) -> Metric:
    """Return the metric of undecided values: the score of what ``decision`` makes of them."""
    if decision.kind == "none":
        return metric
    if metric.parts:
        of_heads = zip(metric.parts, decision.of_heads(), strict=True)
        return with_parts(metric, [decided(part.metric, rule) for part, (_, rule) in of_heads])

    def score_of_answers(target: Target, values: Float64Array) -> float:
        return metric.score_fn(target, decision.apply(values).astype(values.dtype))

    rescored = metric.rescored(score_of_answers, mean_over_rows=metric.mean_over_rows)
    if decision.kind == "mask" and metric.score_of_counts is not None:
        of_counts = without_small_masks(metric.score_of_counts, decision.min_pixels)
        return dataclasses.replace(rescored, score_of_counts=of_counts, cut_at=decision.threshold)
    return rescored


def without_small_masks(score_of_counts: CountsScore, min_pixels: float) -> CountsScore:
    """Return the scores where masks of fewer than ``min_pixels`` pixels are taken for empty."""

    def score(num_true: IntArray, num_cut: IntArray, num_both: IntArray) -> Float64Array:
        stays = num_cut >= min_pixels
        return score_of_counts(num_true, num_cut * stays, num_both * stays)

    return score


def default_score(metric: Metric, target: Rows, values: Rows) -> float:
    """Return the score of ``values`` (N, C) under the rule that needs no fitting."""
    return decided(metric, default_decision(metric, values.shape[1])).score(target, values)
