from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from kaggle_ray.train.users_warnings import users_warnings_told
from kaggle_ray.types import TrialWarning


def test_what_a_persons_file_warns_of_is_told_and_what_a_library_warns_of_is_printed(
    tmp_path: Path,
) -> None:
    told: list[TrialWarning] = []
    mine = tmp_path / "mine.py"
    mine.write_text("import warnings\nwarnings.warn('mine is odd')\n")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        before = warnings.showwarning
        with users_warnings_told(told.append, lambda: 3):
            exec(compile(mine.read_text(), str(mine), "exec"), {"__name__": "mine"})
            with pytest.warns(UserWarning, match="theirs is odd"):
                warnings.warn_explicit("theirs is odd", UserWarning, filename=warnings.__file__, lineno=7)
        assert warnings.showwarning is before
    (warning,) = told
    assert (warning.text, warning.epoch) == (f"UserWarning: mine is odd (line 2 of {mine})", 3)
