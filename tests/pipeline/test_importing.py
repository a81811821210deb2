"""Predictions of a team mate without kaggle_ray join an ensemble as what they are: unproven, and without a score."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kaggle_ray
from kaggle_ray.cli import main
from kaggle_ray.errors import (
    ConfigError,
    CorruptBlobError,
    DataError,
    FoldsError,
    KaggleRayError,
    LeakError,
    StoreError,
)
from kaggle_ray.pipeline.importing import ImportedPlace
from kaggle_ray.pipeline.team import TeamEnsemble
from kaggle_ray.testing.toy import CLASSES, NUM_TEST, NUM_TRAIN, TINY, TOY_FILE
from kaggle_ray.types import Float64Array


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> Path:
    return kaggle_ray.run(
        TOY_FILE, experiments=[{**TINY, "epochs": 2, "lr": 2e-2}], data=toy_data,
        runs=tmp_path_factory.mktemp("own") / "runs", launcher="local", reporters=[], device="cpu",
    ).run_dir  # fmt: skip


@pytest.fixture
def oof(tmp_path: Path, toy_data: Path) -> Path:
    """A team mate's predictions of the scored rows, which are good ones."""
    train = pd.read_csv(toy_data / "train.csv")
    noise = np.random.default_rng(1).uniform(0, 0.4, NUM_TRAIN)
    train["label"] = np.where(train["label"] == CLASSES[1], 1 - noise, noise)
    return saved(train.sample(frac=1, random_state=0), tmp_path / "oof.csv")


@pytest.fixture
def test(tmp_path: Path, toy_data: Path) -> Path:
    """A team mate's predictions of the test rows."""
    rows = pd.read_csv(toy_data / "sample_submission.csv")
    rows["label"] = np.linspace(0, 1, NUM_TEST)
    return saved(rows[::-1], tmp_path / "test.csv")


def saved(frame: pd.DataFrame, file: Path) -> Path:
    frame.to_csv(file, index=False)
    return file


def with_folds(oof: Path, run: Path, *, renumbered: dict[int, int] | None = None) -> Path:
    """Write the run's folds into a team mate's file, under other numbers."""
    folds = pd.read_csv(run / "folds.csv").rename(columns={"sample_id": "id"})
    folds["fold"] = folds["fold"].replace(renumbered or {})
    return saved(pd.read_csv(oof).merge(folds, on="id"), oof)


def imported(
    run: Path,
    data: Path,
    test: Path,
    oof: Path | None = None,
    *,
    folds: Path | None = None,
    share: float | None = None,
    name: str | None = None,
) -> ImportedPlace:
    return kaggle_ray.import_predictions(
        test, oof, data=data, run=str(run), runs=run.parent.parent, folds=folds, share=share, name=name, user="bob"
    )


def ensembled(
    run: Path, data: Path, others: Sequence[ImportedPlace], out: Path, *, method: str = "auto"
) -> TeamEnsemble:
    places = [each.location for each in others]
    return kaggle_ray.ensemble_runs(run, *places, data=data, out=out, method=method, admit_unproven=True)


def submitted(made: TeamEnsemble) -> Float64Array:
    return pd.read_csv(made.submission).set_index("id").sort_index()["label"].to_numpy()


def test_same_folds_join_as_unproven_under_whatever_numbers(
    run: Path, toy_data: Path, oof: Path, test: Path, tmp_path: Path
) -> None:
    found = imported(run, toy_data, test, with_folds(oof, run, renumbered={0: 1, 1: 0}))
    assert (found.record.folds, found.record.user) == ("same", "bob")
    made = ensembled(run, toy_data, [found], tmp_path / "out", method="greedy")
    assert len(made.members) == 2
    of_bob = next(member for member in made.members if member.user == "bob")
    assert of_bob.standing == "unproven"
    assert of_bob.weight > 0.5, "it is much better than ours"
    assert (of_bob.score, made.score_honest) == (None, None)
    assert next(member for member in made.members if member.user != "bob").score is not None
    assert "had, or may have had, a say" in str(made.why_no_score)
    kept = json.loads((tmp_path / "out/ensembles/greedy/ensemble.json").read_text())
    assert {each["standing"] for each in kept["members"]} == {"proven", "unproven"}


@pytest.mark.parametrize("method", ["auto", "mean", "convex"])
def test_other_folds_are_blended_by_few_weights_and_labelled(
    run: Path, toy_data: Path, oof: Path, test: Path, tmp_path: Path, method: str
) -> None:
    found = imported(run, toy_data, test, oof)
    assert found.record.folds == "other", "nobody tells of any"
    made = ensembled(run, toy_data, [found], tmp_path / "out", method=method)
    assert [each.standing for each in made.members if each.user == "bob"] == ["unproven, other folds"]
    assert made.score_honest is None
    with pytest.raises(ConfigError, match="with predictions under other folds expected auto, mean, convex"):
        ensembled(run, toy_data, [found], tmp_path / "out", method="ridge")


