"""Step checkpoints: all that a fit has changed since it began, as one file of tensors and JSON.

The file is in the safetensors format, with the JSON in its header: it is replaced as a whole, so that tensors and JSON
are always of the same step, and loading it runs no code of whoever wrote it. The header has a digest of both, too: what
was damaged on the disk is not gone on from.
"""

from __future__ import annotations

import hashlib
import json
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import safetensors.torch
import torch
from torch import Tensor
from torch.optim import Optimizer

from kaggle_ray.errors import CorruptBlobError, UnusableCheckpointError
from kaggle_ray.store.trials import TrialStore
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import JsonValue, Trial

_JSON, _DIGEST = "kaggle_ray", "sha256"
_VERSION = 2
"""2: the header has a digest."""
_GROUP = "group"
_MAX_SHARE = 0.005
"""Share of the time of a fit that checkpoints may take."""


class Checkpoints(Protocol):
    """The place of a fit's checkpoints, of which the last one counts."""

    def load(self) -> bytes | None:
        """Return the last checkpoint, None where there is none."""
        ...

    def save(self, data: bytes) -> None:
        """Make ``data`` the last checkpoint, as a whole or not at all."""
        ...


class NoCheckpoints:
    """A fit that starts afresh, and that nobody can go on with."""

    def load(self) -> bytes | None:
        """Return None: there is no checkpoint."""
        return None

    def save(self, data: bytes) -> None:
        """Keep nothing."""


class StoredCheckpoints:
    """The checkpoint of a trial in the run's store."""

    def __init__(self, store: TrialStore, trial: Trial) -> None:
        """Keep the checkpoint of ``trial`` in ``store``."""
        self._store = store
        self._trial = trial

    def load(self) -> bytes | None:
        """Return the trial's last checkpoint, None where there is none."""
        return self._store.checkpoint(self._trial)

    def save(self, data: bytes) -> None:
        """Make ``data`` the trial's last checkpoint, as a whole or not at all; the one before stays, too."""
        self._store.save_checkpoint(self._trial, data)


_: tuple[type[Checkpoints], ...] = (NoCheckpoints, StoredCheckpoints)


class Cadence:
    """Decides when the next checkpoint is due: after a time, and later where writing one takes long."""

    def __init__(self, every_s: float, *, now: Callable[[], float] = time.monotonic) -> None:
        """Wait at least ``every_s`` seconds, and so long that checkpoints take at most half a percent of the time.

        With 0 seconds one is due after every step, whatever it costs.
        """
        self._every_s = every_s
        self._now = now
        self._cost_s = 0.0
        self._last = now()

    def is_due(self) -> bool:
        """Return whether it is time."""
        if not self._every_s:
            return True
        return self._now() - self._last >= max(self._every_s, self._cost_s / _MAX_SHARE)

    def save(self, write: Callable[[], None]) -> None:
        """Call ``write``, and note what it costs."""
        started = self._now()
        write()
        self._last = self._now()
        self._cost_s = self._last - started


def pack(tensors: Mapping[str, Tensor], values: Mapping[str, JsonValue]) -> bytes:
    """Return a checkpoint's bytes: tensors of any device, and JSON."""
    on_cpu = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    text = json.dumps({"version": _VERSION, **values})
    data: bytes = safetensors.torch.save(on_cpu, metadata={_JSON: text, _DIGEST: _digest_of(on_cpu, text)})
    return data


