"""The windows of samples with what is predicted of them."""

from __future__ import annotations

from kaggle_ray.reporters.pictures import pictures_of
from kaggle_ray.reporters.sink import ReadArtifact
from kaggle_ray.reporters.texts import title_text
from kaggle_ray.reporters.visdom.history import RunHistory
from kaggle_ray.reporters.visdom.windows import Picture, Window
from kaggle_ray.untrusted import printable


def sample_windows(history: RunHistory, read_artifact: ReadArtifact) -> list[Window]:
    """Return the pictures that were drawn last, of out-of-fold and of test samples."""
    drawn = history.samples
    if drawn is None:
        return []
    whose = "ensemble" if drawn.trial is None else title_text(drawn.trial, history.progress)
    return [
        Window(name=each.name, title=each.title, content=Picture(jpeg=each.jpeg, caption=printable(whose)))
        for each in pictures_of(drawn, read_artifact)
    ]
