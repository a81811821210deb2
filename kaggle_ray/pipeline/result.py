"""What ``kaggle_ray.run`` returns: pleasant to look at, in a script and in a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from kaggle_ray.evaluation.selection import Outcome
from kaggle_ray.report.past_run import open_run as open_past_run
from kaggle_ray.store.opening import folder_of
from kaggle_ray.types import Experiment, JsonValue, Location

if TYPE_CHECKING:
    import pandas as pd

    from kaggle_ray.combine import Ensemble
    from kaggle_ray.pipeline.plan import RunPlan
    from kaggle_ray.pool.gather import Pool
    from kaggle_ray.report.board import Board


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    """A finished run, as the driver returns it.

    >>> import kaggle_ray
    >>> tiny = {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}, "image_size": 8, "epochs": 1}
    >>> result = kaggle_ray.run("digits", experiments=[tiny], launcher="local", reporters=[])
    >>> result.experiments["folds"].tolist()
    [5]
    """

    plan: RunPlan
    """What was run: competition, experiments, folds, and how."""
    tried: tuple[Experiment, ...]
    """The experiments, those included that a search has proposed."""
    submission: Path
    """The checked submission: the ensemble's, or the constant baseline's where no experiment is complete."""
    refit: Path | None
    """The checked submission of models of all rows; None where it was not asked for, or not finished."""
    report: Path
    """The HTML report."""
    board: Board
    """The leaderboard: experiments, ensembles and the baseline."""
    pool: Pool
    """Out-of-fold and test predictions of the complete experiments."""
    ensemble: Ensemble | None
    """The ensemble that was submitted; None where no experiment is complete."""
    num_failed: int
    """Trials that failed, in this session or so that they would fail again: the submission lacks their experiments."""
    num_epochs_trained: int
    """Epochs that were trained in this session, by trials that were not in the store already."""
    decoded_images: int
    """Images that were decoded in this session: those that the cache did not have."""
    seconds: float
    """Wall time of this session."""

    @property
    def location(self) -> Location:
        """Where the run is: its folder, or its URI. ``kaggle_ray.predict`` takes either."""
        return Location(self.plan.location)

    @property
    def run_dir(self) -> Path:
        """The run's folder. Raises StoreError where it has none on this machine."""
        return folder_of(self.plan.location)

    @property
    def score(self) -> float | None:
        """The honest score of the ensemble that was submitted; None where it has none."""
        return self.ensemble.score_honest if self.ensemble else None

    @property
    def experiments(self) -> pd.DataFrame:
        """One row per experiment, best first: name, score, spread, weight, folds, seconds, network, hyperparameters."""
        import pandas as pd

        by_name = {experiment.name: experiment for experiment in self.tried}
        rows = [
            {
                "experiment": row.name,
                "score": row.score,
                "score_std": row.score_std,
                "weight": row.weight,
                "folds": row.folds_done,
                "seconds": row.duration_s,
                "parameters": row.num_parameters,
                "layers": row.num_layers,
                "flops": row.flops,
                **by_name[row.name].hyperparameters,
            }
            for row in self.board.rows
            if row.kind == "experiment"
        ]
        return pd.DataFrame(rows)

    def evaluation(
        self,
        experiment: str | None = None,
        *,
        outcome: Outcome | None = None,
        label: str | None = None,
        combination: str | None = None,
        probability: tuple[float, float] | None = None,
        head: str | None = None,
    ) -> pd.DataFrame:
        """Return a row per scored row, with its truth, its answer and its loss; see ``PastRun.evaluation``."""
        return open_past_run(self.plan.location).evaluation(
            experiment, outcome=outcome, label=label, combination=combination, probability=probability, head=head
        )

    def to_json(self) -> dict[str, JsonValue]:
        """Return the summary that ``kaggle-ray run --json`` prints; its names are a contract."""
        best = self.board.best_experiment
        return {
            "run_dir": self.location,
            "submission": str(self.submission),
            "refit": None if self.refit is None else str(self.refit),
            "metric": self.board.metric,
            "greater_is_better": self.board.greater_is_better,
            "best_experiment": best.name if best else None,
            "best_score": best.score if best else None,
            "ensemble_score_honest": self.score,
            "ensemble_score_in_sample": self.ensemble.score_in_sample if self.ensemble else None,
            "num_experiments": len(self.tried),
            "num_trials": self.plan.num_trials,
            "num_failed": self.num_failed,
            "num_epochs_trained": self.num_epochs_trained,
            "decoded_images": self.decoded_images,
            "seconds": round(self.seconds, 3),
        }

    def __repr__(self) -> str:
        """Return the board as text, and where the submission and the report are."""
        from rich.console import Console

        console = Console(width=120, color_system=None, force_terminal=False)
        with console.capture() as capture:
            console.print(self.board.table())
        return f"{capture.get()}submission: {self.submission}\nreport:     {self.report}"

    def _repr_html_(self) -> str:
        """Return the board as an HTML table, and links to the submission and the report."""
        links = "".join(
            f'<li>{name}: <a href="{escape(str(path))}">{escape(str(path))}</a></li>'
            for name, path in (("submission", self.submission), ("report", self.report))
        )
        return f"{self.board._repr_html_()}<ul>{links}</ul>"
