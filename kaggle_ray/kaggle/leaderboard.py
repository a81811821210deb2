"""A downloaded leaderboard: which rank a score would have, and which share of the teams is not better."""

from __future__ import annotations

import csv
import io
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kaggle_ray.errors import DataError
from kaggle_ray.types import Float64Array


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where a score would stand on a leaderboard."""

    rank: int
    """1 is the best; teams of the same score share a rank."""
    num_teams: int
    medal: str | None
    """``gold``, ``silver`` or ``bronze``; None for none."""

    @property
    def top_percent(self) -> float:
        """The rank in percent of the teams: 1 is a team among the best in a hundred."""
        return 100 * self.rank / self.num_teams

    def __str__(self) -> str:
        """Return rank, percentile and medal in words."""
        medal = f", {self.medal}" if self.medal else ""
        return f"rank {self.rank} of {self.num_teams}, top {self.top_percent:.1f}%{medal}"


def read_leaderboard(path: Path) -> Float64Array:
    """Return the teams' scores of a CSV file with a column ``score``, or of the zip file that Kaggle makes of one.

    Raises:
        DataError: the file is missing, has no such column, or no scores.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(_text_of(path))))
    except (OSError, ValueError, csv.Error, zipfile.BadZipFile, StopIteration) as error:
        raise DataError(f"{path}: expected a leaderboard as CSV; {error}.") from error
    column = next((name for name in (rows[0] if rows else ()) if name.strip().lower() == "score"), None)
    if column is None:
        raise DataError(f"{path}: expected a column 'score', got {', '.join(rows[0]) if rows else 'no rows'}.")
    scores = [_number(row[column], path) for row in rows if row[column].strip()]
    if not scores:
        raise DataError(f"{path}: no team has a score.")
    return np.array(scores)


def standing_of(score: float, scores: Float64Array, *, greater_is_better: bool) -> Standing:
    """Return where a score would stand, as one team more than those on the leaderboard."""
    is_better = scores > score if greater_is_better else scores < score
    rank, num_teams = int(is_better.sum()) + 1, len(scores) + 1
    return Standing(rank=rank, num_teams=num_teams, medal=_medal(rank, num_teams))


def _medal(rank: int, num_teams: int) -> str | None:
    """Return the medal of a rank. Source: https://www.kaggle.com/progression, "Competition Medals"."""
    share = num_teams / 100
    if num_teams < 250:
        gold = math.ceil(10 * share) if num_teams < 100 else 10
        silver, bronze = math.ceil(20 * share), math.ceil(40 * share)
    else:
        gold = 10 + math.floor(0.002 * num_teams)
        silver, bronze = (50, 100) if num_teams < 1000 else (math.ceil(5 * share), math.ceil(10 * share))
    limits = {"gold": gold, "silver": silver, "bronze": bronze}
    return next((medal for medal, limit in limits.items() if rank <= limit), None)


def _text_of(path: Path) -> str:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as packed:
            name = next(name for name in packed.namelist() if name.endswith(".csv"))
            return packed.read(name).decode("utf-8-sig")
    return path.read_text(encoding="utf-8-sig")


def _number(text: str, path: Path) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise DataError(f"{path}: expected a score, got {text!r}.")
    return score
