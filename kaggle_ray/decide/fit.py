"""Fits the rule that a metric needs to some rows.

Shape legend: N rows, C columns of a prediction, L labels, P pixels.
"""

from __future__ import annotations

from kaggle_ray.decide.cutpoints import fit_cutpoints
from kaggle_ray.decide.decision import Decision, default_decision
from kaggle_ray.decide.labels import fit_labels
from kaggle_ray.decide.masks import fit_mask
from kaggle_ray.decide.own import BUILT_IN, DECISIONS
from kaggle_ray.metrics import Metric, own_target
from kaggle_ray.rows import Rows


def fit_decision(metric: Metric, target: Rows, values: Rows) -> Decision:
    """Return the rule under which ``values`` (N, C) score best, or near it where that would fit noise.

    Of several heads each has its own. It must not be scored on the rows that it was fitted to.
    """
    if metric.parts and metric.decision == "by_head":
        all_targets, all_values = target[:], values[:]
        of_heads = [(part, all_values[:, part.values]) for part in metric.parts]
        return Decision.by_head(
            [
                (of_head.shape[1], fit_decision(part.metric, own_target(part, all_targets), of_head))
                for part, of_head in of_heads
            ]
        )
    if metric.decision == "label_thresholds":
        return fit_labels(metric, target[:], values[:])
    if metric.decision == "mask":
        return fit_mask(metric, target, values)
    if metric.decision == "cutpoints" and values.shape[1] == 1:
        return Decision(kind="cutpoints", parameters={"cuts": fit_cutpoints(metric, target[:], values[:])})
    if metric.decision not in BUILT_IN:
        return Decision(
            kind=metric.decision, parameters=DECISIONS[metric.decision].fitted(metric, target[:], values[:])
        )
    return default_decision(metric, values.shape[1])
