"""A network as an ONNX graph: exported, and computed on the CPU by onnxruntime; neither is imported elsewhere.

Shape suffixes: N samples, V images of each, C channels, D columns of a table, H and W pixels.
"""

from __future__ import annotations

import io
import warnings
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from kaggle_ray.errors import ConfigError
from kaggle_ray.models.model import Model

_IMAGES, _TABLE, _LOGITS = "images", "table", "logits"
_OPSET = 17
"""The first one with layer normalisation; notebooks' runtimes have known it since 2022."""


class NotExportableError(ConfigError):
    """A model has no ONNX graph that answers as it does; the message says why."""


def exported(model: Model, images_NCHW: Tensor, table_ND: Tensor | None) -> bytes:
    """Return the graph of a model in evaluation mode, for any number of samples of these shapes.

    Args:
        model: on the CPU.
        images_NCHW: some images 0..1.
        table_ND: the rows of the table that belong to them, where there is one.

    Raises:
        ConfigError: the extra is missing.
        NotExportableError: an operation of the model is not among those of ONNX.
    """
    _import("onnx")  # which torch imports
    arguments = (images_NCHW,) if table_ND is None else (images_NCHW, table_ND)
    names = [_IMAGES, _TABLE][: len(arguments)]
    graph = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # shapes are constants on purpose, and the exporter is the older one
            torch.onnx.export(
                model.eval(), arguments, graph,  # type: ignore[arg-type]  # an open file will do
                input_names=names, output_names=[_LOGITS], opset_version=_OPSET,
                dynamic_axes={name: {0: "N"} for name in (*names, _LOGITS)},
                dynamo=False,  # the newer one needs onnxscript, and is slower
            )  # fmt: skip
    except Exception as error:  # torch raises of many types what it cannot export
        raise NotExportableError(f"torch cannot export it: {_first_line(error)}") from error
    return graph.getvalue()


class OnnxGraph:
    """A graph that computes a model's logits on the CPU."""

    def __init__(self, graph: bytes, *, num_threads: int) -> None:
        """Prepare the graph.

        Raises:
            ConfigError: the extra is missing.
            NotExportableError: onnxruntime does not know an operation of the graph.
        """
        runtime = _import("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = num_threads, 1
        try:
            self._session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no class in common
            raise NotExportableError(f"onnxruntime cannot compute it: {_first_line(error)}") from error
        self._inputs = {each.name for each in self._session.get_inputs()}

    def __call__(self, images_NCHW: Tensor, table_ND: Tensor | None) -> Tensor:
        """Return float32 logits as the model's ``forward`` does of one image to a sample."""
        given = {_IMAGES: images_NCHW, _TABLE: table_ND}
        feed = {name: value.float().contiguous().numpy() for name, value in given.items() if value is not None}
        # The exporter leaves out what the logits do not depend on, such as the images of a table's model.
        (logits,) = self._session.run([_LOGITS], {name: feed[name] for name in feed if name in self._inputs})
        return torch.from_numpy(logits)


def _import(name: str) -> Any:
    """Return a module of the extra. Raises ConfigError where it is missing."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(f"ONNX graphs need the extra: pip install 'kaggle-ray[{name}]'.") from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0].rstrip('.')}"
