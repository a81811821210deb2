from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.kaggle.choosing import Candidate, choose_two
from kaggle_ray.kaggle.expected import ExpectedScore, expected_score
from kaggle_ray.kaggle.leaderboard import read_leaderboard, standing_of
from kaggle_ray.kaggle.verdict import AdversarialAuc, verdict_on

EXPECTED = ExpectedScore(score=0.30, low=0.28, high=0.32, level=0.9, oof_std=0.006, public_std=0.01)
APART = AdversarialAuc(of_folds=(0.9, 0.92, 0.88, 0.91, 0.9))
ALIKE = AdversarialAuc(of_folds=(0.5, 0.51, 0.49, 0.5, 0.51))
LEADERBOARDS = Path(__file__).resolve().parents[3] / "shared" / "data" / "leaderboards"


def test_the_interval_has_the_noise_of_both_scores() -> None:
    rows = np.random.default_rng(0).normal(size=400)
    found = expected_score(
        lambda chosen: float(rows[chosen].mean()), score=float(rows.mean()), num_rows=400, num_public=100
    )
    assert found.oof_std == pytest.approx(0.05, rel=0.1)
    assert found.public_std == pytest.approx(0.1, rel=0.1)
    assert (found.high - found.low) / 2 == pytest.approx(1.645 * np.hypot(0.05, 0.1), rel=0.1)


def test_an_interval_of_few_draws_holds_as_many_public_scores_as_one_of_many() -> None:
    rng = np.random.default_rng(0)

    def holds(seed: int) -> bool:
        rows, public = rng.normal(size=200), rng.normal(size=100)
        found = expected_score(
            lambda chosen: float(rows[chosen].mean()), score=float(rows.mean()), num_rows=200, num_public=100,
            num_draws=39, seed=seed,
        )  # fmt: skip
        return found.holds(float(public.mean()))

    assert np.mean([holds(seed) for seed in range(800)]) == pytest.approx(0.9, abs=0.02)  # 0.85 by plain quantiles


def test_rows_that_belong_together_tell_less() -> None:
    values, groups = np.repeat(np.random.default_rng(0).normal(size=50), 8), np.repeat(np.arange(50), 8).astype(str)
    alone, together = (
        expected_score(
            lambda rows: float(values[rows].mean()),
            score=0.0,
            num_rows=400,
            num_public=200,
            groups=given,
            num_draws=300,
        )
        for given in (None, groups)
    )
    assert together.std / alone.std == pytest.approx(np.sqrt(8), rel=0.2)


def test_too_few_rows_tell_nothing() -> None:
    with pytest.raises(ConfigError, match="at least 20 rows, or groups of rows, and a public one, got 19 and 5"):
        expected_score(lambda rows: 0.0, score=0.0, num_rows=19, num_public=5)


@pytest.mark.parametrize(
    ("public", "adversarial", "folds", "cause"),
    [
        (0.31, APART, (), "noise"),
        (0.36, APART, (), "shift"),
        (0.20, APART, (), "shift"),
        (0.36, ALIKE, (), "leak"),
        (0.20, ALIKE, (), "cannot tell"),
        (0.36, ALIKE, (0.25, 0.38), "cannot tell"),
        (0.36, None, (), "cannot tell"),
        (0.36, AdversarialAuc(of_folds=(0.5, 0.75)), (), "cannot tell"),
    ],
)
def test_a_gap_is_noise_shift_leak_or_cannot_be_told(
    public: float, adversarial: AdversarialAuc | None, folds: tuple[float, ...], cause: str
) -> None:
    found = verdict_on(public, EXPECTED, greater_is_better=False, fold_scores=folds, adversarial=adversarial)
    assert found.cause == cause
    assert f"{public:.5f}" in found.evidence[0]


def test_a_better_public_score_is_no_leak_whichever_way_is_up() -> None:
    assert verdict_on(0.36, EXPECTED, greater_is_better=True, adversarial=ALIKE).cause == "cannot tell"
    assert verdict_on(0.20, EXPECTED, greater_is_better=True, adversarial=ALIKE).cause == "leak"


def test_ranks_are_shared_and_turn_with_the_direction(tmp_path: Path) -> None:
    path = tmp_path / "board.csv"
    path.write_text("Rank,TeamName,Score\n1,a,0.1\n2,b,0.2\n2,c,0.2\n4,d,0.4\n")
    scores = read_leaderboard(path)
    assert standing_of(0.2, scores, greater_is_better=False).rank == 2
    assert standing_of(0.2, scores, greater_is_better=True).rank == 2
    assert standing_of(0.05, scores, greater_is_better=False).rank == 1
    assert standing_of(0.05, scores, greater_is_better=True).rank == 5
    with zipfile.ZipFile(tmp_path / "board.zip", "w") as packed:
        packed.write(path, "x-publicleaderboard.csv")
    assert read_leaderboard(tmp_path / "board.zip").tolist() == scores.tolist()


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "score\n", "score\nnan\n", "score\nx\n"])
def test_what_is_no_leaderboard_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "board.csv").write_text(text)
    with pytest.raises(DataError, match=r"board\.csv"):
        read_leaderboard(tmp_path / "board.csv")


@pytest.mark.parametrize(
    ("num_teams", "medals"), [(50, (5, 10, 20)), (200, (10, 40, 80)), (500, (11, 50, 100)), (2000, (14, 100, 200))]
)
def test_medals_go_to_as_many_as_kaggle_gives(num_teams: int, medals: tuple[int, int, int]) -> None:
    others = np.arange(1, num_teams, dtype=np.float64)
    names = [standing_of(rank - 0.5, others, greater_is_better=False).medal for rank in range(1, num_teams + 1)]
    assert (names.count("gold"), *np.cumsum([names.count("silver"), names.count("bronze")]) + medals[0]) == medals


@pytest.mark.skipif(not LEADERBOARDS.is_dir(), reason="no real leaderboards here")
def test_a_real_leaderboard_is_read() -> None:
    scores = read_leaderboard(LEADERBOARDS / "dogs-vs-cats-redux-kernels-edition.csv")
    found = standing_of(0.0388, scores, greater_is_better=False)
    assert (found.medal, found.num_teams) == ("gold", len(scores) + 1)


def test_the_pair_is_chosen_by_both_scores_and_what_each_is_worth() -> None:
    candidates = [
        Candidate(name=name, score=score, public_score=public)
        for name, score, public in (("steady", 0.300, 0.300), ("overfit", 0.350, 0.280), ("best", 0.290, 0.301))
    ]
    covariance = np.full((3, 3), 0.20) + 0.02 * np.eye(3)
    found = choose_two(
        candidates, covariance, num_oof=20_000, num_public=500, num_private=1500, greater_is_better=False
    )
    assert set(found.names) == {"steady", "best"}
    assert found.chance == pytest.approx(1, abs=0.02)
    upside_down = [Candidate(name=each.name, score=-each.score, public_score=-each.public_score) for each in candidates]
    again = choose_two(
        upside_down, covariance, num_oof=20_000, num_public=500, num_private=1500, greater_is_better=True
    )
    assert set(again.names) == set(found.names)


def test_one_submission_is_no_choice() -> None:
    with pytest.raises(ConfigError, match="expected two candidates or more"):
        choose_two(
            [Candidate(name="a", score=0.1, public_score=0.1)],
            np.ones((1, 1)),
            num_oof=9,
            num_public=9,
            num_private=9,
            greater_is_better=True,
        )
