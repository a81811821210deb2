from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kaggle_ray.data.competition import Competition, MaskSize
from kaggle_ray.data.head import Head
from kaggle_ray.data.submission_format import CellKind, SubmissionFormat
from kaggle_ray.decide import Decision
from kaggle_ray.errors import SubmissionError
from kaggle_ray.metrics import LOG_LOSS, Metric, metric_by_name, over_folds, per_fold, rounded
from kaggle_ray.submission import cells as cells_module
from kaggle_ray.submission.cells import Cell, LabelCells, NumberCells, to_cells
from kaggle_ray.submission.check import read_answers
from kaggle_ray.submission.rescore import ScoredRows
from kaggle_ray.submission.rle import encode_rle
from kaggle_ray.testing import toy
from kaggle_ray.testing.submitted import columns_for
from kaggle_ray.types import FloatArray, Target, Task

RNG = np.random.default_rng(0)
NUM_ROWS = 12
SIZE = MaskSize(full_height=5, full_width=6, height=5, width=6)
LARGER = MaskSize(full_height=10, full_width=12, height=5, width=6)


def macro_f1(target: Target, values: FloatArray) -> float:
    predicted = values.argmax(axis=1)
    counts = [(((predicted == k) & (target == k)).sum(), (predicted == k).sum() + (target == k).sum()) for k in (0, 1)]
    return float(np.mean([2 * both / max(all_of, 1) for both, all_of in counts]))


def of(
    task: Task, metric: Metric, cells: CellKind, classes: Sequence[str] = (), mask: MaskSize | None = None
) -> Competition:
    head = Head(task=task, metric=metric, classes=tuple(classes))
    fmt = SubmissionFormat(id_column="id", columns=columns_for(head, cells), cells=cells, pixel_order="columns")
    return Competition(
        name="x", heads=(head,), read=toy.read, submission=fmt, default_space=toy.default_space, mask=mask
    )


def predictions(competition: Competition) -> FloatArray:
    values = RNG.random((NUM_ROWS, competition.num_columns)).astype(np.float32)
    if competition.task == "multiclass":
        values /= values.sum(axis=1, keepdims=True)
    return values


def target_of(competition: Competition) -> Target:
    if competition.mask is not None:
        pixels = competition.mask.height * competition.mask.width
        return RNG.integers(0, max(2, len(competition.classes)), (NUM_ROWS, pixels)).astype(np.uint8)
    columns = (NUM_ROWS, len(competition.classes)) if competition.task == "multilabel" else (NUM_ROWS,)
    return np.resize([0, 1, 1], columns)


def scored(competition: Competition, *rules: Decision) -> ScoredRows:
    """Return rows of as many folds as there are rules."""
    return ScoredRows(
        competition=competition,
        what="the rows",
        ids=np.array([f"a{row}" for row in range(NUM_ROWS)]),
        values=predictions(competition),
        fold_of=np.arange(NUM_ROWS) % len(rules),
        part_of=np.arange(NUM_ROWS) % len(rules),
        decisions=dict(enumerate(rules)),
    )


def score_of(rows: ScoredRows, target: Target) -> float:
    """Return the score of each row decided by the rule of its fold."""
    answers = np.concatenate(
        [rows.decisions[int(fold)].apply(rows.values[row : row + 1]) for row, fold in enumerate(rows.fold_of)]
    )
    return over_folds(rows.competition.metric, rows.fold_of).score(target, answers)


def masks(threshold: float) -> Decision:
    return Decision(kind="mask", parameters={"threshold": threshold, "min_pixels": 2})


def cuts(*at: float) -> Decision:
    return Decision(kind="cutpoints", parameters={"cuts": list(at)})


def above(*thresholds: float) -> Decision:
    return Decision(kind="label_thresholds", parameters={"thresholds": list(thresholds)})


NONE, ARGMAX, ROUND = Decision(kind="none"), Decision(kind="argmax"), Decision(kind="round")
F2, ACCURACY, KAPPA = metric_by_name("f2"), metric_by_name("accuracy"), metric_by_name("quadratic_kappa")
MACRO_F1 = Metric(name="macro_f1", score_fn=macro_f1, greater_is_better=True)
LABELS = [above(0.3, 0.5, 0.7), above(0.6, 0.2, 0.4)]

