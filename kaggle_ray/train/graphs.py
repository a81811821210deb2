"""The ONNX graphs that predict in the place of a trial's model: one for each shape of image that it looks at.

Shape suffixes: N samples, V images of each, C channels, D columns of a table, H and W pixels.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kaggle_ray.images.cache import Images
from kaggle_ray.models import Output, main_logits
from kaggle_ray.models.model import mean_over_views
from kaggle_ray.models.onnx_graph import NotExportableError, OnnxGraph, exported
from kaggle_ray.models.varying import mean_of_there, padded, places_of
from kaggle_ray.store.attempt import GRAPH_ENDING
from kaggle_ray.store.trials import TrialStore
from kaggle_ray.train.inputs import Inputs
from kaggle_ray.train.predict import Predictor, model_of
from kaggle_ray.types import TrialResult

logger = logging.getLogger(__name__)

MAX_DIFFERENCE = 1e-4
"""The most that a graph's logits may differ from the model's, or where these are larger than 1, that share of them."""
_NUM_CHECKED = 5
"""Samples that graph and model are compared on: another number than the graph was exported with."""

ReadGraph = Callable[[str], bytes]
"""Returns a graph by its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportedModel:
    """The graphs of one model."""

    graphs: Mapping[str, bytes]
    """Name of the file -> graph."""
    difference: float
    """The most that their logits differ from the model's, as a share of the largest one where that is above 1."""


def export_model(predictor: Predictor, decoded_sides: tuple[int, int]) -> ExportedModel:
    """Return graphs for all that ``predictor`` asks its model of, compared with the model on images of noise.

    Args:
        predictor: on the CPU.
        decoded_sides: height and width in pixels of the images that it is given.

    Raises:
        NotExportableError: the model cannot be exported, or its graph answers otherwise.
        ConfigError: the extra is missing.
    """
    model = model_of(predictor.model)
    if model.fusion is not None:
        raise NotExportableError("it fuses several images, whose number no graph leaves open.")
    graphs: dict[str, bytes] = {}
    difference = 0.0
    for images_NCHW, table_ND in _asked_of(predictor, decoded_sides):
        if (name := graph_file(images_NCHW)) in graphs:
            continue
        graphs[name] = exported(model, images_NCHW[:1], None if table_ND is None else table_ND[:1])
        computed = OnnxGraph(graphs[name], num_threads=1)(images_NCHW, table_ND)
        with torch.inference_mode():
            expected = main_logits(model(images_NCHW, table_ND))
        difference = max(difference, float((computed - expected).abs().max() / expected.abs().max().clamp(min=1)))
    if not difference <= MAX_DIFFERENCE:
        raise NotExportableError(
            f"its graph answers otherwise: logits differ by {difference:.1e}, expected at most {MAX_DIFFERENCE:.0e}."
        )
    return ExportedModel(graphs=graphs, difference=difference)


class Graphs:
    """What a predictor asks in the place of its model."""

    def __init__(self, read: ReadGraph, *, num_threads: int) -> None:
        """Read a graph when it is first asked for."""
        self._read = read
        self._num_threads = num_threads
        self._opened: dict[str, OnnxGraph] = {}

    def __call__(self, images: Tensor, table_ND: Tensor | None, counts_N: Tensor | None = None) -> Tensor:
        """Return the logits of images (N, C, H, W), or the mean of those of each sample's (N, V, C, H, W).

        Where ``counts_N`` are given, samples have so many of the images, one sample's after the other's.
        """
        if counts_N is not None:
            is_there_NV = places_of(counts_N)
            repeated = None if table_ND is None else table_ND.repeat_interleave(counts_N, dim=0)
            return mean_of_there(padded(self(images, repeated), is_there_NV), is_there_NV)
        if images.ndim == 5:
            num_views = images.shape[1]
            repeated = None if table_ND is None else table_ND.repeat_interleave(num_views, dim=0)
            return mean_over_views(self(images.flatten(0, 1), repeated), num_views)
        name = graph_file(images)
        if name not in self._opened:
            self._opened[name] = OnnxGraph(self._read(name), num_threads=self._num_threads)
        return self._opened[name](images, table_ND)


def kept_graphs(store: TrialStore, result: TrialResult, epoch: int | None, *, num_threads: int) -> Graphs | None:
    """Return the graphs that are kept of a trial's model, None where there are none: the model predicts.

    Args:
        store: of a package's run.
        result: of the trial.
        epoch: whose model it is; None: the trial's end.
        num_threads: that compute a graph.
    """
    if not store.has_graphs(result, epoch=epoch):
        logger.warning("%s has no ONNX graph: torch predicts", result.trial)
        return None
    return Graphs(lambda name: store.graph(result, name, epoch=epoch), num_threads=num_threads)


def graph_file(images_NCHW: Tensor) -> str:
    """Return the name of the file of the graph for images of this shape, such as 3x224x224.onnx."""
    return f"{'x'.join(map(str, images_NCHW.shape[1:]))}{GRAPH_ENDING}"


def _asked_of(predictor: Predictor, decoded_sides: tuple[int, int]) -> list[tuple[Tensor, Tensor | None]]:
    """Return what the predictor asks its model about a few images of noise: those of views, tiles and crops."""
    model = model_of(predictor.model)
    asked: list[tuple[Tensor, Tensor | None]] = []

    def noting(images_NCHW: Tensor, table_ND: Tensor | None) -> Output:
        asked.append((images_NCHW, table_ND))
        return model(images_NCHW, table_ND)  # type: ignore[no-any-return]

    num_columns, rng = model.shapes.num_table_columns, np.random.default_rng(0)
    pixels = rng.integers(256, size=(_NUM_CHECKED, *decoded_sides, model.shapes.num_channels), dtype=np.uint8)
    table_ND = rng.normal(size=(_NUM_CHECKED, num_columns)).astype(np.float32)
    predictor.ask(noting)
    predictor.values(
        Inputs(images=Images.of_array(pixels), table=table_ND if num_columns else None), np.arange(_NUM_CHECKED)
    )
    predictor.ask(predictor.model)
    # What was made in inference mode cannot be traced: copies can.
    return [(images_NCHW.clone(), None if table_ND is None else table_ND.clone()) for images_NCHW, table_ND in asked]
