"""How long a package will take: a few images are predicted, and the rest is counted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kaggle_ray.config.settings import Device
from kaggle_ray.data.samples import Samples
from kaggle_ray.pipeline.own_images import predict_proba

if TYPE_CHECKING:
    import pandas as pd

_NUM_MEASURED = 32
"""Samples that are predicted."""
_NUM_FIRST = 4
"""Samples of another prediction before it, whose time tells what loading the models takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Time that a prediction takes on this machine."""

    start_s: float
    """Seconds until the first image: the models are loaded."""
    per_row_s: float
    """Seconds of one more row, decoded and predicted by all models."""
    num_measured: int

    def total_s(self, num_rows: int) -> float:
        """Return the seconds of so many rows."""
        return self.start_s + self.per_row_s * num_rows


def measure(
    run: Path, samples: Samples, *, competition: Path, refit: bool, device: Device | None, onnx: bool = False
) -> Timing:
    """Return the time that the models of a package take for test rows, some of which are predicted.

    Args:
        run: the package's.
        samples: whose test images are there.
        competition: the competition's file, for models that it registers.
        refit: whether the models of all rows predict.
        device: that is predicted on; None: the run's.
        onnx: whether the package's graphs predict.
    """
    paths = list(samples.test_paths)
    paths = (paths * -(-_NUM_MEASURED // len(paths)))[:_NUM_MEASURED]  # where there are few, some of them again

    def seconds(chosen: Sequence[int]) -> float:
        started = time.perf_counter()
        predict_proba(
            run,
            [paths[row] for row in chosen],
            table=_table(samples, [row % len(samples.test_ids) for row in chosen]),
            refit=refit,
            competition=competition,
            device=device,
            onnx=onnx,
            batch_size=_NUM_MEASURED,
        )
        return time.perf_counter() - started

    few, many = seconds(range(_NUM_FIRST)), seconds(range(_NUM_MEASURED))
    per_row = max(0.0, many - few) / (_NUM_MEASURED - _NUM_FIRST)
    return Timing(start_s=max(0.0, few - _NUM_FIRST * per_row), per_row_s=per_row, num_measured=_NUM_MEASURED)


def _table(samples: Samples, rows: list[int]) -> pd.DataFrame | None:
    import pandas as pd

    table = samples.test_table
    return None if table is None else pd.DataFrame(table.values[rows], columns=list(table.columns))
