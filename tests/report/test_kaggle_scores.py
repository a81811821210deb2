from __future__ import annotations

from pathlib import Path
from typing import Any

from kaggle_ray.report.kaggle_scores import (
    FIGURE,
    KaggleScore,
    kaggle_scores_figure,
    kaggle_scores_of,
    kaggle_scores_section,
)
from kaggle_ray.store.opening import open_run
from kaggle_ray.submission.kaggle_records import KaggleRecord, save_record

SCORED = KaggleScore(name="x: <b>", honest=0.3, standard_error=0.02, public=0.25, private=None)
FINAL = KaggleScore(name="x: two", honest=0.2, standard_error=None, public=0.21, private=0.19)


def record(number: int, **told: Any) -> KaggleRecord:
    given: dict[str, Any] = {
        "score_honest": 0.3,
        "state": "complete",
        "message": "resnet",
        "name": "submission",
        **told,
    }
    return KaggleRecord(slug="toy", sha256=f"{number:x}" * 64, since=float(number), **given)


def test_a_submission_is_drawn_once_kaggle_has_scored_what_has_an_honest_score(tmp_path: Path) -> None:
    store = open_run(tmp_path / "runs/toy/x")
    save_record(store, record(1, state="submitted"))
    save_record(store, record(2, public_score=0.25, standard_error=0.02))
    save_record(store, record(3, public_score=0.2, score_honest=None, name="refit"))
    (score,) = kaggle_scores_of(store)
    assert score == KaggleScore(name="x: resnet", honest=0.3, standard_error=0.02, public=0.25, private=None)


def test_public_and_private_scores_stand_above_the_honest_one_with_its_error() -> None:
    line, public, private = kaggle_scores_figure([SCORED, FINAL], metric="log_loss")["data"]
    assert (line["x"], line["y"]) == ([0.19, 0.3], [0.19, 0.3])
    assert (public["x"], public["y"]) == ([0.3, 0.2], [0.25, 0.21])
    assert public["error_x"]["array"] == [0.02, 0.0]
    assert (private["x"], private["y"]) == ([0.2], [0.19])
    assert public["text"] == ["x: &lt;b&gt;", "x: two"]


def test_without_a_scored_submission_there_is_no_card() -> None:
    assert kaggle_scores_section([]) == ""
    assert f'id="{FIGURE}"' in kaggle_scores_section([SCORED])
