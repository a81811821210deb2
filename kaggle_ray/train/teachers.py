"""Teachers that have seen neither the rows that they answer for nor those that their student is scored on.

The student of fold k learns of the rows of fold j what a teacher says that was fitted without both. Each two folds have
one such fit, whichever of them the student is of: its answers for the rows of both are kept in the cache of this
machine, where the other fold's student finds them, and a trial that goes on after it was killed.

Shape legend: n rows of two folds, C columns of a prediction.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from kaggle_ray.cache.budget import reserve
from kaggle_ray.cache.entries import Description, EntryUse
from kaggle_ray.cache.folder import written_cache
from kaggle_ray.cache.seal import SEAL_FILE, is_intact, save_sealed
from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.errors import NoRoomError
from kaggle_ray.train.inputs import FitData
from kaggle_ray.train.loop import Fit
from kaggle_ray.train.preemption import Notice
from kaggle_ray.train.ranks import Ranks, together
from kaggle_ray.types import Folds, IntArray, StoredValues, canonical_json

logger = logging.getLogger(__name__)

_FORMAT = 1
_ANSWERS_FILE = "answers.npy"


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherFit:
    """A fit of a teacher's experiment that is trained on no row of two folds."""

    experiment_id: str
    hyperparameters: Hyperparameters
    fit: FitData
    """The rows of the other folds, and none to be scored: nothing is chosen by what is answered for."""
    rows: IntArray
    """(n,) rows of the two folds, which it answers for."""
    folds_digest: str


def fold_pairs(fold: int, num_folds: int) -> Iterator[tuple[int, int]]:
    """Yield each two folds that ``fold`` is one of, the lower first.

    They begin with the next one: where the students of all folds begin at once, each two are fitted by one of them.
    """
    for step in range(1, num_folds):
        lower, upper = sorted((fold, (fold + step) % num_folds))
        yield lower, upper


def as_one_fold(folds: Folds, lower: int, upper: int) -> Folds:
    """Return folds whose fold ``lower`` has the rows of both."""
    return replace(folds, fold_of=np.where(folds.fold_of == upper, np.int8(lower), folds.fold_of))


def answers_of(
    teacher: TeacherFit,
    settings: Settings,
    ranks: Ranks,
    *,
    cache_dir: Path,
    notice: Notice,
    is_late: Callable[[], bool],
) -> StoredValues | None:
    """Return (n, C) what a teacher says of its rows, on every rank; None where rank 0 is late before it is fitted.

    Raises:
        Terminated: the process or ``notice`` was asked to end; the fit begins anew next time.
    """
    kept: StoredValues | None = None
    with together(ranks):
        if ranks.rank == 0:
            kept = _kept(teacher, settings, cache_dir)
    if (kept := ranks.of_first(kept)) is not None:
        return kept
    fit = Fit(teacher.fit, teacher.hyperparameters, settings, ranks=ranks, notice=notice, cache_dir=cache_dir)
    with closing(fit.epochs()) as epochs:
        for _ in epochs:
            if ranks.of_first(is_late()):
                return None
    blocks = list(fit.predictor.value_blocks(teacher.fit.inputs, teacher.rows))
    answers: StoredValues | None = None
    with together(ranks):
        if ranks.rank == 0:
            answers = np.concatenate(blocks)
            _keep(teacher, settings, cache_dir, answers)
    return ranks.of_first(answers)


def _kept(teacher: TeacherFit, settings: Settings, cache_dir: Path) -> StoredValues | None:
    with written_cache(cache_dir), closing(EntryUse(cache_dir, "answers", _key(teacher, settings))) as use:
        entry = use.folder / _ANSWERS_FILE
        if not is_intact(entry):
            return None
        use.touch()
        answers: StoredValues = np.load(entry, allow_pickle=False)
        return answers


def _keep(teacher: TeacherFit, settings: Settings, cache_dir: Path, answers: StoredValues) -> None:
    with written_cache(cache_dir), closing(EntryUse(cache_dir, "answers", _key(teacher, settings))) as use:
        entry = use.folder / _ANSWERS_FILE
        with use.filling(waits=False) as is_ours:
            if not is_ours or is_intact(entry):
                return
            try:
                reserve(use, _describe(teacher, answers))
            except NoRoomError as error:
                logger.warning("%s Until then teachers are fitted anew by each trial.", error)
                return
            save_sealed(answers, entry)


def _key(teacher: TeacherFit, settings: Settings) -> str:
    """Return a digest of all that the answers are a function of: an experiment's id has its data and code."""
    rows = hashlib.sha256(teacher.rows.tobytes()).hexdigest()
    computed_by = canonical_json({**asdict(settings), "torch": torch.__version__})
    described = f"{_FORMAT} {teacher.experiment_id} {teacher.folds_digest} {rows} {computed_by}"
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _describe(teacher: TeacherFit, answers: StoredValues) -> Description:
    return Description(
        source=f"a teacher without two folds, {teacher.experiment_id}",
        content="answers",
        num_files=len(answers),
        num_bytes=answers.nbytes,
        last_file=SEAL_FILE,
    )
