"""What a run has trained predicts with test-time augmentation when it is over, as if that were asked for at first."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import kaggle_ray
from kaggle_ray.cli import main
from kaggle_ray.config.predict import TestTimeAugmentation
from kaggle_ray.errors import ConfigError, NothingToSubmitError, StoreError
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.pipeline.addition_options import AugmentOptions
from kaggle_ray.pipeline.augmenting import AugmentedRun, augment_run
from kaggle_ray.pipeline.option_values import TTA
from kaggle_ray.pipeline.team import ensemble_of_runs
from kaggle_ray.report.collect import board_of, report_of
from kaggle_ray.reporters.texts import score_text
from kaggle_ray.rows import select_rows
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.tasks import SIZE
from kaggle_ray.testing.toy import TOY_FILE
from kaggle_ray.train.predict_only import predict_only
from kaggle_ray.types import Trial
from tests.pipeline.test_predict_only import NUM_FOLDS, PLAIN, predictions_of, run


def augmented(data: Path, run_dir: Path, tta: Any, *experiments: str) -> AugmentedRun:
    return augment_run(
        AugmentOptions(
            run_dir, tta=tta, experiments=experiments or None, data=data, competition=TOY_FILE, launcher="local"
        )
    )


def test_the_bits_are_those_of_an_experiment_that_was_asked_for_at_first_and_all_that_reads_the_run_sees_it(
    toy_data: Path, tmp_path: Path
) -> None:
    both = run(toy_data, tmp_path / "both", [PLAIN, {**PLAIN, "tta": "hflip_sizes"}])
    first = run(toy_data, tmp_path / "first", [PLAIN])
    done = augmented(toy_data, first.run_dir, "hflip_sizes")

    (made,) = done.experiments
    assert done.result.num_epochs_trained == 0
    assert [each.experiment_id for each in done.result.tried] == [each.experiment_id for each in both.plan.experiments]
    assert predictions_of(done.result, done.result.tried[1]) == predictions_of(both, both.plan.experiments[1])
    assert done.result.submission.read_bytes() == both.submission.read_bytes()

    assert {each.view for each in report_of(open_run(both.run_dir)).views[made.name]} == {
        each.view for each in made.views
    }
    store = open_run(first.run_dir)
    scores = {row.name: row.score for row in board_of(store).rows}
    assert (made.score_before, made.score) == (scores["small_resnet"], scores["small_resnet tta=hflip_sizes"])
    assert made.gain == pytest.approx((made.score_before or 0) - (made.score or 0))
    assert made.name in report_of(store).experiments
    lineage = store.lineage(store.result(Trial(experiment_id=done.result.tried[1].experiment_id, fold=0)))  # type: ignore[arg-type]
    assert lineage.parents == (first.plan.experiments[0].experiment_id,)
    team = ensemble_of_runs(store, [], data=toy_data, out=tmp_path / "team", competition=TOY_FILE)
    assert made.name in {member.name for member in team.members}


def test_each_view_is_scored_alone_and_left_out(toy_data: Path, tmp_path: Path) -> None:
    done = augmented(toy_data, run(toy_data, tmp_path, [PLAIN]).run_dir, "hflip")
    views = done.experiments[0].views
    assert [view.view for view in views] == ["as it is", "mirrored"]
    assert dict(report_of(open_run(done.result.run_dir)).views) == {done.experiments[0].name: views}
    page = done.result.report.read_text()
    shown = re.findall(r"<td>(as it is|mirrored)</td><td>([^<]*)</td><td>([^<]*)</td>", page)
    assert shown == [(view.view, score_text(view.alone), f"{view.gain:+.5f}") for view in views]
    store, plan = open_run(done.result.run_dir), done.result.plan
    plain, made = done.result.tried
    for fold in range(NUM_FOLDS):
        of_plain, of_made = (store.result(Trial(experiment_id=e.experiment_id, fold=fold)) for e in (plain, made))
        assert of_plain is not None
        assert of_made is not None
        as_it_is, mirrored = of_made.views
        assert as_it_is.alone == mirrored.without == of_plain.score
        assert mirrored.alone == as_it_is.without
        rows = plan.folds.valid_rows(fold)
        truth = select_rows(plan.samples.target, rows)
        one, both = (store.predictions(each)[0].values.astype(np.float64) for each in (of_plain, of_made))
        assert mirrored.alone == pytest.approx(LOG_LOSS.score(truth, 2 * both - one), abs=1e-6)


def test_what_has_no_weights_any_more_is_named_and_a_rerun_of_the_run_keeps_what_was_added(
    toy_data: Path, tmp_path: Path
) -> None:
    first = run(toy_data, tmp_path, [PLAIN, {**PLAIN, "lr": 1e-2}], run_id="x", ensemble="best")
    store = open_run(first.run_dir)
    lost = first.plan.experiments[0]
    gone = store.result(Trial(experiment_id=lost.experiment_id, fold=1))
    assert gone is not None
    store.remove_weights(gone, keep=())
    with pytest.raises(NothingToSubmitError, match="the weights of fold"):
        augmented(toy_data, first.run_dir, "hflip", lost.name)
    done = augmented(toy_data, first.run_dir, ["hflip", "none"])
    assert {lost.name} < set(done.left_out)
    again = run(toy_data, tmp_path, [PLAIN, {**PLAIN, "lr": 1e-2}], run_id="x")
    assert again.num_epochs_trained == 0
    (made,) = done.experiments
    assert made.name in {each.name for each in again.tried}
    assert {each.name: each.score for each in board_of(store).rows}[made.name] == made.score


def test_what_was_cut_short_goes_on(toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(toy_data, tmp_path, [PLAIN], run_id="x")
    calls: list[Any] = []

    def once(*args: Any) -> Any:
        if calls:
            raise KeyboardInterrupt
        calls.append(args)
        return predict_only(*args)

    monkeypatch.setattr("kaggle_ray.train.trial.predict_only", once)
    with pytest.raises(KeyboardInterrupt):
        augmented(toy_data, first.run_dir, "hflip")
    monkeypatch.undo()
    done = augmented(toy_data, first.run_dir, "hflip")
    whole = augmented(toy_data, run(toy_data, tmp_path / "whole", [PLAIN]).run_dir, "hflip")
    assert done.result.submission.read_bytes() == whole.result.submission.read_bytes()


def test_what_cannot_be_is_refused_by_name(toy_data: Path, tmp_path: Path) -> None:
    first = run(toy_data, tmp_path / "runs", [PLAIN])
    with pytest.raises(ConfigError, match="--tta: there is no 'hflop'"):
        AugmentOptions(first.run_dir, tta="hflop")
    with pytest.raises(ConfigError, match="--tta: expected at least one"):
        AugmentOptions(first.run_dir)
    with pytest.raises(NothingToSubmitError, match="it is small_resnet itself"):
        augmented(toy_data, first.run_dir, "none")
    with pytest.raises(StoreError, match="is no experiment of it"):
        augmented(toy_data, first.run_dir, "hflip", "large_resnet")
    first.run_dir.rename(tmp_path / "moved")
    with pytest.raises(ConfigError, match="expected a run at its own place"):
        augmented(toy_data, tmp_path / "moved", "hflip")


def test_masks_are_mapped_back_and_each_view_is_scored_as_they_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "toy_masks.py"
    file.write_text("from kaggle_ray.testing.tasks import toy_of\n\nCOMPETITION = toy_of('masks')\n")
    network: dict[str, Any] = {"model": "unet", "model_args": {"width": 4, "depth": 2}, "image_size": SIZE}
    values = {**network, "batch_size": 16, "epochs": 1}
    where: dict[str, Any] = {"data": tmp_path / "data", "launcher": "local", "reporters": []}
    first = kaggle_ray.run(file, runs=tmp_path / "runs", experiments=[values], **where)
    done = kaggle_ray.augment(first.run_dir, tta="dihedral", competition=file, **where)
    assert len(done.experiments[0].views) == 8
    store = open_run(first.run_dir)
    plain, made = (store.result(Trial(experiment_id=each.experiment_id, fold=0)) for each in done.result.tried)
    assert plain is not None
    assert made is not None
    assert made.views[0].alone == plain.score


def test_the_command_line_tells_what_each_view_adds(
    toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(toy_data, tmp_path, [PLAIN])
    monkeypatch.chdir(first.run_dir.parent)
    capsys.readouterr()
    main([
        "augment", first.run_dir.name, "small_resnet", "--tta", "hflip", "--data", str(toy_data),
        "--competition", str(TOY_FILE), "--launcher", "local",
    ])  # fmt: skip
    told = capsys.readouterr().out
    assert "small_resnet tta=hflip" in told
    assert "mirrored" in told


def test_the_command_line_knows_every_augmentation() -> None:
    assert set(TTA) == set(get_args(TestTimeAugmentation))


def test_the_epoch_that_the_other_folds_chose_predicts_otherwise_too(toy_data: Path, tmp_path: Path) -> None:
    values = {**PLAIN, "epochs": 4, "epoch_rule": "other_folds", "schedule": "constant"}
    first = run(toy_data, tmp_path, [{**values, "lr": 1.0}, {**values, "lr": 3.0}], ensemble="mean")
    before = [member.parts[0].epochs for member in first.pool.members.values()]
    assert {epoch for epochs in before for epoch in epochs} - {None}, "an epoch before the last is best somewhere"
    done = augmented(toy_data, first.run_dir, "hflip")
    assert not done.left_out
    assert all(made.score is not None and made.gain is not None for made in done.experiments)
    after = [member.parts[0].epochs for member in done.result.pool.members.values()]
    assert sorted(after, key=str) == sorted([*before, *before], key=str), "it is the same epoch that predicts otherwise"