GOOD: dict[str, tuple[Competition, list[Decision]]] = {
    "grades": (of("regression", KAPPA, "numbers"), [cuts(0.4), cuts(0.7)]),
    "grades of classes": (of("multiclass", KAPPA, "label", "012"), [ARGMAX, ARGMAX]),
    "labels by column": (of("multilabel", F2, "probabilities", "abc"), LABELS),
    "tags": (of("multilabel", F2, "tags", "abc"), LABELS),
    "probabilities of labels": (of("multilabel", LOG_LOSS, "probabilities", "abc"), [NONE]),
    "classes by column": (of("multiclass", ACCURACY, "probabilities", "abc"), [ARGMAX, ARGMAX]),
    "names": (of("multiclass", ACCURACY, "label", "abc"), [ARGMAX, ARGMAX]),
    "names of two": (of("binary", ACCURACY, "label", "ab"), [ARGMAX, ARGMAX]),
    "names, by a metric of the user's": (of("multiclass", MACRO_F1, "label", "ab"), [NONE, NONE]),
    "probabilities": (of("multiclass", LOG_LOSS, "probabilities", "abc"), [NONE, NONE]),
    "ranks by fold": (of("binary", per_fold(metric_by_name("auc")), "probabilities", "ab"), [NONE, NONE]),
    "numbers": (of("regression", metric_by_name("rmse"), "numbers"), [NONE]),
    "whole numbers": (of("regression", rounded(metric_by_name("rmse")), "numbers"), [ROUND, ROUND]),
    "masks": (of("segmentation", metric_by_name("dice"), "rle", "a", SIZE), [masks(0.4), masks(0.6)]),
    "masks of classes": (of("segmentation", metric_by_name("mean_iou"), "rle", "abc", SIZE), [NONE, NONE]),
    "enlarged masks": (of("segmentation", metric_by_name("dice"), "rle", "a", LARGER), [masks(0.4), masks(0.6)]),
}
ENLARGED = "enlarged masks"


@pytest.mark.parametrize("name", GOOD)
def test_what_is_written_scores_as_it_is_shown(name: str) -> None:
    competition, rules = GOOD[name]
    rows, target = scored(competition, *rules), target_of(competition)
    rows.check(target, score_of(rows, target))
    rows.check(target, None)


@pytest.mark.parametrize("name", [name for name in GOOD if name != ENLARGED])
def test_another_score_than_the_files_is_refused(name: str) -> None:
    competition, rules = GOOD[name]
    rows, target = scored(competition, *rules), target_of(competition)
    with pytest.raises(SubmissionError, match=rf"x: the rows have {competition.metric.name} "):
        rows.check(target, score_of(rows, target) + 1e-4)


@pytest.mark.parametrize("is_shown", [True, False])
@pytest.mark.parametrize(
    "competition",
    [
        of("multiclass", LOG_LOSS, "label", "abc"),
        of("binary", LOG_LOSS, "label", "ab"),
        of("binary", metric_by_name("auc"), "label", "ab"),
        of("multilabel", LOG_LOSS, "tags", "abc"),
    ],
)
def test_a_file_of_names_is_not_what_a_metric_of_probabilities_scored(competition: Competition, is_shown: bool) -> None:
    rows, target = scored(competition, NONE), target_of(competition)
    with pytest.raises(SubmissionError, match=r"read back: row 'a0' is 0\.\d.* reads .*Declare a metric of what cells"):
        rows.check(target, score_of(rows, target) if is_shown else None)


def test_a_score_that_was_decided_otherwise_than_the_file_is_refused() -> None:
    """The undecided numbers round to other grades than the cuts give."""
    competition = GOOD["grades"][0]
    rows, target = scored(competition, cuts(0.1), cuts(0.9)), target_of(competition)
    undecided = competition.metric.score(target, rows.values)
    with pytest.raises(SubmissionError, match="quadratic_kappa"):
        rows.check(target, undecided)


HEADS = Competition(
    name="x",
    heads=(
        Head(name="kind", task="multiclass", classes=("a", "b", "c"), metric=ACCURACY),
        Head(name="grade", task="regression", metric=KAPPA),
        Head(name="chance", task="binary", classes=("no", "yes"), metric=metric_by_name("auc")),
    ),
    read=toy.read,
    submission=SubmissionFormat(id_column="id", columns=("a", "b", "c", "grade", "chance"), cells="numbers"),
    default_space=toy.default_space,
)


