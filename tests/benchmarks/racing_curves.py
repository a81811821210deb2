"""Records the curves that ``racing.py`` replays: every fold of many small experiments on the digits, run for real.

    python tests/benchmarks/racing_curves.py RUNS     # some hours of one core; a rerun is a resume

writes ``records/racing_curves.npz``. A half to tune a policy on and one that is held out have experiments of their own,
drawn alike: of 16 the learning rate and all else may be far off, 8 are what one would try knowing that.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import kaggle_ray
from kaggle_ray.errors import DataError
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.predictions import float_rows
from kaggle_ray.store.run import RunStore
from kaggle_ray.types import Trial, TrialResult

NUM_FOLDS, NUM_EPOCHS = 5, 5
HALVES = ("tune", "held_out")
CURVES = Path(__file__).parent / "records" / "racing_curves.npz"
Hyperparameters = dict[str, Any]
Models = list[tuple[str, dict[str, Any]]]


def wide_experiments() -> list[Hyperparameters]:
    """Return experiments whose hyperparameters are drawn independently, so that one draw has good and bad ones."""
    small: Models = [
        ("small_resnet", {"width": w, "blocks": b}) for w, b in ((8, [1, 1]), (16, [1, 1]), (16, [1, 1, 1]))
    ]
    models: Models = [*small, *(("resnet9", {"width": width}) for width in (4, 8))]
    return _drawn(models, number=32, lr=(3e-4, 5e-2), batch_sizes=[32, 64], augments=["shift", "none"], seed=0)


def close_experiments() -> list[Hyperparameters]:
    """Return experiments that are about as good as each other, of networks that differ."""
    models: Models = [("small_resnet", {"width": 16, "blocks": [1, 1, 1]}), ("resnet9", {"width": 8})]
    return _drawn(models, number=16, lr=(4e-3, 3e-2), batch_sizes=[64], augments=["none", "none", "shift"], seed=1)


def _drawn(
    models: Models,
    *,
    number: int,
    lr: tuple[float, float],
    batch_sizes: Sequence[int],
    augments: Sequence[str],
    seed: int,
) -> list[Hyperparameters]:
    rng = np.random.default_rng(seed)
    experiments = []
    for each in range(number):
        model, model_args = models[int(rng.integers(len(models)))]
        experiments.append(
            {
                "model": model,
                "model_args": {**model_args, "stem_stride": 1},
                "image_size": 8,
                "epochs": NUM_EPOCHS,
                "lr": round(float(np.exp(rng.uniform(*np.log(lr)))), 6),
                "batch_size": int(rng.choice(batch_sizes)),
                "augment": str(rng.choice(augments)),
                "seed": 1000 * seed + each,
            }
        )
    return experiments


def train(half: str, draw: str, runs: Path) -> Path:
    """Run what is left of a half of the experiments of a draw; return the run's folder."""
    experiments = wide_experiments() if draw == "wide" else close_experiments()
    run = kaggle_ray.run(
        "digits",
        experiments[HALVES.index(half) :: 2],
        runs=runs,
        run_id=f"{draw}_{half}",
        launcher="local",
        device="cpu",
        threads=1,
        dtype="float32",
        checkpoint_every_s=1e6,
    )
    assert run.run_dir is not None
    return run.run_dir


def record_curves(runs: Sequence[tuple[str, Path]], path: Path) -> None:
    """Write what ``racing_replay.Curves`` reads: of each experiment all epochs' scores and out-of-fold probabilities.

    Of a row the probability of its class is kept: log loss needs no other, nor does that of a blend.

    Args:
        runs: half and folder of each run; what is not complete of it is left out.
        path: of the file.
    """
    scores, of_target, hyperparameters, halves, ids = [], [], [], [], np.empty(0, dtype=np.str_)
    for half, run in runs:
        store = open_run(run)
        for experiment, results in _complete(store):
            valid = [store.predictions(result)[0] for result in results]
            own_ids = np.concatenate([each.sample_ids for each in valid])
            ids = ids if len(ids) else own_ids
            if ids.tolist() != own_ids.tolist():
                raise DataError(f"{run}: expected the rows of {runs[0][1]}, in the same folds, got others.")
            scores.append([[metrics.score for metrics in result.history] for result in results])
            labels = np.array([_labels()[each] for each in ids.tolist()])
            values = np.concatenate([float_rows(each.values)[:] for each in valid])
            of_target.append(values[np.arange(len(labels)), labels])
            hyperparameters.append(json.dumps(experiment, sort_keys=True))
            halves.append(half)
    np.savez_compressed(
        path,
        scores=np.array(scores, dtype=np.float32),
        of_target=np.array(of_target, dtype=np.float16),
        fold_of=np.repeat(np.arange(NUM_FOLDS, dtype=np.int8), [len(each.sample_ids) for each in valid]),
        half=np.array(halves),
        hyperparameters=np.array(hyperparameters),
    )


def _complete(store: RunStore) -> Iterator[tuple[Mapping[str, Any], list[TrialResult]]]:
    """Yield the hyperparameters and the folds' results of the experiments that have all of them."""
    for experiment in store.experiments():
        trials = [Trial(experiment_id=experiment.experiment_id, fold=fold) for fold in range(NUM_FOLDS)]
        results = [result for trial in trials if (result := store.result(trial)) and result.status == "committed"]
        if len(results) == NUM_FOLDS:
            yield experiment.hyperparameters, results


def _labels() -> dict[str, int]:
    """Return the label of each training image of the digits."""
    lines = Path("data/digits/train.csv").read_text().splitlines()[1:]
    return {sample_id: int(label) for sample_id, label in (line.split(",") for line in lines)}


def main() -> None:
    """Run what is left of both halves, and record them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of the run folders")
    options = parser.parse_args()
    runs = [(half, train(half, draw, options.runs)) for draw in ("wide", "close") for half in HALVES]
    record_curves(runs, CURVES)


if __name__ == "__main__":
    main()
