"""A gallery of rows that a run has scored: their images are the competition's, read by one's own code."""

from __future__ import annotations

from pathlib import Path

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.data.opening import open_competition
from kaggle_ray.data.staging import stage_data
from kaggle_ray.errors import DataError
from kaggle_ray.evaluation.table import Evaluation
from kaggle_ray.images.reading import as_read
from kaggle_ray.pipeline.own_code import competition_of
from kaggle_ray.report.cards import cards_of, gallery_page
from kaggle_ray.store.run import RunStore


def write_gallery(
    store: RunStore,
    evaluation: Evaluation,
    what: str,
    *,
    data: str | Path,
    out: str | Path,
    competition: str | Path | None = None,
) -> Path:
    """Write a page with the image of each row, its truth and its answer; return the file.

    Args:
        store: of the run.
        evaluation: the rows, in the order in which they are shown.
        what: which rows they are, in words.
        data: folder or URI of the competition's files.
        out: the file, which is replaced.
        competition: as for ``predict``: whose code reads the files, where the run's own is not known to be one's own.

    Raises:
        ConfigError: none of the user's own competitions is the run's, and none was named.
        DataError: the files are missing, or lack a row.
    """
    declared = competition_of(store, store.known_record(), competition, cache_dir=default_cache_dir())
    # What is staged stays in the cache for as long as this is held.
    staged = stage_data(str(data), cache_dir=default_cache_dir())
    opened, samples = open_competition(declared, staged.folder)
    opened = as_read(opened, samples, default_cache_dir())
    if missing := sorted(set(evaluation.ids.tolist()) - set(samples.train_ids.tolist())):
        raise DataError(
            f"{data}: expected the images of the rows that {store.location} has scored, {len(missing)} are missing, "
            f"such as {missing[0]!r}. Name the folder that the run was made of."
        )
    cards = cards_of(evaluation, opened, samples)
    page = gallery_page(f"{opened.name} · {store.run_id}", what, cards, are_masks=opened.is_segmentation)
    Path(out).write_text(page, encoding="utf-8")
    return Path(out)
