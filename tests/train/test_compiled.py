from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kaggle_ray.models import Shapes, build_model
from kaggle_ray.train.compiled import Compiled
from kaggle_ray.types import JsonValue

IMAGES = torch.rand(2, 3, 8, 8)


class Counted(nn.Module):
    """Counts how often it is run as it is."""

    calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return images.mean(dim=(1, 2, 3))


def refuse(graph: Any, inputs: Any) -> Any:
    raise RuntimeError("no compiler here\nand more")


def failing(model: nn.Module, **_: Any) -> Any:
    return torch._dynamo.optimize(refuse)(model)


def test_what_cannot_be_compiled_runs_as_it_is_with_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", failing)
    model = Counted()
    warnings: list[str] = []
    forward = Compiled(model, warn=warnings.append)
    for _ in range(3):
        assert torch.equal(forward(IMAGES), IMAGES.mean(dim=(1, 2, 3)))
    (text,) = warnings
    assert "cannot be compiled here and runs as it is" in text


def test_an_error_of_the_models_own_is_not_taken_for_the_compilers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda model: model)
    with pytest.raises(RuntimeError, match="shape"):
        Compiled(nn.Linear(5, 2), warn=print)(torch.rand(2, 3))


@pytest.mark.slow
def test_a_compiled_model_answers_as_it_does_uncompiled() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    assert torch.allclose(Compiled(model, warn=print)(IMAGES), model(IMAGES), atol=1e-5)


@pytest.mark.slow
def test_the_twelfth_network_of_a_process_is_compiled_too(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs: list[Any] = []

    def keep(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=keep))
    for width in range(4, 16):
        arguments: dict[str, JsonValue] = {"width": width, "blocks": [1, 1, 1], "stem_stride": 1}
        model = build_model("small_resnet", Shapes(num_outputs=3), model_args=arguments)
        num_before = len(graphs)
        Compiled(model, warn=print)(IMAGES, None)
        assert len(graphs) > num_before