def test_each_of_several_heads_is_written_as_it_was_scored(tmp_path: Path) -> None:
    rules = [Decision.by_head([(3, ARGMAX), (1, cuts(at)), (1, NONE)]) for at in (0.3, 0.6)]
    target = np.stack([np.arange(NUM_ROWS) % 3, np.arange(NUM_ROWS) % 2, np.arange(NUM_ROWS) // 3 % 2], axis=1)
    rows = scored(HEADS, *rules)
    rows.check(target, score_of(rows, target))
    with pytest.raises(SubmissionError):
        rows.check(target, score_of(rows, target) + 1e-4)
    (row,) = to_cells(rows.values[:1], HEADS, rules[0], ids=rows.ids[:1])
    assert [type(cell) for cell in row] == [int, int, int, int, float]
    file = tmp_path / "undecided.csv"
    file.write_text("id,a,b,c,grade,chance\n1,0,1,0,0.58,0.58\n")
    with pytest.raises(SubmissionError, match=r"row '1', column 'grade': expected a whole number, got '0.58'"):
        list(read_answers(file, HEADS))


def shifted(self: object, answer: FloatArray) -> tuple[Cell, ...]:
    assert isinstance(self, LabelCells)
    return (self.classes[(int(answer.argmax()) + 1) % len(self.classes)],)


def rounded_to_a_digit(self: object, answer: FloatArray) -> tuple[Cell, ...]:
    return tuple(round(number, 1) for number in answer.tolist())


def test_a_writer_that_writes_another_class_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LabelCells, "write", shifted)
    rows = scored(GOOD["names"][0], ARGMAX)
    with pytest.raises(SubmissionError, match=r"row 'a0': expected to read the answer that was written, .*, got "):
        rows.check(target_of(rows.competition), 0.5)


def in_the_predictions_order(self: object, answer: FloatArray) -> tuple[Cell, ...]:
    return tuple(answer.tolist())


COLOURS = ("blue", "green", "red")


@pytest.mark.parametrize(
    "columns", [("red", "green", "blue"), ("green", "blue", "red"), ("p_red", "p_blue", "p_green")]
)
def test_a_writer_that_puts_a_probability_under_another_class_is_refused(
    columns: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    competition = of("multiclass", metric_by_name("log_loss"), "probabilities", COLOURS)
    competition = replace(competition, submission=replace(competition.submission, columns=columns))
    rows, target = scored(competition, NONE), np.arange(NUM_ROWS) % 3
    rows.check(target, score_of(rows, target))
    monkeypatch.setattr(NumberCells, "write", in_the_predictions_order)
    with pytest.raises(SubmissionError, match=r"row 'a0': expected to read the answer"):
        rows.check(target, score_of(rows, target))


def test_a_writer_that_puts_a_mask_under_another_class_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    competition, rules = GOOD["masks of classes"]
    turned = replace(competition, submission=replace(competition.submission, columns=("c", "b")))
    rows, target = scored(turned, *rules), target_of(turned)
    rows.check(target, score_of(rows, target))
    in_order = cells_module.MaskCells(SIZE, competition.columns, "columns").write
    monkeypatch.setattr(cells_module.MaskCells, "write", lambda self, answer: in_order(answer))
    with pytest.raises(SubmissionError, match=r"row 'a0': expected to read the answer"):
        rows.check(target, score_of(rows, target))


def test_a_writer_that_rounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NumberCells, "write", rounded_to_a_digit)
    rows = scored(GOOD["numbers"][0], NONE)
    with pytest.raises(SubmissionError, match=r"row 'a0': expected to read the answer"):
        rows.check(target_of(rows.competition), 0.5)


@pytest.mark.parametrize("name", ["masks", "masks of classes", ENLARGED])
def test_run_lengths_in_another_order_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells_module, "encode_rle", lambda mask, order: encode_rle(mask, "rows"))
    competition, rules = GOOD[name]
    rows = scored(competition, *rules)
    with pytest.raises(SubmissionError, match=r"row 'a0': expected to read .* a mask of"):
        rows.check(target_of(competition), None)
