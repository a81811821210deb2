"""Predictions of masks are blended, scored and submitted some rows at a time: the same bits as all at once."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from kaggle_ray import rows
from kaggle_ray.combine import Ensemble, Fits, select
from kaggle_ray.combine.choice import scored
from kaggle_ray.combine.fits import Blend
from kaggle_ray.decide import fit_decision
from kaggle_ray.metrics import DICE, MEAN_AP_IOU, MEAN_IOU, Metric
from kaggle_ray.pool.gather import Pool, gather
from kaggle_ray.rows import LazyRows, are_read_anew
from kaggle_ray.store.predictions import as_floats, quantised
from kaggle_ray.store.run import RunStore
from kaggle_ray.submission.cells import to_cells
from kaggle_ray.testing.masks import MaskRun
from kaggle_ray.types import Float64Array, FloatArray

SMALL = MaskRun(num_train=23, num_test=11, height=12, width=16, num_experiments=3, num_folds=3)
MASK_METRICS = [DICE, MEAN_AP_IOU]
SELF_MADE = Metric(
    name="right_pixels",
    score_fn=lambda target, values: float(np.mean((values > 0.5) == target)),
    greater_is_better=True,
    decision="mask",
    mean_over_rows=True,
)


@pytest.fixture(autouse=True)
def _blocks_of_two_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_BLOCK_VALUES", 2 * SMALL.num_pixels)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    return SMALL.write(tmp_path_factory.mktemp("masks"))


@pytest.fixture
def pool(store: RunStore) -> Pool:
    return gather(store, SMALL.folds, SMALL.experiments, SMALL.test_ids)


def in_memory(pool: Pool) -> Pool:
    return dataclasses.replace(
        pool,
        oof={name: values[:] for name, values in pool.oof.items()},
        test={name: values[:] for name, values in pool.test.items()},
    )


def at_once(metric: Metric) -> Metric:
    return dataclasses.replace(metric, mean_over_rows=False)


def selected(pool: Pool, metric: Metric, method: str) -> Ensemble:
    return select(pool.oof, SMALL.target, SMALL.folds.fold_of, metric, method)


def submitted(pool: Pool, ensemble: Ensemble) -> list[tuple[str | float, ...]]:
    return list(to_cells(ensemble.apply(pool.test), SMALL.competition, ensemble.decision, ids=SMALL.test_ids))


def test_masks_stay_in_their_files_and_are_what_was_stored(store: RunStore, pool: Pool) -> None:
    folds = SMALL.folds
    for experiment in SMALL.experiments:
        oof, test = pool.oof[experiment.experiment_id], pool.test[experiment.experiment_id]
        assert are_read_anew(oof)
        assert are_read_anew(test)
        tests = []
        for trial_fold in range(SMALL.num_folds):
            paths = list(
                Path(store.location).glob(f"trials/{experiment.experiment_id}/fold{trial_fold}/attempts/*/*.npy")
            )
            arrays: dict[str, FloatArray] = {path.stem: as_floats(np.load(path)) for path in paths}
            assert oof[folds.valid_rows(trial_fold)].tobytes() == arrays["valid"].tobytes()
            tests.append(arrays["test"])
        mean = np.mean(np.stack(tests), axis=0, dtype=np.float64).astype(np.float32)
        assert test[:].tobytes() == mean.tobytes()


@pytest.mark.parametrize("metric", [*MASK_METRICS, SELF_MADE], ids=lambda metric: metric.name)
def test_the_score_of_some_rows_at_a_time_is_that_of_all_at_once(pool: Pool, metric: Metric) -> None:
    for values in pool.oof.values():
        streamed = metric.score(SMALL.target, values)
        assert streamed == metric.score(SMALL.target[:], values[:])
        assert streamed == pytest.approx(metric.score_fn(SMALL.target[:], values[:]), rel=1e-12)
        assert metric is SELF_MADE or streamed == at_once(metric).score(SMALL.target, values)


def test_the_classes_of_pixels_are_scored_some_rows_at_a_time_as_all_at_once() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, (9, 50)).astype(np.uint8)
    values = rng.random((9, 150), dtype=np.float32)
    assert MEAN_IOU.score(target, LazyRows(values.shape, lambda rows: values[rows])) == MEAN_IOU.score_fn(
        target, values
    )


@pytest.mark.parametrize("metric", [*MASK_METRICS, SELF_MADE], ids=lambda metric: metric.name)
def test_the_rule_for_masks_is_fitted_to_some_rows_at_a_time_as_to_all_at_once(pool: Pool, metric: Metric) -> None:
    for values in pool.oof.values():
        assert fit_decision(metric, SMALL.target, values) == fit_decision(at_once(metric), SMALL.target[:], values[:])


@pytest.mark.parametrize("method", ["mean", "greedy"])
@pytest.mark.parametrize("metric", MASK_METRICS, ids=lambda metric: metric.name)
def test_an_ensemble_and_its_submission_are_the_same_streamed_and_in_memory(
    pool: Pool, metric: Metric, method: str
) -> None:
    streamed = selected(pool, metric, method)
    whole = selected(in_memory(pool), at_once(metric), method)
    assert streamed.weights == whole.weights
    assert streamed.decision == whole.decision
    assert (streamed.score_honest, streamed.score_in_sample) == (whole.score_honest, whole.score_in_sample)
    assert streamed.oof[:].tobytes() == whole.oof[:].tobytes()
    total = sum(np.float64(weight) * pool.test[name][:].astype(np.float64) for name, weight in whole.weights.items())
    assert streamed.apply(pool.test)[:].tobytes() == np.asarray(total, dtype=np.float32).tobytes()
    cells = submitted(pool, streamed)
    assert cells == submitted(in_memory(pool), whole)
    assert len(set(cells)) == SMALL.num_test


@pytest.mark.parametrize("method", ["best", "mean", "greedy"])
@pytest.mark.parametrize("metric", MASK_METRICS, ids=lambda metric: metric.name)
def test_what_is_learnt_and_scored_of_some_folds_by_counts_is_so_by_their_masks(
    pool: Pool, metric: Metric, method: str
) -> None:
    seen = SMALL.folds.fold_of != 0
    of_folds = {name: values[:][seen] for name, values in pool.oof.items()}
    counted = Fits(pool.oof, SMALL.target, SMALL.folds.fold_of, metric)
    read = Fits(of_folds, SMALL.target[:][seen], SMALL.folds.fold_of[seen], at_once(metric))  # of no other rows
    assert counted.are_masks_counted
    assert not read.are_masks_counted
    everything = np.ones(seen.sum(), dtype=np.bool_)
    assert counted.blend(method, seen).is_same(read.blend(method, everything))
    assert scored(counted, method, seen).score == pytest.approx(scored(read, method, everything).score)


@pytest.mark.parametrize("method", ["best", "mean", "greedy"])
@pytest.mark.parametrize("metric", MASK_METRICS, ids=lambda metric: metric.name)
def test_other_masks_than_those_that_may_be_seen_have_no_say(metric: Metric, method: str) -> None:
    rng = np.random.default_rng(0)
    target, noise = (rng.random((44, 48)) < 0.5).astype(np.uint8), rng.random((2, 44, 48), dtype=np.float32)
    seen, fold_of = np.arange(44) < 4, np.arange(44) % 4

    def learnt(of_seen: Float64Array, of_others: Float64Array, whose: int) -> Blend:
        members = np.where(seen[:, np.newaxis], of_seen, noise).astype(np.float32)
        members[whose, ~seen] = of_others[~seen]
        fits = Fits(dict(zip("ab", members, strict=True)), target, fold_of, metric)
        assert fits.are_masks_counted
        return fits.blend(method, seen)

    step = 0.3 * target.astype(np.float64)
    low, high = 0.05 + step, 0.65 + step  # to be cut elsewhere than what is seen
    unlike = np.stack([0.2 + 0.3 * target, 0.4 + 0.4 * target])  # each is right where the other one is not
    for of_seen in (0.6 * target + 0.3 * noise * [[[1.0]], [[2.0]]], unlike):
        assert learnt(of_seen, low, 0).is_same(learnt(of_seen, high, 1))


def test_a_value_that_is_not_finite_is_named_by_its_row(pool: Pool) -> None:
    values = next(iter(pool.oof.values()))[:]
    values[17, 5] = np.nan
    with pytest.raises(Exception, match="got nan in row 17, column 5"):
        DICE.score(SMALL.target, values)


def test_the_ensembles_arrays_are_bytes(store: RunStore, pool: Pool) -> None:
    ensemble = selected(pool, DICE, "mean")
    store.save_ensemble("mean", {}, oof=ensemble.oof, test=ensemble.apply(pool.test), are_masks=True)
    for part, expected in (("oof", ensemble.oof), ("test", ensemble.apply(pool.test))):
        kept = np.load(Path(store.location) / f"ensembles/mean/{part}.npy")
        assert kept.dtype == np.uint8
        assert kept.tobytes() == quantised(expected[:]).tobytes()


_ALL_OF_A_RUN = """
    import resource, sys
    from pathlib import Path
    from kaggle_ray.combine import select
    from kaggle_ray.pool.gather import gather
    from kaggle_ray.metrics import DICE
    from kaggle_ray.store.run import RunStore
    from kaggle_ray.submission.cells import to_cells
    from kaggle_ray.testing.masks import MaskRun

    def peak_mib():
        return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024

    run = MaskRun(num_train=80, num_test=960, height=320, width=480)
    assert run.num_bytes > 600e6, run.num_bytes
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_mib()
    store = run.write(Path(sys.argv[1]))
    pool = gather(store, run.folds, run.experiments, run.test_ids)
    ensemble = select(pool.oof, run.target, run.folds.fold_of, DICE, "greedy")
    blended = ensemble.apply(pool.test)
    store.save_ensemble("greedy", {}, oof=ensemble.oof, test=blended, are_masks=True)
    cells = list(to_cells(blended, run.competition, ensemble.decision, ids=run.test_ids))
    assert len(cells) == run.num_test and all(cells)
    print(peak_mib() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of memory is read from Linux's /proc")
def test_600_mb_of_masks_are_written_blended_scored_and_submitted_in_100_mib(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(_ALL_OF_A_RUN), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 100
