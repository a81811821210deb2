"""What a user's code raises is told with the user's own line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kaggle_ray.config.loading import load_attribute
from kaggle_ray.config.users_code import users_code
from kaggle_ray.data.opening import load_competition, open_competition
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.metrics import Metric
from kaggle_ray.testing.toy import TOY_FILE


def test_an_error_below_a_library_shows_the_line_of_the_user_that_called_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import json\n\ndef call():\n    return json.loads('{')\n\nCALL = call\n")
    call = load_attribute(file, "CALL", object)
    assert callable(call)
    line = re.escape(f"(line 4 of {file}: return json.loads('{{'))")
    with pytest.raises(ConfigError, match=rf"^pets: read: JSONDecodeError: .* {line}$"), users_code("pets: read"):
        call()


def test_an_error_of_ours_stays_as_it_is() -> None:
    with pytest.raises(DataError, match=r"^train\.csv is missing$"), users_code("pets: read"):
        raise DataError("train.csv is missing")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("return undefined_name", r"toy: read\(.*\): NameError: name 'undefined_name' .*: return undefined_name\)"),
        ("return 3", r"toy: read: expected Samples\(\.\.\.\), got int"),
        ("return (folder / 'no.csv').read_text()", r"FileNotFoundError: .*: return \(folder / 'no.csv'\).read_text"),
    ],
)
def test_what_goes_wrong_in_a_competitions_read_is_told(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "comp.py"
    file.write_text(
        f"import dataclasses\nfrom kaggle_ray.config.loading import load_attribute\n"
        f"from kaggle_ray import Competition\nfrom pathlib import Path\n"
        f"TOY = load_attribute(Path({str(TOY_FILE)!r}), 'COMPETITION', Competition)\n"
        f"def read(folder):\n    {text}\n"
        f"COMPETITION = dataclasses.replace(TOY, read=read)\n"
    )
    declared, _ = load_competition(file)
    (tmp_path / "data").mkdir()
    with pytest.raises(ConfigError, match=message):
        open_competition(declared, tmp_path / "data")


def test_what_a_metric_raises_names_it() -> None:
    import numpy as np

    metric = Metric(name="mine", score_fn=lambda target, values: float(values[9, 9]), greater_is_better=True)
    with pytest.raises(ConfigError, match=r"^metric 'mine': IndexError: .*line \d+ of .*test_users_code\.py: metric"):
        metric.score(np.zeros(2), np.zeros((2, 1)))
