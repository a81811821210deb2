"""Checks a submission of anybody's making: against the sample, what a competition declares, and a trusted one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kaggle_ray.counted import counted
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.submission_format import PixelOrder
from kaggle_ray.errors import SubmissionError
from kaggle_ray.submission.cells import CellError
from kaggle_ray.submission.check import check_rows, check_submission, problem_of, raise_first
from kaggle_ray.submission.likeness import Likeness, likeness
from kaggle_ray.submission.sample import SampleCells, sample_cells
from kaggle_ray.submission.table import read_blocks, read_sample


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedFile:
    """What is known of a submission that has passed."""

    num_rows: int
    told: tuple[str, ...]
    """What the cells of each column were held to, and by what."""
    warnings: tuple[str, ...]
    likeness: Likeness | None
    """How far it agrees with the submission that it was compared with."""


def check_file(
    path: Path,
    sample: Path,
    *,
    competition: Competition | None = None,
    mask_size: tuple[int, int] | None = None,
    pixel_order: PixelOrder = "rows",
    like: Path | None = None,
) -> CheckedFile:
    """Hold the submission at ``path`` to what is known, and return what was found.

    Args:
        path: of the submission.
        sample: path of the sample submission.
        competition: which declares the cells; None takes what the sample tells of them.
        mask_size: height and width of masks, where no competition declares them.
        pixel_order: in which the pixels of masks are counted, where no competition declares it.
        like: a submission that is believed in, for the same ids.

    Raises:
        SubmissionError: it is not what the sample or the competition asks for, or holds under its ids what ``like``
            holds under others.
    """
    if competition is not None:
        check_submission(path, sample, competition)
        told: tuple[str, ...] = (f"cells of kind {competition.submission.cells!r}, as {competition.name} declares",)
        warnings: list[str] = []
    else:
        check_rows(path, sample)
        cells = sample_cells(sample, mask_size=mask_size, order=pixel_order)
        told, warnings = cells.told, list(_check_cells(path, cells))
    found = None if like is None else likeness(path, like)
    if found is not None and found.misaligned:
        raise SubmissionError(f"{path}: {found.misaligned}.")
    return CheckedFile(num_rows=len(read_sample(sample)[1]), told=told, warnings=tuple(warnings), likeness=found)


def _check_cells(path: Path, cells: SampleCells) -> Iterator[str]:
    """Yield warnings. Raise SubmissionError where cells are not what the sample tells."""
    problems: list[str] = []
    sums: list[str] = []
    for block in read_blocks(path):
        for sample_id, of_row in zip(block.ids, block.cells, strict=True):
            try:
                cells.check(of_row)
            except CellError as error:
                problems.append(problem_of(path, sample_id, block.header, error))
            else:
                if (total := cells.sum_of(of_row)) is not None:
                    sums.append(f"row {sample_id!r}: the sum of its numbers is {total:g}")
    raise_first(problems)
    if sums:
        yield (
            f"{sums[0]}; {counted(len(sums), 'row is', 'rows are')} like that, and each of the sample's sums to 1. "
            "Kaggle rescales such rows for log loss, and refuses or mistakes them for other metrics"
        )
