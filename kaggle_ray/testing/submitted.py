"""What Kaggle sees of a submission: its numbers, read by pandas and by nothing of ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from kaggle_ray.types import FloatArray


def submitted_values(path: Path) -> FloatArray:
    """Return (T, C) the numbers of a submission, without the ids."""
    return pd.read_csv(path).iloc[:, 1:].to_numpy(dtype=np.float32)
