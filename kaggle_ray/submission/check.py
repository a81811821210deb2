"""Is a submission file what Kaggle will accept: the last look before it is uploaded."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from kaggle_ray.data.competition import Competition
from kaggle_ray.errors import SubmissionError
from kaggle_ray.submission.cells import check_cells
from kaggle_ray.submission.table import check_header, check_ids, read_blocks, read_cells


def check_submission(
    path: Path, sample_path: Path, competition: Competition, *, only_ids: Set[str] | None = None
) -> None:
    """Hold the submission at ``path`` to the competition's sample submission; ids are compared as text.

    Args:
        path: of the submission.
        sample_path: of the sample submission.
        competition: whose they are.
        only_ids: of the sample's rows, those to hold the submission to; None is all.

    Raises:
        SubmissionError: a file is missing or no CSV; the header differs; ids are missing, unknown, repeated or in
            another order; a cell is not what the competition asks for.
    """
    sample = read_cells(sample_path)
    check_header(sample.header, competition.submission.header, where=f"{sample_path} against the competition's format")
    ids: list[str] = []
    for block in read_blocks(path):
        check_header(block.header, sample.header, where=str(path))
        ids += block.ids
    expected_ids = [sample_id for sample_id in sample.ids if only_ids is None or sample_id in only_ids]
    check_ids(ids, expected_ids, where=str(path))
    for row, (sample_id, expected) in enumerate(zip(ids, expected_ids, strict=True), start=1):
        if sample_id != expected:
            raise SubmissionError(
                f"{path}: the ids are in another order than in {sample_path}: expected {expected!r} in row {row}, "
                f"got {sample_id!r}. Write the rows in the order of the sample."
            )
    # What is not run lengths is small, and counted as a whole in what is said of it.
    are_small = competition.submission.cells != "rle"
    for block in [read_cells(path)] if are_small else read_blocks(path):
        check_cells(block, competition)
