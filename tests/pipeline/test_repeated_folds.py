"""Repeated folds: runs of the same rows, dealt to folds otherwise, are one ensemble, each proven by its own folds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import kaggle_ray
from kaggle_ray.cli import main
from kaggle_ray.errors import ConfigError, FoldsError
from kaggle_ray.testing.toy import NUM_TEST, TINY, TOY_FILE
from kaggle_ray.types import JsonValue

EXPERIMENT: dict[str, JsonValue] = {**TINY, "epochs": 2, "lr": 2e-2}
ALONE: dict[str, JsonValue] = {**EXPERIMENT, "lr": 5e-3}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> tuple[kaggle_ray.RunResult, ...]:
    """Two runs of one experiment, of other seed and folds; the second has another experiment, too."""
    folder = tmp_path_factory.mktemp("repeated")

    def run(fold_seed: int | None, *experiments: dict[str, JsonValue]) -> kaggle_ray.RunResult:
        return kaggle_ray.run(
            TOY_FILE, experiments=experiments, data=toy_data, runs=folder, launcher="local", reporters=[],
            device="cpu", fold_seed=fold_seed,
        )  # fmt: skip

    return run(None, EXPERIMENT), run(1, {**EXPERIMENT, "seed": 5}, ALONE)


def test_an_experiment_of_repeated_folds_is_one_member_the_mean_of_what_each_row_was_predicted_unseen(
    runs: tuple[kaggle_ray.RunResult, ...], toy_data: Path, tmp_path: Path
) -> None:
    first, second = (kaggle_ray.open_run(each.run_dir) for each in runs)
    assert first.record.folds_digest != second.record.folds_digest
    made = kaggle_ray.ensemble_runs(
        runs[0].run_dir, runs[1].run_dir, data=toy_data, out=tmp_path, method="mean", repeated_folds=True
    )
    (repeated,) = (each for each in made.members if each.name.endswith("(mean of 2 runs)"))
    (alone,) = (each for each in made.members if each is not repeated)
    ids = sorted(each.run_dir.name for each in runs)
    assert (repeated.run_id, alone.run_id) == (", ".join(ids), runs[1].run_dir.name)
    assert {each.standing for each in made.members} == {"proven, other folds"}
    rows = first.predictions().index
    by_experiment = {
        parsed.hyperparameters["seed"]: second.predictions(experiment=parsed.experiment_id).loc[rows].to_numpy()
        for parsed in runs[1].plan.experiments
    }
    expected = ((first.predictions().to_numpy() + by_experiment[5]) / 2 + by_experiment[0]) / 2
    got = np.load(tmp_path / "ensembles/mean/oof.npy")
    np.testing.assert_allclose(got[:, -1], expected[:, -1], atol=1e-6)
    assert made.score_honest is not None, "no model had seen the rows that it predicts"
    assert len(Path(made.submission).read_text().splitlines()) == NUM_TEST + 1


def test_other_folds_are_taken_only_as_repetitions(
    runs: tuple[kaggle_ray.RunResult, ...], toy_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(FoldsError, match="are repeated folds: --repeated-folds"):
        kaggle_ray.ensemble_runs(runs[0].run_dir, runs[1].run_dir, data=toy_data, out=tmp_path)
    with pytest.raises(ConfigError, match="--ensemble logistic: with predictions under other folds"):
        kaggle_ray.ensemble_runs(
            runs[0].run_dir, runs[1].run_dir, data=toy_data, out=tmp_path, method="logistic", repeated_folds=True
        )


def test_a_run_of_another_fold_seed_is_ensembled_by_the_command_line_and_added_to(
    runs: tuple[kaggle_ray.RunResult, ...], toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(runs[1].run_dir), str(runs[0].run_dir), "--data", str(toy_data), "--out", str(tmp_path)]
    main(["ensemble", *words, "--ensemble", "mean", "--repeated-folds"])
    assert "honest score 0." in capsys.readouterr().out
    done = kaggle_ray.augment(runs[1].run_dir, tta=["hflip"], data=toy_data, launcher="local", reporters=[])
    assert done.result.plan.folds.digest == runs[1].plan.folds.digest


def test_a_seed_that_deals_nothing_is_refused(toy_data: Path, tmp_path: Path) -> None:
    (tmp_path / "folds.csv").write_text("id,fold\n" + "".join(f"a{n:03d},{n % 3}\n" for n in range(60)))
    with pytest.raises(ConfigError, match="--fold-seed with --folds"):
        kaggle_ray.run(TOY_FILE, data=toy_data, runs=tmp_path, folds=tmp_path / "folds.csv", fold_seed=1)


def test_a_run_on_folds_of_a_file_is_ensembled_whatever_the_competition_says(toy_data: Path, tmp_path: Path) -> None:
    """The competition has two folds, and the file three."""
    (tmp_path / "folds.csv").write_text("id,fold\n" + "".join(f"a{n:03d},{n // 2 % 3}\n" for n in range(60)))
    run = kaggle_ray.run(
        TOY_FILE, experiments=[EXPERIMENT], data=toy_data, runs=tmp_path / "runs", launcher="local", reporters=[],
        device="cpu", folds=tmp_path / "folds.csv",
    )  # fmt: skip
    made = kaggle_ray.ensemble_runs(run.run_dir, data=toy_data, out=tmp_path / "out", method="mean")
    assert made.score_honest is not None
