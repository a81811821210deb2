"""The commands about submissions: what they print, and how they exit."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaggle_ray.cli import main

REPOSITORY = Path(__file__).resolve().parent.parent
DIGITS = str(REPOSITORY / "competitions" / "digits.py")
HEADER = "id," + ",".join(f"digit_{number}" for number in range(10))
EVEN = ",".join(["0.1"] * 10)


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "sample.csv"
    path.write_text(f"{HEADER}\na,{EVEN}\nb,{EVEN}\n")
    return path


def test_check_says_what_it_held_a_file_to(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", str(sample), "--sample", str(sample), "--like", str(sample)])
    assert capsys.readouterr().out.splitlines() == [
        "held to: digit_0, digit_1, digit_2, digit_3, digit_4, digit_5, ... (10): "
        "a number from 0 to 1, as in the sample",
        f"correlation with {sample}: 0.0000",
        f"{sample}: 2 rows are what {sample} asks for.",
    ]


def test_check_takes_a_competitions_word_for_what_the_cells_are(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(f"{HEADER}\na,{EVEN}\nb,0.9,{EVEN[4:]}\n")
    main(["check", str(bad), "--sample", str(sample)])
    assert "warning: row 'b': the sum of its numbers is 1.8; 1 row" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="1"):
        main(["check", str(bad), "--sample", str(sample), "--competition", DIGITS])
    assert "row 'b': expected probabilities of the classes that sum to 1" in capsys.readouterr().err


def test_check_refuses_a_mask_size_that_is_none(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        main(["check", str(sample), "--sample", str(sample), "--mask-size", "12"])
    assert "expected HEIGHTxWIDTH, such as 1280x1918, got '12'" in capsys.readouterr().err
