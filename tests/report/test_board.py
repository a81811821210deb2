from __future__ import annotations

import dataclasses
import io
import math

import pytest
from rich.console import Console

from kaggle_ray.report.board import Board, BoardRow


def experiment(name: str, score: float | None, *, folds_done: int = 5) -> BoardRow:
    return BoardRow(name=name, kind="experiment", score=score, folds_done=folds_done, num_folds=5, epochs=3)


def names(board: Board) -> list[str]:
    return [row.name for row in board.rows]


@pytest.fixture
def board() -> Board:
    return Board(
        metric="log_loss",
        greater_is_better=False,
        rows=(
            experiment("unfinished", None, folds_done=2),
            experiment("worse", 0.5),
            BoardRow(name="greedy", kind="ensemble", score=0.30, in_sample=0.28),
            experiment("better", 0.4),
        ),
    )


def test_smaller_loss_ranks_first_and_incomplete_last(board: Board) -> None:
    assert names(board) == ["greedy", "better", "worse", "unfinished"]


def test_greater_accuracy_ranks_first_and_incomplete_last(board: Board) -> None:
    flipped = Board(metric="accuracy", greater_is_better=True, rows=board.rows)
    assert names(flipped) == ["worse", "better", "greedy", "unfinished"]


def test_equal_scores_keep_their_order() -> None:
    rows = tuple(experiment(name, score) for name, score in [("b", 1.0), ("x", None), ("a", 1.0), ("y", math.nan)])
    assert names(Board(metric="m", greater_is_better=False, rows=rows)) == ["b", "a", "x", "y"]


@pytest.mark.parametrize(("greater_is_better", "expected"), [(False, 0.02), (True, -0.02)])
def test_optimism_is_how_much_better_in_sample_looks(board: Board, greater_is_better: bool, expected: float) -> None:
    board = Board(metric="m", greater_is_better=greater_is_better, rows=board.rows)
    ensemble = next(row for row in board.rows if row.kind == "ensemble")
    assert board.optimism(ensemble) == pytest.approx(expected)


def test_the_ensemble_that_was_submitted_need_not_be_the_best() -> None:
    better = BoardRow(name="mean", kind="ensemble", score=0.3)
    submitted = BoardRow(name="greedy", kind="ensemble", score=0.4, is_submitted=True)
    assert Board(metric="m", greater_is_better=False, rows=(better, submitted)).submitted == submitted
    assert Board(metric="m", greater_is_better=False, rows=(better,)).submitted is None


def test_experiment_has_no_optimism(board: Board) -> None:
    assert board.optimism(board.rows[1]) is None


def test_frame_has_a_row_each_even_when_there_is_none(board: Board) -> None:
    frame = board.to_frame()
    assert frame["name"].tolist() == names(board)
    empty = Board(metric="m", greater_is_better=True).to_frame()
    assert empty.empty
    assert list(empty.columns) == list(frame.columns)


def test_table_leaves_out_what_no_row_has(board: Board) -> None:
    console = Console(file=io.StringIO(), width=120, record=True)
    console.print(board.table())
    drawn = console.export_text()
    assert "optimism" in drawn
    assert "weight" not in drawn
    assert drawn.index("better") < drawn.index("worse") < drawn.index("unfinished")


def test_of_an_experiment_in_whose_midst_a_run_is_the_mean_so_far_is_shown_without_a_place() -> None:
    half = dataclasses.replace(experiment("half", None, folds_done=2), mean_so_far=0.1)
    board = Board(metric="log_loss", greater_is_better=False, rows=(half, experiment("whole", 0.4)))
    assert names(board) == ["whole", "half"]
    console = Console(file=io.StringIO(), width=120, record=True)
    console.print(board.table())
    assert any(line.split()[:2] == ["half", "~0.10000"] for line in console.export_text().splitlines())
    assert "~0.10000" in board._repr_html_()


def test_table_gives_the_reason_of_an_incomplete_row() -> None:
    row = BoardRow(name="broken", kind="experiment", score=None, error="OSError: [Errno 5]\nbad disk")
    console = Console(file=io.StringIO(), width=120, record=True)
    console.print(Board(metric="log_loss", greater_is_better=False, rows=(row,)).table())
    assert "broken: OSError: [Errno 5] bad disk" in " ".join(console.export_text().split())


def test_in_a_notebook_a_board_is_a_table_without_empty_columns_and_names_are_text() -> None:
    rows = (
        BoardRow(name="<b>", kind="experiment", score=0.25, weight=1.0, folds_done=2, num_folds=2),
        BoardRow(name="mean", kind="ensemble", score=0.2, standard_error=0.01),
    )
    html = Board(metric="log_loss", greater_is_better=False, rows=rows)._repr_html_()
    titles = "".join(f"<th>{name}</th>" for name in ("name", "log_loss", "± se", "weight", "folds"))
    assert f"<tr>{titles}</tr>" in html
    assert "<tr><td>mean</td><td>0.20000</td><td>0.01000</td><td></td><td></td></tr>" in html
    assert "<td>&lt;b&gt;</td>" in html
