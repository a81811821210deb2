"""Rules that turn predictions into the answers that a metric scores: fitted on some rows, applied to others."""

from kaggle_ray.decide.decision import Decision, decided, default_decision, default_score
from kaggle_ray.decide.fit import fit_decision
from kaggle_ray.decide.masks import MaskCounts, count_masks, fit_counted
from kaggle_ray.decide.own import BUILT_IN, DECISIONS, Rule, register_decision

__all__ = [
    "BUILT_IN",
    "DECISIONS",
    "Decision",
    "MaskCounts",
    "Rule",
    "count_masks",
    "decided",
    "default_decision",
    "default_score",
    "fit_counted",
    "fit_decision",
    "register_decision",
]
