from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import kaggle_ray
from kaggle_ray.combine import COMBINERS, select
from kaggle_ray.combine.combiner import Combiner, Fitted, FoldOf, WeightedMean
from kaggle_ray.combine.saved import saved_ensembles
from kaggle_ray.errors import ConfigError
from kaggle_ray.metrics import LOG_LOSS, Metric
from kaggle_ray.rows import Rows
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.combiner_contract import check_combiner
from kaggle_ray.testing.toy import TINY, TOY_FILE
from kaggle_ray.types import JsonValue

EXPERIMENTS = [{**TINY, "epochs": 1, "lr": lr} for lr in (1e-2, 3e-3, 1e-3)]
MEDIAN = """
import numpy as np

import kaggle_ray
from kaggle_ray.testing.toy import COMPETITION as COMPETITION


class Fitted:
    def __init__(self, weights):
        self.weights = weights

    def predict(self, members):
        return np.median(np.stack([members[name][:] for name in self.weights]), axis=0)

    def to_json(self):
        return {"names": list(self.weights)}


@kaggle_ray.register_combiner("median")
class Median:
    def fit(self, members, target, fold_of, metric):
        return Fitted({name: 1 / len(members) for name in sorted(members)})

    def from_json(self, value):
        return Fitted({name: 1 / len(value["names"]) for name in value["names"]})
"""


@pytest.fixture
def median_file(tmp_path: Path) -> Path:
    file = tmp_path / "with_median.py"
    file.write_text(MEDIAN)
    return file


@pytest.mark.parametrize("name", list(COMBINERS))
def test_every_combiner_of_ours_keeps_the_contract(name: str) -> None:
    check_combiner(COMBINERS[name](), calibrates=name == "tempered")


class First:
    """Takes the first member, whichever comes first."""

    def fit(self, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> Fitted:
        return WeightedMean(weights={next(iter(members)): 1.0})

    def from_json(self, value: Mapping[str, JsonValue]) -> Fitted:
        return WeightedMean.from_json(value)


class Forgetful(First):
    """Is not made anew from its JSON."""

    def fit(self, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> Fitted:
        return WeightedMean(weights={min(members): 1.0})

    def from_json(self, value: Mapping[str, JsonValue]) -> Fitted:
        return WeightedMean(weights={"member4": 1.0})


@pytest.mark.parametrize(
    ("combiner", "check"),
    [(First(), "the_order_of_the_members_changes_nothing"), (Forgetful(), "json_describes_all_that_was_learnt")],
)
def test_the_contract_finds_what_breaks_it(combiner: Combiner, check: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_combiner(combiner)
    assert check in str(caught.value.__notes__)


def test_a_combiner_that_weights_a_stranger_is_refused() -> None:
    class Stranger(First):
        def fit(self, members: Mapping[str, Rows], target: Rows, fold_of: FoldOf, metric: Metric) -> Fitted:
            return WeightedMean(weights={**dict.fromkeys(members, 0.5), "stranger": 0.5})

    kaggle_ray.register_combiner("stranger")(Stranger)

    values = np.full((6, 1), 0.5, dtype=np.float32)
    with pytest.raises(
        ConfigError, match=r"ensemble by Stranger: expected weights of \['a'\], got \['a', 'stranger'\]"
    ):
        select({"a": values}, np.arange(6) % 2, np.arange(6) % 3, LOG_LOSS, "stranger")


def test_a_combiner_of_the_competitions_file_makes_the_submission_and_predicts_anew(
    median_file: Path, toy_data: Path, tmp_path: Path
) -> None:
    def run(ensemble: str) -> kaggle_ray.RunResult:
        return kaggle_ray.run(
            median_file,
            experiments=EXPERIMENTS,
            data=toy_data,
            runs=tmp_path / "runs",
            launcher="local",
            device="cpu",
            threads=1,
            ensemble=ensemble,
            reporters=[],
        )

    result = run("median")
    check_combiner(COMBINERS["median"]())
    assert result.ensemble is not None
    expected = np.median(np.stack([values[:] for values in result.pool.test.values()]), axis=0)
    assert np.array_equal(result.ensemble.apply(result.pool.test)[:], expected.astype(np.float32))
    assert result.score is not None
    submitted = result.board.submitted
    assert submitted is not None
    assert (submitted.name, submitted.score) == ("ensemble (median)", result.score)
    store = open_run(result.run_dir)
    assert store.ensemble_names() == ["greedy", "mean", "median"]
    first = result.submission.read_bytes()
    predicted = kaggle_ray.predict(result.run_dir, data=toy_data, out=tmp_path / "again.csv")
    assert predicted.read_bytes() == first

    greedy = run("greedy")
    assert greedy.num_epochs_trained == 0
    chosen = {ensemble.method: ensemble.chosen for ensemble in saved_ensembles(store)}
    assert chosen == {"greedy": True, "mean": False, "median": False}, "it was fitted anew beside ours"


def test_an_ensemble_that_nobody_registers_any_more_is_removed(toy_data: Path, tmp_path: Path) -> None:
    def run() -> kaggle_ray.RunResult:
        return kaggle_ray.run(
            TOY_FILE, experiments=EXPERIMENTS[:1], data=toy_data, runs=tmp_path, launcher="local", reporters=[]
        )

    result = run()
    left_over = result.run_dir / "ensembles/gone/ensemble.json"
    left_over.parent.mkdir()
    left_over.write_bytes((result.run_dir / "ensembles/greedy/ensemble.json").read_bytes())
    assert run().submission.read_bytes() == result.submission.read_bytes()
    assert open_run(result.run_dir).ensemble_names() == ["auto", "greedy", "mean"]


def test_an_unknown_combiner_is_named_before_anything_is_trained(toy_data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown ensemble 'greddy'\. Did you mean 'greedy'\?"):
        kaggle_ray.run(TOY_FILE, data=toy_data, runs=tmp_path, ensemble="greddy", launcher="local", reporters=[])
    assert not list(tmp_path.iterdir())


def test_the_name_of_a_combiner_names_a_folder() -> None:
    for name in ("../up", "", "a b", "ü"):
        with pytest.raises(ConfigError, match="expected a name of letters, digits"):
            kaggle_ray.register_combiner(name)


def test_a_weighted_mean_is_json() -> None:
    fitted = WeightedMean.of(["b", "a", "c"], np.array([0.25, 0.75, 0.0]))
    assert list(fitted.weights.items()) == [("a", 0.75), ("b", 0.25)]
    assert WeightedMean.from_json(json.loads(json.dumps(fitted.to_json()))) == fitted
