from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path

import pytest
from rich.console import Console

import kaggle_ray
from kaggle_ray.cli import main
from kaggle_ray.errors import StoreError
from kaggle_ray.report.diff import ExperimentDiff, Side, diff_of, find_side
from kaggle_ray.report.explain import find_experiment
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.toy import TINY, TOY_FILE


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> Path:
    experiments = [{**TINY, "epochs": 1}, {**TINY, "epochs": 1, "lr": 0.02}]
    return kaggle_ray.run(
        TOY_FILE, experiments=experiments, data=toy_data, runs=tmp_path_factory.mktemp("diff"), launcher="local",
        reporters=[], device="cpu",
    ).run_dir  # fmt: skip


def side(run: Path, number: int) -> Side:
    store = open_run(run)
    return store, store.experiments()[number]


def drawn(diff: ExperimentDiff) -> str:
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(diff.view())
    return console.export_text()


def diff_with(scores: tuple[tuple[float | None, float | None], ...], *, greater_is_better: bool) -> ExperimentDiff:
    return ExperimentDiff(
        names=("first", "second"), metric="m", greater_is_better=greater_is_better, hyperparameters={}, of_runs=(),
        scores=scores, why_not_paired=None,
    )  # fmt: skip


def test_what_differs_is_named_and_the_folds_are_paired(finished: Path) -> None:
    diff = diff_of(side(finished, 0), side(finished, 1))
    assert diff.hyperparameters == {"lr": (0.001, 0.02)}
    scores = [
        json.loads(sorted(finished.glob(f"trials/{each.experiment_id}/fold{fold}/result.json"))[0].read_text())["score"]
        for fold in range(2)
        for each in open_run(finished).experiments()
    ]
    assert diff.differences == pytest.approx((scores[1] - scores[0], scores[3] - scores[2]))
    text = drawn(diff)
    assert f"{scores[1] - scores[0]:+.5f}" in text
    assert "0.001" in text


def test_the_verdict_knows_the_direction_of_the_metric() -> None:
    scores = ((0.5, 0.6), (0.5, 0.5), (0.5, 0.7), (None, 0.9))
    expected = "+0.10000 ± 0.05774 in m, the mean difference over 3 folds and its standard error; better in"
    assert diff_with(scores, greater_is_better=True).verdict == f"second is better: {expected} 2 of them."
    assert diff_with(scores, greater_is_better=False).verdict == f"second is worse: {expected} 0 of them."
    assert diff_with(((None, 0.1),), greater_is_better=True).verdict == "No fold has a score of both yet."


def test_runs_under_other_folds_are_not_paired(finished: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(finished, tmp_path / "toy" / "other"))
    record = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps({**record, "folds_digest": "0123456789ab"}))
    diff = diff_of(side(finished, 0), side(other, 1))
    assert diff.differences == ()
    assert diff.verdict.startswith("Their folds are not the same rows")
    assert [change.what for change in diff.of_runs] == ["folds"]
    (other / "run.json").write_text(json.dumps({**record, "metric": "accuracy"}))
    with pytest.raises(StoreError, match="nothing is compared"):
        diff_of(side(finished, 0), side(other, 1))


def test_experiments_are_named_by_their_run_or_are_of_the_latest(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = open_run(finished).experiments()
    runs = str(finished.parent.parent)
    main(["diff", first.experiment_id, f"{finished}/{second.name}", "--runs", runs])
    assert "in log_loss, the" in capsys.readouterr().out
    assert find_experiment(open_run(finished), first.experiment_id[:8]) == first
    with pytest.raises(SystemExit):
        main(["diff", first.experiment_id, "nothing", "--runs", runs])
    assert "'nothing' is no experiment of it" in capsys.readouterr().err


def test_a_name_of_other_runs_is_found_there_or_told_with_what_to_type(finished: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name, words in {"old": "net", "older": "net", "latest": None}.items():
        copy = runs / "toy" / name
        shutil.copytree(finished, copy)
        store = open_run(copy)
        first, second = store.experiments()
        if words:
            store.label(first.experiment_id, name=words)
            store.label(second.experiment_id, name=f"only {name}")
            os.utime(copy / "events.jsonl", (1.0, 1.0))
    record = runs / "toy/latest/run.json"
    record.write_text(record.read_text().replace(second.name, "timm/net lr=0.02"))
    assert find_side("timm/net lr=0.02", runs)[0].run_id == "latest"
    assert find_side("latest/timm/net lr=0.02", runs)[1].name == "timm/net lr=0.02"
    assert find_side("only older", runs)[0].run_id == "older"
    assert find_side(first.name, runs)[0].run_id == "latest"
    with pytest.raises(StoreError, match=r"several runs. Say which is meant: old/net, older/net\."):
        find_side("net", runs)
    for typed in ("old/net", f"{runs}/toy/old/net"):
        store, experiment = find_side(typed, runs)
        assert (store.run_id, experiment.name) == ("old", "net")
    diff = diff_of(find_side("old/net", runs), find_side("only older", runs))
    assert diff.names == ("old/net", "older/only older")
    assert len(diff.differences) == 2, "of two runs under the same folds"