def test_test_rows_alone_have_the_share_that_a_person_names(
    run: Path, toy_data: Path, test: Path, tmp_path: Path
) -> None:
    found = imported(run, toy_data, test, share=0.25)
    alone = submitted(ensembled(run, toy_data, [], tmp_path / "alone"))
    made = ensembled(run, toy_data, [found], tmp_path / "out")
    of_bob = pd.read_csv(test).set_index("id").sort_index()["label"].to_numpy()
    np.testing.assert_allclose(submitted(made), 0.75 * alone + 0.25 * of_bob, atol=1e-6)
    assert made.score_honest is None
    assert "test rows alone have a share of 0.25" in str(made.why_no_score)
    assert sorted(each.weight for each in made.members) == [0.25, 0.75]
    with pytest.raises(ConfigError, match="expected their share"):
        imported(run, toy_data, test)
    with pytest.raises(ConfigError, match="the shares of test rows alone sum to 1"):
        ensembled(run, toy_data, [found, imported(run, toy_data, test, share=0.75, name="more")], tmp_path / "out")


def test_nothing_imported_joins_unless_it_is_admitted(run: Path, toy_data: Path, oof: Path, test: Path) -> None:
    found = imported(run, toy_data, test, oof)
    with pytest.raises(ConfigError, match=r"nobody can prove .* --admit-unproven takes it"):
        kaggle_ray.ensemble_runs(run, found.location, data=toy_data)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda oof: oof[1:], DataError, "expected the ids of 60 rows, each once: 1 are missing, such as a"),
        (lambda oof: oof.assign(id="x" + oof["id"]), DataError, "60 are missing.*; 60 are of no such row, such as xa"),
        (lambda oof: oof.assign(fold=[-1, *[0] * 59]), LeakError, "1 row has the fold -1, such as"),
        (lambda oof: oof.assign(fold="first"), FoldsError, "expected a fold as a number, got 'first'"),
    ],
)
def test_rows_that_do_not_match_are_refused_by_name(
    change: Callable[[pd.DataFrame], pd.DataFrame], kind: type[KaggleRayError], message: str,
    run: Path, toy_data: Path, oof: Path, test: Path,
) -> None:  # fmt: skip
    with pytest.raises(kind, match=message):
        imported(run, toy_data, test, saved(change(pd.read_csv(oof)), oof))


def test_test_rows_that_are_missing_are_refused(run: Path, toy_data: Path, oof: Path, test: Path) -> None:
    with pytest.raises(DataError, match=r"test\.csv: expected the ids of 20 rows, each once: 2 are missing"):
        imported(run, toy_data, saved(pd.read_csv(test)[2:], test), oof)


def test_a_name_is_one_import_and_what_was_changed_since_is_refused(
    run: Path, toy_data: Path, oof: Path, test: Path, tmp_path: Path
) -> None:
    first = imported(run, toy_data, test, oof, name="bobs")
    assert imported(run, toy_data, test, oof, name="bobs") == first
    with pytest.raises(StoreError, match="is there already, and is something else"):
        imported(run, toy_data, test, share=0.5, name="bobs")
    with pytest.raises(StoreError, match="is there already, and is something else"):
        imported(run, toy_data, test, oof, name=run.name)
    values = Path(first.location) / "test.npy"
    values.write_bytes(values.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(CorruptBlobError, match=r"test\.npy: expected sha256"):
        ensembled(run, toy_data, [first], tmp_path / "out")


def test_the_command_line_imports_and_ensembles(
    run: Path, toy_data: Path, oof: Path, test: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    runs = str(run.parent.parent)
    folds = str(run / "folds.csv")
    main(["import", str(oof), str(test), "--data", str(toy_data), "--runs", runs, "--folds", folds, "--name", "bob's"])
    assert "20 test rows and 60 rows out of fold, under the run's folds" in capsys.readouterr().out
    place = str(run.parent / "bob's")
    main(["ensemble", str(run), place, "--data", str(toy_data), "--ensemble", "mean", "--admit-unproven"])
    printed = capsys.readouterr().out
    assert "no honest score" in printed
    assert "unproven" in printed
    assert (tmp_path / "team/submissions/submission.csv").is_file()

    main(["list", "--runs", runs])
    assert f"imported predictions, for kaggle-ray ensemble: {place}\n" in capsys.readouterr().out
    for command in (["board", place], ["push", place, str(tmp_path / "there")], ["status", place], ["delete", place]):
        with pytest.raises(SystemExit):
            main(command)
        assert f"kaggle-ray ensemble RUN {place} --admit-unproven" in capsys.readouterr().err.replace("\n", " ")
    assert Path(place, "oof.npy").is_file()
