"""What scores mean, on simulated leaderboards: do the intervals cover, and is the chosen pair the better one.

python tests/benchmarks/meaning.py              # 4,000 leaderboards
python tests/benchmarks/meaning.py --leaderboards 400
python tests/benchmarks/meaning.py --leaderboards 4000 --only accuracy      # all of one kind, intervals alone

A share of n leaderboards is off by a standard error of sqrt(0.9 * 0.1 / n) of where it would be on many: 0.9 percentage
points of 1,000, so that one in twenty of such figures is 2 points off by chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import click
import numpy as np
from record import Measured, record_options
from rich.table import Table

from kaggle_ray.kaggle.choosing import Candidate, choose_two
from kaggle_ray.kaggle.expected import ScoreOfRows, expected_score
from kaggle_ray.types import Float64Array, IntArray, StrArray

MADE_OF = ("log loss", "accuracy", "AUC", "log loss, groups of 8")


@dataclass(frozen=True, kw_only=True)
class Board:
    """One simulated competition with several submissions of one team."""

    metric: str
    truth: IntArray
    """(N + public + private,) 0 or 1."""
    logits_MR: Float64Array
    """(M, rows) what each submission predicts."""
    groups: StrArray | None
    num_oof: int
    num_public: int

    @property
    def greater_is_better(self) -> bool:
        """Of the metric."""
        return not self.metric.startswith("log loss")

    def score(self, submission: int, rows: IntArray) -> float:
        """Return the score of some rows."""
        if self.metric == "AUC":
            order = np.argsort(self.logits_MR[submission, rows])
            return auc(self.truth[rows][order], np.ones(len(rows)))
        return float(self.row_scores(submission)[rows].mean())

    def row_scores(self, submission: int) -> Float64Array:
        """Return (rows,) the score of each row."""
        logits = self.logits_MR[submission]
        if self.metric == "accuracy":
            return np.asarray((logits > 0) == self.truth, dtype=np.float64)
        return np.asarray(np.logaddexp(0, np.where(self.truth == 1, -logits, logits)), dtype=np.float64)


def simulate(metric: str, rng: np.random.Generator, *, num_submissions: int = 6) -> Board:
    """Return a competition of 300 to 3,000 training rows whose submissions err on much the same rows."""
    num_oof, num_public, num_private = (int(rng.integers(300, top)) for top in (3000, 1500, 3000))
    num_rows = num_oof + num_public + num_private
    groups = None
    difficulty = rng.normal(size=num_rows)
    if "groups" in metric:
        # Folds, and Kaggle's split, keep groups together: no group is on two sides.
        sides = np.repeat([0, 1, 2], [num_oof, num_public, num_private])
        group = np.concatenate([np.arange(size) // 8 for size in (num_oof, num_public, num_private)])
        groups = np.array([f"{side}-{number}" for side, number in zip(sides, group, strict=True)])
        _, inverse = np.unique(groups, return_inverse=True)
        difficulty = 0.6 * difficulty + 0.8 * rng.normal(size=inverse.max() + 1)[inverse]
    truth = (rng.random(num_rows) < rng.uniform(0.2, 0.8)).astype(np.int64)
    skill = rng.normal(1.5, 0.05, size=num_submissions)
    shared = np.where(truth == 1, 1, -1)[np.newaxis] * skill[:, np.newaxis] + 1.2 * difficulty
    logits = shared + 0.5 * rng.normal(size=(num_submissions, num_rows))
    return Board(metric=metric, truth=truth, logits_MR=logits, groups=groups, num_oof=num_oof, num_public=num_public)


def auc(truth: IntArray, weights: Float64Array) -> float:
    """Return the AUC of weighted rows in the order of what is predicted of them."""
    positive, negative = weights * truth, weights * (1 - truth)
    total = positive.sum() * negative.sum()
    return float((positive * (negative.cumsum() - negative / 2)).sum() / total) if total else 0.5


def scorer(board: Board) -> ScoreOfRows:
    """Return the score of the first submission on some training rows; of AUC the rows are sorted once."""
    if board.metric == "AUC":
        order = np.argsort(board.logits_MR[0, : board.num_oof])
        truth = board.truth[: board.num_oof][order]
        return lambda rows: auc(truth, np.bincount(rows, minlength=board.num_oof)[order].astype(np.float64))
    by_row = board.row_scores(0)
    return lambda rows: float(by_row[rows].mean())


def is_covered(board: Board, *, num_draws: int, seed: int) -> bool:
    """Return whether the 90% interval of the first submission holds its public score."""
    score_of = scorer(board)
    expected = expected_score(
        score_of,
        score=score_of(np.arange(board.num_oof)),
        num_rows=board.num_oof,
        num_public=board.num_public,
        groups=None if board.groups is None else board.groups[: board.num_oof],
        num_draws=num_draws,
        seed=seed,
    )
    return expected.holds(board.score(0, np.arange(board.num_oof, board.num_oof + board.num_public)))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What two ways of choosing two submissions led to."""

    chosen_has_best: bool
    usual_has_best: bool
    chosen_regret: float
    """How much worse the better of the pair is than the best of all, on the private rows."""
    usual_regret: float
    chance: float
    """That was said of the chosen pair."""


