"""Is a submission file what Kaggle will accept: the last look before it is uploaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.errors import SubmissionError
from kaggle_ray.submission.write import check_header, check_ids, parse_values, read_cells


def check_submission(path: Path, sample_path: Path, fmt: SubmissionFormat) -> None:
    """Hold the submission at ``path`` to the competition's sample submission; ids are compared as text.

    Raises:
        SubmissionError: a file is missing or no CSV; the header differs; ids are missing, unknown, repeated or in
            another order; a cell is empty, not a number or infinite; a probability lies outside 0..1.
    """
    sample, table = read_cells(sample_path), read_cells(path)
    check_header(sample.header, fmt.header, where=f"{sample_path} against the competition's format")
    check_header(table.header, sample.header, where=str(path))
    check_ids(table.ids, sample.ids, where=str(path))
    for row, (sample_id, expected) in enumerate(zip(table.ids, sample.ids, strict=True), start=1):
        if sample_id != expected:
            raise SubmissionError(
                f"{path}: the ids are in another order than in {sample_path}: expected {expected!r} in row {row}, "
                f"got {sample_id!r}. Write the rows in the order of the sample."
            )
    values = parse_values(table)
    outside = (values < 0) | (values > 1)
    if outside.any():
        first, column = (int(position) for position in np.argwhere(outside)[0])
        raise SubmissionError(
            f"{path}: row {table.ids[first]!r}, column {fmt.columns[column]!r}: expected a probability from 0 to 1, "
            f"got {table.cells[first][column]!r}; {np.count_nonzero(outside)} cells are like that."
        )
