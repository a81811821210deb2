"""ONNX graphs answer as the models do that they are exported from; models that have no such graph are refused."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.head import Head
from kaggle_ray.errors import ConfigError
from kaggle_ray.images.cache import Images
from kaggle_ray.metrics import metric_by_name
from kaggle_ray.models import Model, Shapes, build_model
from kaggle_ray.models.network import Network
from kaggle_ray.models.onnx_graph import NotExportableError
from kaggle_ray.train.graphs import Graphs, export_model
from kaggle_ray.train.inputs import Inputs
from kaggle_ray.train.losses import Outputs, PixelOutputs
from kaggle_ray.train.predict import Predictor
from kaggle_ray.types import JsonValue

SETTINGS = Settings(device="cpu", threads_per_trial=1, dtype="float32")
SIZE = 32
ROWS = np.arange(7)
BINARY = Head(task="binary", classes=("no", "yes"), metric=metric_by_name("log_loss"))
MASK = Head(task="segmentation", classes=("car",), metric=metric_by_name("dice"))


def predictor(model: Model, **values: JsonValue) -> Predictor:
    hyperparameters = Hyperparameters(**{"image_size": SIZE, "batch_size": 4, **values})
    if model.shapes.segments:
        return Predictor(model, PixelOutputs(MASK), hyperparameters, SETTINGS, mask_size=(SIZE, SIZE))
    return Predictor(model, Outputs([BINARY], ROWS % 2), hyperparameters, SETTINGS, mask_size=None)


def inputs(*, num_views: int = 1, num_columns: int = 0) -> Inputs:
    rng = np.random.default_rng(1)
    pixels = rng.integers(256, size=(len(ROWS) * num_views, SIZE, SIZE, 3), dtype=np.uint8)
    table = rng.normal(size=(len(ROWS), num_columns)).astype(np.float32) if num_columns else None
    return Inputs(images=Images.of_array(pixels), num_views=num_views, table=table)


@pytest.mark.parametrize(
    ("name", "shapes", "values", "given", "files"),
    [
        ("resnet9", Shapes(num_outputs=1), {"tta": "five_crop"}, inputs(), {"3x28x28.onnx"}),
        ("resnet9", Shapes(num_outputs=1, num_table_columns=3), {}, inputs(num_columns=3), {"3x32x32.onnx"}),
        ("table_mlp", Shapes(num_outputs=1, num_table_columns=3), {}, inputs(num_columns=3), {"3x1x1.onnx"}),
        ("resnet9", Shapes(num_outputs=1, num_views=2), {"tta": "scales", "train_size": 24}, inputs(num_views=2),
         {"3x19x19.onnx", "3x24x24.onnx", "3x30x30.onnx"}),
        ("unet", Shapes(num_outputs=1, segments=True), {"tile": 16, "tta": "hflip"}, inputs(), {"3x16x16.onnx"}),
    ],
    ids=["crops", "table", "table alone", "several images", "tiles"],
)  # fmt: skip
def test_graphs_answer_as_their_model_does(
    name: str, shapes: Shapes, values: Mapping[str, JsonValue], given: Inputs, files: set[str]
) -> None:
    torch.manual_seed(0)
    arguments: dict[str, JsonValue] = {} if name.startswith("table") else {"width": 8}
    model = build_model(name, shapes, model_args=arguments).eval()
    asked = predictor(model, **values)
    expected = asked.values(given, ROWS)
    exported = export_model(asked, (SIZE, SIZE))
    assert set(exported.graphs) == files
    assert exported.difference < 1e-5
    np.testing.assert_array_equal(asked.values(given, ROWS), expected)  # the model predicts again
    asked.ask(Graphs(exported.graphs.__getitem__, num_threads=1))
    tolerance = 1 if shapes.segments else 1e-5  # masks are bytes
    np.testing.assert_allclose(asked.values(given, ROWS).astype(np.float32), expected, atol=tolerance)


class Exponential(nn.Module):
    """A network with an operation that ONNX has not."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        return self.layer(torch.linalg.matrix_exp(images_NCHW[..., :3, :3])[:, 0, 0])  # type: ignore[no-any-return]


class Counting(Exponential):
    """A network that answers by how many samples there are: a graph cannot know."""

    def forward(self, images_NCHW: Tensor) -> Tensor:
        return self.layer(images_NCHW.mean((2, 3))) * len(images_NCHW)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("network", "message"), [(Exponential(), "torch cannot export it"), (Counting(), "answers otherwise")]
)
def test_a_model_whose_graph_would_not_answer_as_it_does_is_refused(network: nn.Module, message: str) -> None:
    model = Model(Network(module=network, fresh=()), Shapes(num_outputs=1))
    with pytest.raises(NotExportableError, match=message):
        export_model(predictor(model), (SIZE, SIZE))


def test_a_model_that_fuses_its_images_is_refused() -> None:
    model = build_model("resnet9", Shapes(num_outputs=1, num_views=2), model_args={"width": 8}, fuse="max")
    with pytest.raises(NotExportableError, match="fuses several images"):
        export_model(predictor(model), (SIZE, SIZE))


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    model = build_model("resnet9", Shapes(num_outputs=1), model_args={"width": 8})
    with pytest.raises(ConfigError, match=r"pip install 'kaggle-ray\[onnx\]'"):
        export_model(predictor(model), (SIZE, SIZE))
