"""The near-duplicates among a competition's rows, and the groups that its folds keep together for them."""

from __future__ import annotations

from dataclasses import dataclass

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.duplicate_groups import NearDuplicates, group_near_duplicates
from kaggle_ray.data.head import class_columns
from kaggle_ray.data.samples import Samples
from kaggle_ray.images.near_duplicates import find_near_duplicates
from kaggle_ray.images.readers import reader_of
from kaggle_ray.types import StrArray


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundDuplicates:
    """The near-duplicates of a competition's rows."""

    near_duplicates: NearDuplicates
    groups: StrArray | None
    """(N,) groups that folds keep together; None where they are those that the samples declare."""
    num_decoded: int


def look_for_near_duplicates(competition: Competition, samples: Samples) -> FoundDuplicates:
    """Return the near-duplicates among the rows, and the groups that folds keep together for them."""
    found = find_near_duplicates(
        samples, channels=competition.channels, reader=reader_of(competition), cache_dir=default_cache_dir()
    )
    near_duplicates, groups = group_near_duplicates(
        found.pairs,
        samples,
        labels=class_columns(competition.heads, samples.target),
        num_folds=competition.folds.num_folds,
        ordered=competition.folds.kind == "time",
    )
    return FoundDuplicates(near_duplicates=near_duplicates, groups=groups, num_decoded=found.num_decoded)
