"""A submission as text; a number is written so that it reads back as the very same float32."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.errors import SubmissionError
from kaggle_ray.submission.table import check_ids
from kaggle_ray.types import StrArray


def render_submission(
    sample_ids: StrArray, cells: Iterable[Sequence[str | float]], fmt: SubmissionFormat, *, order: StrArray
) -> str:
    """Return the CSV text of the rows, joined by id, one per id of ``order``.

    Args:
        sample_ids: (N,) the ids of the rows.
        cells: (N, C) their cells.
        fmt: names the columns.
        order: (N,) the ids as the sample submission has them.

    Raises:
        SubmissionError: an id of ``order`` is not there exactly once, or a row has not the format's number of cells.
    """
    ids = sample_ids.tolist()
    check_ids(ids, order.tolist(), where="the predictions")
    by_id = dict(zip(ids, cells, strict=True))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(fmt.header)
    for sample_id in order.tolist():
        if len(by_id[sample_id]) != len(fmt.columns):
            raise SubmissionError(
                f"the predictions: row {sample_id!r}: expected {len(fmt.columns)} cells for the columns "
                f"{', '.join(fmt.columns)}, got {len(by_id[sample_id])}."
            )
        # The csv module writes a float as its repr: the shortest text that reads back as the same float64.
        writer.writerow([sample_id, *by_id[sample_id]])
    return text.getvalue()
