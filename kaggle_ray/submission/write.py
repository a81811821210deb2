"""A submission as a file; a number is written so that it reads back as the very same float32."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from kaggle_ray.counted import counted
from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.errors import SubmissionError
from kaggle_ray.submission.table import CellsDigest
from kaggle_ray.types import StrArray


def write_submission(
    path: Path, sample_ids: StrArray, cells: Iterable[Sequence[str | float]], fmt: SubmissionFormat
) -> str:
    """Write the rows as CSV, one at a time, and return the digest of what was written; see ``CellsDigest``.

    Args:
        path: of the file.
        sample_ids: (N,) the ids of the rows.
        cells: (N, C) their cells.
        fmt: names the columns.

    Raises:
        SubmissionError: a row has not the format's number of cells.
    """
    digest = CellsDigest()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(fmt.header)
        for sample_id, of_row in zip(sample_ids.tolist(), cells, strict=True):
            if len(of_row) != len(fmt.columns):
                raise SubmissionError(
                    f"the predictions: row {sample_id!r}: expected {counted(len(fmt.columns), 'cell')} for the columns "
                    f"{', '.join(fmt.columns)}, got {len(of_row)}."
                )
            # The csv module writes a float as its repr: the shortest text that reads back as the same float64.
            writer.writerow([sample_id, *of_row])
            digest.add(sample_id, of_row)
    return digest.hex()
