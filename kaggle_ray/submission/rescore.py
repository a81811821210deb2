"""What is submitted is what was scored: the scored rows go through the submission's own writer and reader.

Shape legend: N scored rows, C columns of a prediction, T columns of a target, n of the rows.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kaggle_ray.combine.combiner import FoldOf
from kaggle_ray.counted import counted
from kaggle_ray.data.competition import Competition
from kaggle_ray.decide import Decision
from kaggle_ray.errors import SubmissionError
from kaggle_ray.metrics import over_folds
from kaggle_ray.rows import LazyRows, Rows, blocks
from kaggle_ray.submission.answers import Answer, answers_of
from kaggle_ray.submission.cells import cells_of
from kaggle_ray.submission.check import read_answers
from kaggle_ray.submission.write import write_submission
from kaggle_ray.types import FloatArray, IntArray, StrArray

_SHOWN = 6
"""Numbers of a row that a message shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredRows:
    """Predictions of the rows that a score was made of, and what decided them."""

    competition: Competition
    what: str
    """What they are, for messages."""
    ids: StrArray
    """(N,) ids of the rows."""
    values: Rows
    """(N, C) not yet decided."""
    fold_of: FoldOf
    """(N,) the fold of each row."""
    part_of: FoldOf
    """(N,) the part of each row that a rule was fitted without: mostly its fold."""
    decisions: Mapping[int, Decision]
    """Part -> the rule that its rows were decided by."""

    def check(self, target: Rows, score: float | None) -> None:
        """Write the rows, read them back, and score what was read.

        Of masks that are enlarged for the submission every pixel is compared, and the score is not: that of the kept
        size is of other pixels.

        Args:
            target: (N,) or (N, T) what they predict.
            score: that is shown of them; None where none is.

        Raises:
            SubmissionError: an answer reads back as another one, or what was read back has another score.
        """
        if self.competition.mask is not None and self.competition.mask.is_enlarged:
            for row in range(len(self.values)):
                self._written(np.array([row]))
            return
        scorer = over_folds(self.competition.metric, self.fold_of)
        shown = scorer.score(target, self._rows(self._decided)) if score is None else score
        of_file = scorer.score(target, self._rows(self._written))
        if not math.isclose(of_file, shown, rel_tol=1e-9, abs_tol=1e-12):
            raise SubmissionError(
                f"{self.competition.name}: {self.what} have {self.competition.metric.name} {shown:.5f}, and "
                f"{of_file:.5f} once they are written to a submission and read back{self._first_difference()}. "
                f"Declare a metric of what cells of kind {self.competition.submission.cells!r} hold, or another kind: "
                f"probabilities for a metric of probabilities."
            )

    def _rows(self, read: Callable[[IntArray], FloatArray]) -> LazyRows:
        return LazyRows(self.values.shape, read)

    def _decided(self, rows: IntArray) -> FloatArray:
        """Return (n, C) what the metric scored."""
        return self._by_part(rows, lambda of_part, decision: decision.apply(self.values[of_part]))

    def _written(self, rows: IntArray) -> FloatArray:
        """Return (n, C) what a submission of these rows says."""
        return self._by_part(rows, self._through_file)

    def _by_part(self, rows: IntArray, read: Callable[[IntArray, Decision], FloatArray]) -> FloatArray:
        """Return (n, C) what ``read`` makes of the rows of each part under the rule of the part."""
        of_row = self.part_of[rows]
        parts = {part: read(rows[of_row == part], self.decisions[part]) for part in np.unique(of_row).tolist()}
        found = np.empty((len(rows), *next(iter(parts.values())).shape[1:]), dtype=np.float32)
        for part, values in parts.items():
            found[of_row == part] = values
        return found

    def _through_file(self, rows: IntArray, decision: Decision) -> FloatArray:
        """Return (n, C) the answers of rows as a submission's reader reads them from what its writer writes."""
        competition = self.competition
        answers = list(answers_of(self.values[rows], competition, decision, ids=self.ids[rows]))
        with tempfile.TemporaryDirectory(prefix="kaggle_ray_") as folder:
            file = Path(folder) / "scored.csv"
            write_submission(file, self.ids[rows], map(cells_of(competition).write, answers), competition.submission)
            read = list(read_answers(file, competition))
        for sample_id, answer, other in zip(self.ids[rows].tolist(), answers, read, strict=True):
            if not np.array_equal(answer, other):
                raise SubmissionError(
                    f"{competition.name}: row {sample_id!r}: expected to read the answer that was written, "
                    f"{_shown(answer)}, got {_shown(other)}."
                )
        return np.stack([_as_values(answer, competition) for answer in read])

    def _first_difference(self) -> str:
        """Say which row is the first whose answer is another one in the file than in the score."""
        for block in blocks(self.values):
            rows = np.arange(len(self.values))[block]
            scored, written = self._decided(rows), self._written(rows)
            differ = np.flatnonzero((scored != written).any(axis=1))
            if len(differ):
                row = int(differ[0])
                return f": row {str(self.ids[rows[row]])!r} is {_shown(scored[row])} and reads {_shown(written[row])}"
        return ""


def _as_values(answer: Answer, competition: Competition) -> FloatArray:
    """Return (C,) an answer as the metric takes it: a mask of classes as 0 or 1 for each class and pixel."""
    if competition.submission.cells != "rle":
        return np.asarray(answer, dtype=np.float32)
    num_planes = competition.heads[0].num_outputs
    planes = answer[np.newaxis] == (np.arange(num_planes)[:, np.newaxis, np.newaxis] if num_planes > 1 else 1)
    return np.asarray(planes.reshape(-1), dtype=np.float32)


def _shown(answer: Answer) -> str:
    if answer.ndim == 2:
        return f"a mask of {counted(int(np.count_nonzero(answer)), 'pixel')}"
    return ", ".join(f"{number:g}" for number in answer[:_SHOWN].tolist()) + (", ..." if len(answer) > _SHOWN else "")
