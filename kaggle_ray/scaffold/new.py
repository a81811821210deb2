"""The story of a new competition: looked at, concluded, written, and opened once by what was written."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from kaggle_ray.data.opening import load_competition, open_competition
from kaggle_ray.errors import ConfigError
from kaggle_ray.scaffold.answers import Answers
from kaggle_ray.scaffold.conclude import Conclusion, conclude
from kaggle_ray.scaffold.files import Download, look_into
from kaggle_ray.scaffold.write import competition_text, name_of, space_text


@dataclass(frozen=True, kw_only=True, slots=True)
class NewCompetition:
    """What was written, and what it was concluded from."""

    competition: Path
    space: Path
    conclusion: Conclusion
    num_train: int
    num_test: int


def new_competition(slug: str, data: Path, *, answers: Answers | None = None, into: Path = Path()) -> NewCompetition:
    """Write competitions/NAME.py and search_spaces/NAME.py for the files in ``data``.

    What is written has been opened with these files before it is in its place.

    Args:
        slug: the competition's name on Kaggle.
        data: folder of its files.
        answers: what the user has said, where the files leave something open.
        into: folder that has, or gets, competitions/ and search_spaces/.

    Raises:
        UnclearError: the files leave something open.
        ConfigError: there is a file of the name already.
        DataError: what was concluded does not fit the files.
    """
    name = name_of(slug)
    competition, space = into / "competitions" / f"{name}.py", into / "search_spaces" / f"{name}.py"
    for path in (competition, space):
        if path.exists():
            raise ConfigError(f"{path}: is there already. Remove it, or take another name.")
    download = look_into(data)
    found = conclude(download, answers or Answers())
    text = competition_text(slug, found, ids_clash=_ids_clash(download, found))
    with tempfile.TemporaryDirectory(prefix="kaggle_ray_") as folder:
        draft = Path(folder) / f"{name}.py"
        draft.write_text(text, encoding="utf-8")
        _, samples = open_competition(load_competition(draft)[0], data)
    for path, content in ((competition, text), (space, space_text(slug))):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return NewCompetition(
        competition=competition, space=space, conclusion=found, num_train=len(samples.train_ids),
        num_test=len(samples.test_ids),
    )  # fmt: skip


def _ids_clash(download: Download, found: Conclusion) -> bool:
    """Return whether a training image has the id of one to predict."""
    test_ids = set({**download.tables, **download.samples}[found.sample_file].iloc[:, 0])
    if found.label_file is not None:
        return bool(test_ids & set(download.tables[found.label_file][found.id_column]))
    return found.label_kind == "names" and bool(test_ids & download.images[found.train_folder])
