from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from kaggle_ray.data.duplicate_groups import DuplicateGroup, NearDuplicates
from kaggle_ray.data.folds import make_folds
from kaggle_ray.data.folds_csv import folds_from_csv, folds_to_csv
from kaggle_ray.data.given_folds import torn_groups, with_folds_of
from kaggle_ray.data.ids import as_ids
from kaggle_ray.data.inner import inner_split
from kaggle_ray.data.samples import Samples
from kaggle_ray.errors import FoldsError
from kaggle_ray.testing.samples import samples_of
from kaggle_ray.testing.toy import COMPETITION
from kaggle_ray.types import NO_FOLD, TRAIN_ONLY, Folds, StrArray

IDS = as_ids(["a", "b", "c", "d", "e", "f"])
GIVEN = "sample_id,fold\na,2\nb,0\nc,1\nd,0\ne,1\nf,2\n"


def samples(*, groups: StrArray | None = None) -> Samples:
    return samples_of(IDS, np.arange(6) % 2, test_ids=as_ids(["t"]), groups=groups)


def folds_of(text: str, folder: Path, of: Samples | None = None) -> Folds:
    file = folder / "folds.csv"
    file.write_text(text)
    competition, with_folds = with_folds_of(COMPETITION, of or samples(), file)
    return make_folds(competition.folds, with_folds, heads=COMPETITION.heads)


def test_folds_are_those_of_the_file_whatever_its_order_and_other_columns(tmp_path: Path) -> None:
    folds = folds_of(GIVEN, tmp_path)
    assert (folds.fold_of.tolist(), folds.num_folds) == ([2, 0, 1, 0, 1, 2], 3)
    of_mate = "fold,label,id\n" + "".join(f"{fold},x,{name}\n" for name, fold in zip("fedcba", "210102", strict=True))
    assert folds_of(of_mate, tmp_path).digest == folds.digest


def test_an_earlier_runs_folds_are_given_as_they_were(tmp_path: Path) -> None:
    folds = make_folds(COMPETITION.folds, samples(), heads=COMPETITION.heads)
    given = folds_of(folds_to_csv(folds), tmp_path)
    assert given.fold_of.tolist() == folds.fold_of.tolist()


def test_a_run_on_given_folds_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "folds.csv").write_text(GIVEN.replace("a,2", "a,-1"))
    competition, with_folds = with_folds_of(COMPETITION, samples(), tmp_path / "folds.csv")
    folds = make_folds(competition.folds, with_folds, heads=COMPETITION.heads)
    assert (folds.num_folds, folds.scored_rows().tolist()) == (3, [1, 2, 3, 4, 5])
    again = folds_from_csv(folds_to_csv(folds), competition.folds, samples(), expected_digest=folds.digest)
    assert again.fold_of.tolist() == folds.fold_of.tolist()


def test_one_fold_beside_rows_that_are_trained_on_is_a_holdout(tmp_path: Path) -> None:
    folds = folds_of("id,fold\na,0\nb,0\nc,-1\nd,-1\ne,-1\nf,-1\n", tmp_path)
    assert (folds.num_folds, folds.valid_rows(0).tolist(), folds.train_rows(0).tolist()) == (1, [0, 1], [2, 3, 4, 5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sample_id,fold\n", "expected a column 'fold' and one of ids, 'sample_id' or 'id', got no rows"),
        (GIVEN.replace("fold", "part"), "expected a column 'fold'"),
        (GIVEN + "a,1\n", "line 8: the id 'a' comes a second time"),
        (GIVEN + "z,1\n", "1 of 7 ids are none of the 6 training rows, such as z"),
        (GIVEN.replace("f,2\n", ""), "1 of 6 training rows are given no fold, such as f"),
        (GIVEN.replace("a,2", "a,two"), "line 2: expected a fold as a number, got 'two'"),
        (GIVEN.replace("a,2", "a,-3"), "line 2: expected a fold of at least -1, got -3"),
        (GIVEN.replace(",1", ",3"), r"expected the folds 0, 1, ... without a gap, got \[0, 2, 3\]"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FoldsError, match=message):
        folds_of(text, tmp_path)


def test_groups_that_given_folds_tear_apart_are_refused(tmp_path: Path) -> None:
    assert folds_of(GIVEN, tmp_path, samples(groups=as_ids(["a", "b", "c", "b", "c", "a"]))).num_folds == 3
    with pytest.raises(FoldsError, match="the given folds tear 1 of 5 groups apart, such as 'a'"):
        folds_of(GIVEN, tmp_path, samples(groups=as_ids(["a", "a", "c", "d", "e", "f"])))


def test_near_duplicates_in_several_folds_are_told(tmp_path: Path) -> None:
    pairs = (("a", "f"), ("b", "c"))
    found = NearDuplicates(groups=tuple(DuplicateGroup(train_ids=ids, is_merged=True) for ids in pairs))
    assert torn_groups(found, folds_of(GIVEN, tmp_path)) == [("b", "c")]


def test_folds_that_a_competition_gives_itself_need_no_file() -> None:
    given = dataclasses.replace(samples(), folds=np.array([0, 0, 0, 1, 1, 1]))
    scheme = dataclasses.replace(COMPETITION.folds, kind="given", num_folds=2)
    assert make_folds(scheme, given, heads=COMPETITION.heads).fold_of.tolist() == [0, 0, 0, 1, 1, 1]
    external = dataclasses.replace(given, train_only=np.arange(6) == 2)
    assert make_folds(scheme, external, heads=COMPETITION.heads).fold_of.tolist() == [0, 0, TRAIN_ONLY, 1, 1, 1]
    without = dataclasses.replace(external, folds=np.array([0, 0, NO_FOLD, 1, 1, 1]))
    assert make_folds(scheme, without, heads=COMPETITION.heads).fold_of.tolist() == [0, 0, TRAIN_ONLY, 1, 1, 1]
    with pytest.raises(FoldsError, match=r"the samples have none\. Let read"):
        make_folds(scheme, samples(), heads=COMPETITION.heads)


def test_an_inner_split_of_given_folds_keeps_the_classes_frequencies() -> None:
    rows, inner = inner_split("given", samples(), np.arange(6), share=0.5, seed=0, groups=None, heads=COMPETITION.heads)
    assert (len(rows), len(inner)) == (3, 3)
