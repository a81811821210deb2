"""What the sections of gpu.py share: options, the rows that they yield, and what is seen of the card meanwhile."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

import numpy as np

GIB = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What a section is told; small, so that it travels to its process as JSON."""

    device: Literal["cpu", "cuda"]
    quick: bool
    """Tiny networks and images, to see whether the script works: the numbers mean nothing."""
    rounds: int
    threads: int
    workers: tuple[int, ...]
    photographs: str | None
    weights: str | None
    soft_limit_s: float
    """After which a section begins no further round."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    value: float | str | None
    """None where it could not be measured."""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    """The quartiles."""
    note: str = ""

    @staticmethod
    def spread(what: str, values: Sequence[float], unit: str = "", *, note: str = "") -> Row:
        """Return median and quartiles of what several rounds measured."""
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
        return Row(what=what, value=middle, unit=unit, low=low, high=high, note=note)


class LeftOut(Exception):
    """A section, or the rest of it, cannot be measured here; the message says why."""


@dataclass(kw_only=True)
class CardWatch(AbstractContextManager["CardWatch"]):
    """Samples how busy the card is, and how much of its memory is taken by all processes, until it is left.

    NVML's utilization is the share of its own last sample period, of up to a second, in which a kernel ran.
    """

    every_s: float = 0.1
    busy: list[float] = field(default_factory=list)
    """Percent."""
    used_gib: list[float] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> CardWatch:
        """Begin, where there is a card and NVML."""
        try:
            nvml: Any = importlib.import_module("pynvml")
            nvml.nvmlInit()
            handle = nvml.nvmlDeviceGetHandleByIndex(0)
        except Exception:  # no package, no library, no card: each says so in its own way
            return self
        self._thread = threading.Thread(target=self._sample, args=(nvml, handle), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def rows(self, what: str) -> list[Row]:
        """Return what was seen."""
        if not self.busy:
            return [Row(what=f"{what}: card busy", value=None, note="no NVML here")]
        return [
            Row.spread(
                f"{what}: card busy", self.busy, "%", note=f"mean {np.mean(self.busy):.0f}, {len(self.busy)} looks"
            ),
            Row(what=f"{what}: memory taken at most", value=max(self.used_gib), unit="GiB", note="all processes"),
        ]

    def _sample(self, nvml: Any, handle: Any) -> None:
        while not self._ended.wait(self.every_s):
            self.busy.append(float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu))
            self.used_gib.append(nvml.nvmlDeviceGetMemoryInfo(handle).used / GIB)
