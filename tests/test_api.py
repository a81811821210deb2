"""``kaggle_ray.run`` and what it returns."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

import kaggle_ray
from kaggle_ray.config import HYPERPARAMETER_NAMES
from kaggle_ray.testing.submitted import read_cells
from kaggle_ray.testing.toy import TINY, TOY_FILE

POINTS: list[dict[str, Any]] = [{**TINY, "epochs": 2, "lr": 1e-2}, {**TINY, "epochs": 2, "lr": 1e-3}]
EXPERIMENTS: list[dict[str, Any] | kaggle_ray.Hyperparameters] = [POINTS[0], kaggle_ray.Hyperparameters(**POINTS[1])]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> kaggle_ray.RunResult:
    return kaggle_ray.run(
        TOY_FILE,
        experiments=EXPERIMENTS,
        data=toy_data,
        runs=tmp_path_factory.mktemp("api"),
        launcher="local",
        device="cpu",
        reporters=[],
    )


def test_every_public_name_resolves() -> None:
    assert len(kaggle_ray.__all__) == len(set(kaggle_ray.__all__))
    for name in kaggle_ray.__all__:
        assert getattr(kaggle_ray, name) is not None
    assert callable(kaggle_ray.run)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'kaggle_ray' has no attribute 'rnu'"):
        kaggle_ray.rnu  # noqa: B018


def test_the_repr_is_the_board_and_where_the_files_are(result: kaggle_ray.RunResult) -> None:
    text = repr(result)
    for word in ("small_resnet lr=0.01", "small_resnet lr=0.001", "ensemble (greedy)", "baseline", "log_loss"):
        assert word in text
    assert f"submission: {result.submission}" in text
    assert f"report:     {result.report}" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines()[:-2])) <= 120


def test_in_a_notebook_it_is_a_table_with_links(result: kaggle_ray.RunResult) -> None:
    html = result._repr_html_()
    assert html.count("<table") == 1
    assert "ensemble (greedy)" in html
    assert f'href="{result.submission}"' in html
    assert f'href="{result.report}"' in html


def test_the_score_is_the_ensembles_honest_one(result: kaggle_ray.RunResult) -> None:
    assert result.ensemble is not None
    assert result.score == result.ensemble.score_honest
    assert result.board.submitted is not None
    assert result.board.submitted.name.startswith("ensemble (auto: ")
    assert result.board.submitted.score == result.score
    assert result.board.submitted.standard_error == result.ensemble.standard_error


def test_experiments_are_a_data_frame_best_first(result: kaggle_ray.RunResult) -> None:
    frame = result.experiments
    assert list(frame.columns) == [
        "experiment", "score", "score_std", "weight", "folds", "seconds", "parameters", "layers", "flops",
        *HYPERPARAMETER_NAMES,
    ]  # fmt: skip
    assert len(frame) == 2
    assert frame["score"].is_monotonic_increasing
    assert sorted(frame["lr"]) == [1e-3, 1e-2]
    assert frame["folds"].tolist() == [2, 2]
    assert frame["weight"].sum() == pytest.approx(1)
    assert (frame["seconds"] > 0).all()


def test_files_are_where_it_says(result: kaggle_ray.RunResult) -> None:
    assert result.submission.is_file()
    assert result.report.is_file()
    assert result.submission.parent.parent == result.run_dir == result.report.parent
    assert list(read_cells(result.submission).ids) == result.pool.test_ids.tolist()
    assert json.loads(json.dumps(result.to_json()))["num_experiments"] == 2


def test_the_same_call_again_resumes(result: kaggle_ray.RunResult, toy_data: Path) -> None:
    again = kaggle_ray.run(
        TOY_FILE,
        experiments=EXPERIMENTS,
        data=toy_data,
        runs=result.run_dir.parent.parent,
        launcher="local",
        device="cpu",
        reporters=[],
    )
    assert again.num_epochs_trained == 0
    assert again.submission == result.submission


def test_without_a_reporter_of_ones_own_the_console_is_told(
    tmp_path: Path, toy_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kaggle_ray.run(TOY_FILE, experiments=EXPERIMENTS[:1], data=toy_data, runs=tmp_path, launcher="local", device="cpu")
    assert "finished in" in capsys.readouterr().out


def test_a_space_by_name_or_the_competitions_own_will_do(tmp_path: Path, toy_data: Path) -> None:
    own = kaggle_ray.run(TOY_FILE, data=toy_data, runs=tmp_path, launcher="local", budget="0s", reporters=[])
    assert own.experiments["lr"].tolist() == [1e-2, 1e-3]
    assert own.ensemble is None
    assert own.score is None
    assert "baseline" in repr(own)
    assert "baseline" in own._repr_html_()
    given = kaggle_ray.run(
        TOY_FILE,
        space=kaggle_ray.SearchSpace(base={**TINY, "epochs": 1}),
        overrides={"seed": 5},
        data=toy_data,
        runs=tmp_path,
        launcher="local",
        ensemble="mean",
        reporters=[],
    )
    assert given.experiments["seed"].tolist() == [5]
    assert given.ensemble is not None
    assert given.ensemble.method == "mean"


def test_a_budget_that_is_none_and_a_deadline_that_is_past_are_errors(tmp_path: Path, toy_data: Path) -> None:
    with pytest.raises(kaggle_ray.KaggleRayError, match="--budget soon"):
        kaggle_ray.run(TOY_FILE, data=toy_data, runs=tmp_path, budget="soon")
    with pytest.raises(kaggle_ray.KaggleRayError, match="in the past"):
        kaggle_ray.run(TOY_FILE, data=toy_data, runs=tmp_path, deadline="2020-01-01T00:00")


def test_the_old_name_of_a_keyword_still_works_and_says_so() -> None:
    old_run: Any = kaggle_ray.run
    with (
        pytest.warns(FutureWarning, match="kaggle_ray.run: 'ignore_twins' is now 'ignore_near_duplicates'"),
        pytest.raises(kaggle_ray.KaggleRayError, match="no 'no_such_competition'"),
    ):
        old_run("no_such_competition", ignore_twins=True)
    assert "ignore_twins" not in inspect.signature(kaggle_ray.run).parameters


def test_the_public_names_are_completed_and_typed() -> None:
    assert {"run", "Hyperparameters", "Competition"} <= set(dir(kaggle_ray)) == set(kaggle_ray.__all__)
    assert (Path(kaggle_ray.__file__).parent / "py.typed").exists()


def test_experiments_that_are_no_list_are_told_as_that(toy_data: Path, tmp_path: Path) -> None:
    with pytest.raises(kaggle_ray.KaggleRayError, match=r"experiments: expected a list of dictionaries"):
        kaggle_ray.run(TOY_FILE, experiments=dict(TINY), data=toy_data, runs=tmp_path)  # type: ignore[arg-type]
