"""What is said of the fields of a dataclass: the docstrings under them, which Python itself does not keep."""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from collections.abc import Mapping
from itertools import pairwise


def field_help(kind: type) -> Mapping[str, str]:
    """Return field -> the docstring under it in the source of ``kind``, without those of its bases.

    >>> from kaggle_ray.config import TrainingHyperparameters
    >>> field_help(TrainingHyperparameters)["epochs"]
    'Passes over the training rows.'
    """
    return _help(kind.__module__, kind.__name__)


@functools.cache
def _help(module: str, name: str) -> Mapping[str, str]:
    body = ast.parse(inspect.getsource(sys.modules[module])).body
    (declared,) = (node for node in body if isinstance(node, ast.ClassDef) and node.name == name)
    return {
        before.target.id: " ".join(after.value.value.split())
        for before, after in pairwise(declared.body)
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name)
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
    }
