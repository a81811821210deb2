"""What Kaggle asks for in a submission, and what is in one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from kaggle_ray.data.head import Head
from kaggle_ray.data.submission_format import CellKind
from kaggle_ray.submission.table import SubmissionTable, read_blocks
from kaggle_ray.types import FloatArray


def columns_for(head: Head, cells: CellKind) -> tuple[str, ...]:
    """Return names of the columns of one head's submission: its classes, or ``answer`` where one column holds all."""
    classes = head.classes[1:] if cells == "rle" else head.classes
    is_by_class = cells not in ("label", "tags") and head.task != "binary" and len(classes) > 1
    return classes if is_by_class else ("answer",)


def read_cells(path: Path) -> SubmissionTable:
    """Return all cells of a submission as text."""
    blocks = list(read_blocks(path))
    return SubmissionTable(
        path=path,
        header=blocks[0].header,
        ids=tuple(sample_id for block in blocks for sample_id in block.ids),
        cells=tuple(of_row for block in blocks for of_row in block.cells),
    )


def submitted_values(path: Path) -> FloatArray:
    """Return (T, C) the numbers of a submission, without the ids, as pandas reads them and nothing of ours."""
    return pd.read_csv(path).iloc[:, 1:].to_numpy(dtype=np.float32)
