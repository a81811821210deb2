"""torch.compile as an option: what cannot be compiled here runs as it is, with a warning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

_MAX_VERSIONS = 256
"""Versions of one function that torch compiles at most. All networks of a process are called by the same,
``Model.forward``: after torch's own limit of 8 the ninth network, or size of images, would stay uncompiled."""


class Compiled:
    """A model's forward pass, compiled at its first call."""

    def __init__(self, model: nn.Module, *, warn: Callable[[str], None]) -> None:
        """Compile nothing yet; other sizes than the first are compiled for any size.

        Args:
            model: to be compiled.
            warn: called with one line where it cannot be.
        """
        self._model = model
        self._warn = warn
        self._forward: Any = torch.compile(model)
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _MAX_VERSIONS)

    def __call__(self, *inputs: Any) -> Any:
        """Return what the model returns; from the first failure to compile on, by running it as it is."""
        try:
            return self._forward(*inputs)
        except Exception as error:
            if self._forward is self._model or not _is_of_compiler(error):
                raise
            reason = str(error).strip().partition("\n")[0]
            self._warn(f"the model cannot be compiled here and runs as it is: {type(error).__name__}: {reason}")
            self._forward = self._model
            return self._model(*inputs)


def _is_of_compiler(error: Exception) -> bool:
    return any(
        kind.__module__.startswith(("torch._dynamo", "torch._inductor", "torch.fx", "triton"))
        for kind in type(error).__mro__
    )
