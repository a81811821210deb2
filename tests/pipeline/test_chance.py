"""Where labels are drawn by chance, a whole run says so: a search, chosen epochs, an ensemble, and decisions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import kaggle_ray
from kaggle_ray.combine import select
from kaggle_ray.metrics import metric_by_name
from kaggle_ray.testing.chance import NUM_CLASSES, truth_of
from kaggle_ray.types import FloatArray

NOISE = 3.0
"""Standard errors by which a score may be better than chance."""
WORSE = {"log_loss": 0.1, "accuracy": 0.1, "f2": 0.1}
"""What a score may be worse than the best answer that does not look: networks are surer than they are right."""


def chance(metric: str) -> tuple[float, float]:
    """Return what the best answer without a look at the pictures scores, and the standard error of the score."""
    truth = truth_of(metric)
    if metric == "accuracy":
        share = 1 / NUM_CLASSES
        return share, float(np.sqrt(share * (1 - share) / len(truth)))
    if metric == "log_loss":
        losses = -np.log(np.bincount(truth) / len(truth))[truth]
        return float(losses.mean()), float(losses.std() / np.sqrt(len(truth)))
    f2 = metric_by_name("f2")
    answers = [np.array(np.unravel_index(number, [2] * NUM_CLASSES)) for number in range(2**NUM_CLASSES)]
    rows = [
        np.array([f2.score(row[np.newaxis], answer[np.newaxis].astype(np.float32)) for row in truth])
        for answer in answers
    ]
    best = max(rows, key=lambda scores: float(scores.mean()))
    return float(best.mean()), float(best.std() / np.sqrt(len(truth)))


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "f2"])
def test_a_run_on_labels_by_chance_scores_chance(metric: str, tmp_path: Path) -> None:
    file = tmp_path / f"chance_{metric}.py"
    file.write_text(f"from kaggle_ray.testing.chance import chance_of\n\nCOMPETITION = chance_of({metric!r})\n")
    result = kaggle_ray.run(
        file, data=tmp_path / "data", runs=tmp_path / "runs", launcher="local", reporters=[], device="cpu",
        search="random", num_experiments=3,
    )  # fmt: skip
    expected, noise = chance(metric)
    scores = {row.name: row.score for row in result.board.rows if row.kind == "ensemble" and row.score is not None}
    assert len(scores) >= 3
    is_up = metric_by_name(metric).greater_is_better
    for name, score in scores.items():
        gain = score - expected if is_up else expected - score
        assert gain < NOISE * noise, f"{name} claims {score:.4f} where chance is {expected:.4f}"
        assert gain > -WORSE[metric], name


def test_what_is_chosen_by_the_scored_rows_beats_chance_and_is_no_honest_score() -> None:
    """A search over answers by chance: what is best on the rows themselves seems to know them."""
    target = truth_of("accuracy")
    rng, fold_of = np.random.default_rng(0), np.arange(len(target)) % 3
    members: dict[str, FloatArray] = {
        f"m{number:02d}": rng.dirichlet(np.ones(NUM_CLASSES), len(target)).astype(np.float32) for number in range(40)
    }
    made = select(members, target, fold_of, metric_by_name("accuracy"), "greedy")
    expected, noise = chance("accuracy")
    assert made.score_in_sample is not None
    assert made.score_honest is not None
    assert made.score_in_sample > expected + NOISE * noise
    assert abs(made.score_honest - expected) < NOISE * noise