def choose(board: Board) -> Outcome:
    """Choose by ``choose_two``, and as people do: the best out of fold and the best public one."""
    num_all, num_seen = len(board.truth), board.num_oof + board.num_public
    spans = (np.arange(board.num_oof), np.arange(board.num_oof, num_seen), np.arange(num_seen, num_all))
    sign = 1.0 if board.greater_is_better else -1.0
    numbers = range(len(board.logits_MR))
    oof, public, private = (np.array([board.score(number, span) for number in numbers]) for span in spans)
    candidates = [Candidate(name=str(each), score=oof[each], public_score=public[each]) for each in numbers]
    rows = np.array([board.row_scores(number)[: board.num_oof] for number in numbers])
    choice = choose_two(
        candidates,
        np.cov(rows),
        num_oof=board.num_oof,
        num_public=board.num_public,
        num_private=num_all - num_seen,
        greater_is_better=board.greater_is_better,
    )
    usual = [int((sign * oof).argmax())]
    usual.append(next(each for each in np.argsort(-sign * public).tolist() if each not in usual))
    chosen = [int(name) for name in choice.names]
    best = (sign * private).max()
    regrets = [best - max(sign * private[pair]) for pair in (chosen, usual)]
    return Outcome(
        chosen_has_best=regrets[0] == 0,
        usual_has_best=regrets[1] == 0,
        chosen_regret=float(regrets[0]),
        usual_regret=float(regrets[1]),
        chance=choice.chance,
    )


def coverage(metric: str, num_boards: int, *, num_draws: int, seed: int = 0) -> float:
    """Return the share of leaderboards whose public score lies within its interval."""
    rng = np.random.default_rng((seed, MADE_OF.index(metric)))
    return float(np.mean([is_covered(simulate(metric, rng), num_draws=num_draws, seed=n) for n in range(num_boards)]))


def outcomes(metric: str, num_boards: int, *, seed: int = 1) -> list[Outcome]:
    """Return what choosing led to on each of so many leaderboards."""
    rng = np.random.default_rng((seed, MADE_OF.index(metric)))
    return [choose(simulate(metric, rng)) for _ in range(num_boards)]


@click.command()
@click.option("--leaderboards", default=4000, show_default=True, help="In all.")
@click.option("--draws", default=500, show_default=True, help="Of the rows, for an interval.")
@click.option("--only", type=click.Choice(MADE_OF), help="Of one metric, the intervals alone.")
@record_options
def main(leaderboards: int, draws: int, only: str | None, record: bool, note: str) -> None:
    """Simulate leaderboards of four kinds, a quarter each."""
    measured = Measured(benchmark="meaning", record=record, note=note)
    kinds = MADE_OF if only is None else (only,)
    of_kind = leaderboards // len(kinds)
    table = Table(title=f"{of_kind} leaderboards of each kind: 90% intervals of the public score")
    for column in ("metric", "covered", "± se"):
        table.add_column(column)
    for metric in kinds:
        covered = coverage(metric, of_kind, num_draws=draws)
        table.add_row(metric, f"{covered:.1%}", f"{np.sqrt(covered * (1 - covered) / of_kind):.1%}")
    measured.show(table)
    if only is None:
        measured.show(_pairs(leaderboards))
    measured.leave()


def _pairs(leaderboards: int) -> Table:
    table = Table(title="the pair that is chosen, and the pair of the best out of fold and the best public one")
    for column in ("metric", "has the private best", "as was said", "usual pair has it", "regret", "usual regret"):
        table.add_column(column)
    for metric in ("log loss", "accuracy"):
        found = outcomes(metric, leaderboards // 2)
        table.add_row(
            metric,
            f"{np.mean([each.chosen_has_best for each in found]):.1%}",
            f"{np.mean([each.chance for each in found]):.1%}",
            f"{np.mean([each.usual_has_best for each in found]):.1%}",
            f"{np.mean([each.chosen_regret for each in found]):.6f}",
            f"{np.mean([each.usual_regret for each in found]):.6f}",
        )
    return table


if __name__ == "__main__":
    main()
