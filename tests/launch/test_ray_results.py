from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kaggle_ray.errors import ConfigError
from kaggle_ray.pipeline.driver import execute
from kaggle_ray.pipeline.options import RunOptions
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import EpochEnded
from kaggle_ray.testing.toy import TINY, TOY_FILE

EXPERIMENTS = [{**TINY, "epochs": 3, "lr": lr} for lr in (0.05, 0.01)]


def test_the_local_launcher_has_no_results_of_tune() -> None:
    with pytest.raises(ConfigError, match="--tune-results: only --launcher ray"):
        RunOptions(competition="digits", launcher="local", tune_results="results")


@dataclass
class Titles:
    """Looks at the titles of all processes at each epoch."""

    seen: set[str] = field(default_factory=set)

    def emit(self, envelope: Envelope) -> None:
        if isinstance(envelope.event, EpochEnded):
            self.seen |= set(subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout.splitlines())

    def close(self) -> None:
        pass


@pytest.mark.slow
@pytest.mark.ray
def test_tunes_own_tools_find_each_trial_by_its_name_with_its_epochs(toy_data: Path, tmp_path: Path) -> None:
    from ray.tune import ExperimentAnalysis

    titles = Titles()
    execute(
        RunOptions(
            competition=TOY_FILE, data=toy_data, runs=tmp_path / "runs", experiments=EXPERIMENTS, device="cpu",
            num_slots=2, tune_results=tmp_path / "results",
        ),
        reporters=[titles],
    )  # fmt: skip
    names = {f"small_resnet-lr{lr}-fold{fold}" for lr in (0.05, 0.01) for fold in (0, 1)}
    assert {f"ray::{name}" for name in names} & titles.seen, "Ray's dashboard shows processes by their titles"

    (session,) = (tmp_path / "results").iterdir()
    assert {folder.name for folder in session.iterdir() if folder.is_dir()} == names
    for name in names:
        assert list((session / name).glob("events.out.tfevents.*")), "TensorBoard's"
    analysis = ExperimentAnalysis(str(session))
    table = analysis.dataframe(metric="epoch", mode="max")
    assert set(table["config/trial"]) == names
    assert set(table["epoch"]) == {3}
    assert table["score"].notna().all()
    (epochs,) = {tuple(frame["epoch"].unique()) for frame in analysis.trial_dataframes.values()}
    assert epochs == (1, 2, 3)
    assert not any("kaggle_ray_message" in column for column in table.columns)
