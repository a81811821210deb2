"""The windows of samples with what is predicted of them."""

from __future__ import annotations

from kaggle_ray.reporters.sink import ReadArtifact
from kaggle_ray.reporters.texts import title_text
from kaggle_ray.reporters.visdom.history import RunHistory
from kaggle_ray.reporters.visdom.windows import Picture, Window
from kaggle_ray.untrusted import printable


def sample_windows(history: RunHistory, read_artifact: ReadArtifact) -> list[Window]:
    """Return the pictures that were drawn last, of out-of-fold and of test samples; none that is gone."""
    drawn = history.samples
    if drawn is None:
        return []
    whose = "ensemble" if drawn.trial is None else title_text(drawn.trial, history.progress)
    pages = [("samples", "out-of-fold samples", drawn.oof), ("test-samples", "test samples", drawn.test)]
    pictures = [(name, title, read_artifact(key)) for name, title, key in pages]
    return [
        Window(name=name, title=title, content=Picture(jpeg=jpeg, caption=printable(whose)))
        for name, title, jpeg in pictures
        if jpeg is not None
    ]
