"""Is a submission file what Kaggle will accept: the last look before it is uploaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from pathlib import Path

from kaggle_ray.counted import counted
from kaggle_ray.data.columns import ordered_as
from kaggle_ray.data.competition import Competition
from kaggle_ray.errors import SubmissionError
from kaggle_ray.submission.answers import Answer
from kaggle_ray.submission.cells import CellError, cells_of
from kaggle_ray.submission.table import check_header, check_ids, read_blocks, read_sample


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
    header, _ = read_sample(sample_path)
    check_header(header, competition.submission.header, where=f"{sample_path} against the competition's format")
    check_rows(path, sample_path, only_ids=only_ids)
    problems = [answer for answer in _answers_or_problems(path, competition) if isinstance(answer, str)]
    raise_first(problems)


def check_rows(path: Path, sample_path: Path, *, only_ids: Set[str] | None = None) -> None:
    """Hold header and ids of the submission at ``path`` to a sample submission; ids are compared as text.

    Args:
        path: of the submission.
        sample_path: of the sample submission.
        only_ids: of the sample's rows, those to hold the submission to; None is all.

    Raises:
        SubmissionError: a file is missing or no CSV; the header differs; ids are missing, unknown, repeated or in
            another order.
    """
    header, sample_ids = read_sample(sample_path)
    ids: list[str] = []
    for block in read_blocks(path):
        check_header(block.header, header, where=str(path))
        ids += block.ids
    expected_ids = [sample_id for sample_id in sample_ids if only_ids is None or sample_id in only_ids]
    check_ids(ids, expected_ids, where=str(path))
    for row, (sample_id, expected) in enumerate(zip(ids, expected_ids, strict=True), start=1):
        if sample_id != expected:
            raise SubmissionError(
                f"{path}: the ids are in another order than in {sample_path}: expected {expected!r} in row {row}, "
                f"got {sample_id!r}. Write the rows in the order of the sample."
            )


def raise_first(problems: Sequence[str]) -> None:
    """Raise SubmissionError of the first of the rows' problems, if there are any, with the number of all."""
    if problems:
        others = f"; {counted(len(problems), 'row is', 'rows are')} like that" if len(problems) > 1 else ""
        raise SubmissionError(f"{problems[0]}{others}.")


def read_answers(path: Path, competition: Competition) -> Iterator[Answer]:
    """Yield what each row of a submission says; some rows at a time are in memory.

    Raises:
        SubmissionError: the file is missing or no CSV, or a cell is not what the competition asks for: a number is
            missing, infinite or no probability, a class is unknown or there twice, or run lengths do not describe a
            mask of the full size; row and column are named.
    """
    for answer in _answers_or_problems(path, competition):
        if isinstance(answer, str):
            raise SubmissionError(f"{answer}.")
        yield answer


def _answers_or_problems(path: Path, competition: Competition) -> Iterator[Answer | str]:
    """Yield for each row what it says, or as a text why it says nothing.

    The names in the file's own header tell what its columns hold: so does whoever reads it.
    """
    for block in read_blocks(path):
        submission = ordered_as(competition.submission, block.header, where=str(path))
        cells = cells_of(replace(competition, submission=submission))
        for sample_id, of_row in zip(block.ids, block.cells, strict=True):
            try:
                yield cells.read(of_row, sample_id)
            except CellError as error:
                yield problem_of(path, sample_id, block.header, error)


def problem_of(path: Path, sample_id: str, header: Sequence[str], error: CellError) -> str:
    """Return what is wrong with a row as a text that names file, row and column."""
    column = "" if error.column is None else f", column {header[error.column + 1]!r}"
    return f"{path}: row {sample_id!r}{column}: {error}"
