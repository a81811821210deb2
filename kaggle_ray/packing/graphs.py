"""The ONNX graphs of a package: exported and compared one model after the other, those that cannot be told by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kaggle_ray.models.onnx_graph import NotExportableError
from kaggle_ray.pipeline.trained import OpenedRun
from kaggle_ray.train.graphs import export_model
from kaggle_ray.train.process import unprepared_after
from kaggle_ray.types import Trial


class GraphExporter:
    """Exports the models of a run, and keeps in mind how that went."""

    def __init__(self, run: str | Path, competition: Path) -> None:
        """Open the run; ``competition`` is its file, which may register models."""
        self._opened = OpenedRun(run, competition=competition, device="cpu")
        self.num_exported = 0
        self.difference = 0.0
        """The most that the graphs' logits differ from the models'; see ``train.graphs.ExportedModel``."""
        self.refused: dict[str, str] = {}
        """Name of an experiment whose models have no graph -> why."""

    def __call__(self, trial: Trial, epoch: int | None) -> Mapping[str, bytes]:
        """Return the graphs of a trial's model by the names of their files: none where it cannot be exported."""
        with unprepared_after():
            loaded = self._opened.load(trial, epoch)
            try:
                exported = export_model(loaded.predictor, loaded.hyperparameters.images.decoded_sides)
            except NotExportableError as error:
                self.refused[self._opened.experiments[trial.experiment_id].name] = str(error)
                return {}
        self.num_exported += 1
        self.difference = max(self.difference, exported.difference)
        return exported.graphs