def unpack(data: bytes, *, where: str) -> tuple[dict[str, Tensor], dict[str, JsonValue]]:
    """Return the tensors, on the CPU, and the JSON of a checkpoint.

    Raises:
        CorruptBlobError: it is none, is not as it was written, or another version wrote it.
    """
    try:
        (header_bytes,) = struct.unpack("<Q", data[:8])
        metadata = json.loads(data[8 : 8 + header_bytes])["__metadata__"]
        values = json.loads(metadata[_JSON])
        version = values.pop("version")
        tensors = safetensors.torch.load(data)
    except Exception as error:
        raise CorruptBlobError(f"{where}: is no checkpoint: {error}.") from error
    if version != _VERSION:
        raise CorruptBlobError(f"{where}: expected version {_VERSION}, got {version!r}.")
    digest = _digest_of(tensors, metadata[_JSON])
    if digest != metadata.get(_DIGEST):
        raise CorruptBlobError(f"{where}: expected sha256 {metadata.get(_DIGEST)}, got {digest}.")
    return tensors, values


@contextmanager
def restoring() -> Iterator[None]:
    """Turn whatever keeps a trial from going on from its checkpoint into an UnusableCheckpointError."""
    try:
        yield
    except torch.OutOfMemoryError:  # says nothing about the checkpoint, which is wanted where there is more memory
        raise
    except Exception as error:  # it was damaged, or libraries of other versions take another state
        raise UnusableCheckpointError(f"its checkpoint cannot be used: {type(error).__name__}: {error}") from error


def _digest_of(tensors: Mapping[str, Tensor], text: str) -> str:
    """Return the sha256 of contiguous tensors on the CPU, with their names, types and shapes, and of a text."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under ``prefix.name``."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def below_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose name begins with ``prefix.``, without it."""
    return {
        name.removeprefix(f"{prefix}."): tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class _SavedOptimizer:
    """What a checkpoint keeps of an optimizer beside its tensors."""

    others: Mapping[str, Mapping[str, JsonValue]]
    """Number of the parameter -> name -> value."""
    groups: tuple[Mapping[str, JsonValue], ...]


def optimizer_state(optimizer: Optimizer) -> tuple[dict[str, Tensor], JsonValue]:
    """Return an optimizer's tensors, as ``<parameter number>.<name>``, and what else it has as JSON.

    Where a group has tensors of its own, such as a count of steps, they are ``group<number>.<name>``.
    """
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    others: dict[str, dict[str, JsonValue]] = {}
    for number, of_parameter in state["state"].items():
        for name, value in of_parameter.items():
            if isinstance(value, Tensor):
                tensors[f"{number}.{name}"] = value
            else:
                others.setdefault(str(number), {})[name] = value
    groups: list[dict[str, JsonValue]] = []
    for number, group in enumerate(state["param_groups"]):
        own = {name: value for name, value in group.items() if name != "params"}
        of_group = {name: value for name, value in own.items() if isinstance(value, Tensor)}
        tensors |= with_prefix(f"{_GROUP}{number}", of_group)
        groups.append({name: value for name, value in own.items() if name not in of_group})
    return tensors, {"others": others, "groups": groups}


def load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor], values: JsonValue) -> None:
    """Give a fresh optimizer the state that ``optimizer_state`` returned of one like it.

    Moments get their weight's layout in memory, channels last or not: fused kernels go through both side by side.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        number, _, what = name.partition(".")
        if number.startswith(_GROUP):
            continue
        parameter = parameters[int(number)]
        if tensor.shape == parameter.shape:
            tensor = torch.empty_like(parameter, dtype=tensor.dtype, device="cpu").copy_(tensor)
        state.setdefault(int(number), {})[what] = tensor
    of_json = from_json(_SavedOptimizer, values, where="checkpoint: optimizer")
    for number, of_parameter in of_json.others.items():
        state.setdefault(int(number), {}).update(of_parameter)
    groups = []
    for place, (fresh, saved) in enumerate(zip(optimizer.state_dict()["param_groups"], of_json.groups, strict=True)):
        as_fresh = {
            name: tuple(value) if isinstance(fresh.get(name), tuple) and isinstance(value, list) else value
            for name, value in saved.items()
        }
        groups.append({**fresh, **as_fresh, **below_prefix(f"{_GROUP}{place}", tensors)})
    optimizer.load_state_dict({"state": state, "param_groups": groups})
