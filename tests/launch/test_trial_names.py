from __future__ import annotations

from kaggle_ray.launch.trial_names import TrialNames
from kaggle_ray.types import FULL_DATA, Experiment, Trial


def experiment(digit: str, name: str) -> Experiment:
    return Experiment(experiment_id=digit * 12, name=name, hyperparameters={})


def name_of(digit: str, *experiments: Experiment, fold: int = 2) -> str:
    return TrialNames(lambda: experiments)(Trial(experiment_id=digit * 12, fold=fold))


def test_a_trial_is_named_by_what_tells_its_experiment_apart_and_by_its_fold() -> None:
    assert name_of("a", experiment("a", "resnet18 lr=0.001")) == "resnet18-lr0.001-fold2"
    assert name_of("a", experiment("a", "resnet18"), fold=FULL_DATA) == "resnet18-full"


def test_a_name_is_safe_as_a_files_name() -> None:
    name = name_of("a", experiment("a", "../../net/x blocks=[1, 2] head={'a': \"b\"}\n"))
    assert name == "net-x-blocks-1-2-head-a-b-fold2"


def test_names_that_are_the_same_once_they_are_safe_are_told_apart_by_their_ids() -> None:
    both = experiment("a", "net x=[1]"), experiment("b", "net x={1}")
    assert {name_of("a", *both), name_of("b", *both)} == {"net-x-1-aaaaaa-fold2", "net-x-1-bbbbbb-fold2"}


def test_a_long_name_is_cut_and_stays_unique() -> None:
    long = experiment("a", "net" + "x" * 200 + "1"), experiment("b", "net" + "x" * 200 + "2")
    names = [name_of("a", *long), name_of("b", *long)]
    assert len(set(names)) == 2
    assert max(map(len, names)) <= 70


def test_a_trial_of_an_unknown_experiment_is_named_by_its_id() -> None:
    assert name_of("c", experiment("a", "net")) == "cccccccccccc-fold2"


def test_an_experiment_that_a_search_adds_later_is_known_by_its_name() -> None:
    experiments = [experiment("a", "net")]
    names = TrialNames(lambda: experiments)
    assert names(Trial(experiment_id="a" * 12, fold=0)) == "net-fold0"
    experiments.append(experiment("b", "other"))
    assert names(Trial(experiment_id="b" * 12, fold=0)) == "other-fold0"
