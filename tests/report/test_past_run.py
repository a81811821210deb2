from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kaggle_ray
from kaggle_ray.cli import main
from kaggle_ray.errors import ConfigError, CorruptBlobError, IncompleteFoldsError, StoreError
from kaggle_ray.report.analysis import analysis_of
from kaggle_ray.report.comparison import compared
from kaggle_ray.store.opening import open_run as open_store
from kaggle_ray.testing.toy import TINY
from kaggle_ray.types import Trial

EXPERIMENTS = [{**TINY, "epochs": 2, "lr": lr} for lr in (0.05, 0.01)]


MEASURED_BY_MORE = """
from dataclasses import replace
from kaggle_ray.testing.toy import COMPETITION as TOY
COMPETITION = replace(TOY, heads=(replace(TOY.heads[0], metrics=("accuracy", "auc")),))
"""


@pytest.fixture(scope="module")
def result(toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> kaggle_ray.RunResult:
    competition = tmp_path_factory.mktemp("competition") / "toy.py"
    competition.write_text(MEASURED_BY_MORE)
    return kaggle_ray.run(
        competition, data=toy_data, runs=tmp_path_factory.mktemp("runs"), launcher="local", device="cpu", threads=1,
        reporters=[], experiments=EXPERIMENTS,
    )  # fmt: skip


def test_a_run_that_is_opened_again_shows_the_board_and_each_epoch(result: kaggle_ray.RunResult) -> None:
    past = kaggle_ray.open_run(result.run_dir)
    assert past.board == result.board
    assert set(past.experiments) == set(result.experiments["experiment"])
    history = past.history()
    assert history.groupby(["experiment", "fold"])["epoch"].apply(list).tolist() == [[1, 2]] * 4
    assert str(result.run_dir) in repr(past)
    assert "ensemble (greedy)" in past._repr_html_()
    curves = past.learning_curves()
    assert sorted(trace.name for trace in curves.data) == sorted(2 * list(past.experiments))
    assert curves.layout.yaxis.title.text == "log_loss"
    assert curves.layout.xaxis.dtick == 1, "there is no epoch between two"
    assert {trace.mode for trace in curves.data} == {"lines+markers"}


def test_metrics_beside_the_heads_own_are_in_the_history_of_training_and_of_validation(
    result: kaggle_ray.RunResult,
) -> None:
    history = kaggle_ray.open_run(result.run_dir).history()
    measured = history[["valid_accuracy", "valid_auc", "train_accuracy", "train_auc"]]
    assert ((measured >= 0) & (measured <= 1)).all(axis=None)
    assert np.isfinite(history["train_score"]).all()
    last = history[history["epoch"] == 2].groupby("experiment")["valid_auc"].mean()
    assert result.board.to_frame().set_index("name").loc[last.index, "auc"].tolist() == pytest.approx(last.tolist())
    (shown, *_), errors = compared([("", open_store(result.run_dir))])
    assert errors == []
    assert shown.cells["auc"] == pytest.approx(last[shown.row.name])
    assert "accuracy in training" in (result.run_dir / "report.html").read_text()


def test_predictions_are_those_of_the_run_joined_by_id(result: kaggle_ray.RunResult) -> None:
    past, pool = kaggle_ray.open_run(result.run_dir), result.pool
    for name, experiment in past.experiments.items():
        oof, test = past.predictions(name), past.predictions(experiment.experiment_id, of="test")
        np.testing.assert_allclose(oof.loc[pool.scored_ids.tolist()], pool.oof[experiment.experiment_id][:], rtol=1e-6)
        np.testing.assert_allclose(test.loc[pool.test_ids.tolist()], pool.test[experiment.experiment_id][:], rtol=1e-6)
    assert result.ensemble is not None
    blended = past.predictions(of="test")
    np.testing.assert_allclose(blended.loc[pool.test_ids.tolist()], result.ensemble.apply(pool.test)[:], rtol=1e-5)
    assert list(blended.columns) == [result.plan.competition.classes[1]]


def test_the_evaluation_table_gives_the_honest_score_and_is_there_without_the_competition(
    result: kaggle_ray.RunResult, tmp_path: Path
) -> None:
    copied = Path(shutil.copytree(result.run_dir, tmp_path / "toy" / "copied"))
    past = kaggle_ray.open_run(copied)
    rows = past.evaluation()
    assert rows["loss"].mean() == pytest.approx(result.score)
    assert rows["id"].tolist() == sorted(result.pool.scored_ids.tolist())
    truth = dict(zip(result.plan.samples.train_ids.tolist(), result.plan.samples.target.tolist(), strict=True))
    assert [("dark", "bright")[truth[each]] for each in rows["id"]] == rows["truth"].tolist()
    pd.testing.assert_frame_equal(rows, result.evaluation())
    wrong = past.evaluation(outcome="wrong")
    assert len(wrong) == (rows["truth"] != rows["answer"]).sum() == past.label_scores()["false_positive"].sum()
    for row in result.board.rows:
        if row.kind == "experiment":
            assert past.evaluation(row.name)["loss"].mean() == pytest.approx(row.score)
    assert past.histograms(num_bins=2)["there"].sum() == len(rows)
    (copied / "evaluation" / "rows.npy").write_bytes(b"other")
    with pytest.raises(CorruptBlobError, match=r"rows\.npy: is not what .*rows\.json was written with"):
        past.evaluation()
    with pytest.raises(CorruptBlobError, match=r"rows\.npy"):
        analysis_of(open_store(copied))
    shutil.rmtree(copied / "evaluation")
    assert analysis_of(open_store(copied)) is None
    with pytest.raises(StoreError, match="keeps no rows to be looked at"):
        past.evaluation()


def test_the_command_line_prints_the_rows_that_are_asked_for(
    result: kaggle_ray.RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(result.run_dir)
    main(["evaluate", run, "--csv", "--outcome", "wrong"])
    printed = pd.read_csv(io.StringIO(capsys.readouterr().out))
    expected = result.evaluation(outcome="wrong").sort_values("loss", ascending=False, kind="stable")
    assert printed["id"].tolist() == expected["id"].tolist()
    main(["evaluate", run])
    assert "20 of 60 rows" in capsys.readouterr().out
    main(["evaluate", run, "--table", "labels"])
    assert "precision" in capsys.readouterr().out


def test_the_report_has_curves_members_and_an_atlas_of_errors(result: kaggle_ray.RunResult) -> None:
    page = (result.run_dir / "report.html").read_text()
    for title in ("Learning rate", "Labels", "Members", "Error atlas", "The worst rows, by their loss"):
        assert title in page
    for figure in ("rates", "roc-0", "precision-0", "reliability-0", "member-path"):
        assert f'id="{figure}"' in page
        assert f'"{figure}":{{"data"' in page
    assert len(page) < 2_000_000
    store = open_store(result.run_dir)
    made_anew = analysis_of(store)
    assert made_anew is not None
    members = made_anew.kept.members
    assert members is not None
    assert set(members.names) == set(result.experiments["experiment"])
    assert list(members.scores) == sorted(members.scores), "the best one first"
    assert members.honest[0] == pytest.approx(members.scores[0])
    assert [row[at] for at, row in enumerate(members.correlation)] == pytest.approx([1, 1])
    worst = made_anew.kept.atlas.worst
    assert worst[0].loss == pytest.approx(result.evaluation()["loss"].max())


def test_a_gallery_shows_the_images_of_a_selection(
    result: kaggle_ray.RunResult, toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "wrong.html"
    selected = result.evaluation(probability=(0.0, 0.9))
    main(
        ["evaluate", str(result.run_dir), "--probability", "0", "0.9", "--gallery", str(out), "--data", str(toy_data),
         "--competition", str(result.plan.options.competition), "--limit", "3"]
    )  # fmt: skip
    assert capsys.readouterr().out.strip() == str(out)
    page = out.read_text()
    worst = selected.sort_values("loss", ascending=False, kind="stable")["id"].tolist()
    assert page.count("data:image/jpeg;base64,") == min(3, len(selected))
    assert all(sample_id in page for sample_id in worst[:3])
    assert "<script" not in page


def test_what_a_run_does_not_have_is_named(result: kaggle_ray.RunResult, tmp_path: Path) -> None:
    past = kaggle_ray.open_run(result.run_dir)
    name = next(iter(past.experiments))
    with pytest.raises(ConfigError, match=rf"has no experiment '{name}x'. Did you mean '{name}'\?"):
        past.predictions(f"{name}x")
    with pytest.raises(StoreError, match="is no run"):
        kaggle_ray.open_run(tmp_path)


def test_a_run_that_is_going_on_shows_what_it_has(result: kaggle_ray.RunResult, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(result.run_dir, folder)
    shutil.rmtree(folder / "ensembles")
    store = open_store(folder)
    name, experiment = next(iter(kaggle_ray.open_run(folder).experiments.items()))
    store.remove(Trial(experiment_id=experiment.experiment_id, fold=1))
    past = kaggle_ray.open_run(folder)
    assert len(past.history()) == 6
    with pytest.raises(IncompleteFoldsError, match="fold 1 is not committed"):
        past.predictions(name)
    with pytest.raises(StoreError, match="has no ensemble yet"):
        past.predictions()
