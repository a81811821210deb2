"""The page of ``kaggle-ray show``: what a competition's files hold, looked at before anything is trained."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from html import escape
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from kaggle_ray.cache.folder import default_cache_dir
from kaggle_ray.counted import counted
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.head import is_of_classes, place_heads
from kaggle_ray.data.reading import ImageReading, MaskReading, Reading
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.user_files import read_content
from kaggle_ray.errors import DataError
from kaggle_ray.images.augment import recipe_names
from kaggle_ray.images.datasets import unreadable_of
from kaggle_ray.images.decode import Pixels
from kaggle_ray.images.duplicate_rows import look_for_near_duplicates
from kaggle_ray.images.file_pixels import decoding
from kaggle_ray.images.reading import as_read
from kaggle_ray.report.duplicate_sheet import shown_pairs
from kaggle_ray.report.sheets import decoded_or_none, pairs_sheet, sample_sheet, variant_sheet
from kaggle_ray.report.submission_sheet import submission_sheets

_NUM_SAMPLES, _NUM_MEASURED = 24, 500
_NOTABLE = 0.25
"""Difference of train and test, in standard deviations of the training images, that is pointed out."""


def contact_sheets(
    competition: Competition, samples: Samples, *, out: Path, recipes: Sequence[str] | None = None
) -> Path:
    """Write ``show.html`` and its sheets as PNG files; return the page, which needs no other file.

    Args:
        competition: with the names that its files tell.
        samples: its rows.
        out: the folder to write to.
        recipes: of augmentation, whose variants are shown; None is all.
    """
    out.mkdir(parents=True, exist_ok=True)
    competition = _as_read(competition, samples)
    chosen = _spread(samples)
    sections = [
        ("Sizes and kinds of file", _size_tables(samples)),
        ("Near-duplicates", _near_duplicate_section(competition, samples, out)),
        ("Classes", _class_table(competition, samples)),
        ("Files that cannot be read", _unreadable_list(competition, samples)),
        ("Samples", _figure(sample_sheet(competition, samples, chosen), out / "samples.png")),
        ("How values are read", _reading_section(competition)),
        ("Channels of train and test", channel_table(competition, samples)),
    ]
    for recipe in recipes or recipe_names():
        sheet = variant_sheet(competition, samples, chosen[:4], recipe)
        sections.append((f"Augmented: {recipe}", _figure(sheet, out / f"augment-{recipe}.png")))
    page = out / "show.html"
    page.write_text(_page(competition, samples, sections))
    return page


def submission_page(file: Path, competition: Competition, samples: Samples, *, out: Path) -> Path:
    """Write ``submission.html`` and its sheets: what a submission says of the test images; return the page.

    Args:
        file: of the submission.
        competition: with the names and sizes that its files tell.
        samples: its rows.
        out: the folder to write to.

    Raises:
        SubmissionError: a row is not what the competition asks for, or is of no test image.
    """
    sheets = submission_sheets(file, competition, samples)
    out.mkdir(parents=True, exist_ok=True)
    sections = [
        (title, _figure(sheet, out / f"submission-{number}.png"))
        for number, (title, sheet) in enumerate(sheets.items())
    ]
    page = out / "submission.html"
    page.write_text(_page(competition, samples, sections))
    return page


def channel_table(competition: Competition, samples: Samples) -> str:
    """Return an HTML table of each channel's mean and deviation, train beside test; a notable difference is marked."""
    statistics = [_channel_statistics(files, competition) for files in (samples.train_files, samples.test_files)]
    rows = []
    for channel, (train, test) in enumerate(zip(*statistics, strict=True)):
        difference = (test[0] - train[0]) / max(train[1], 1e-6)
        mark = "differs" if abs(difference) > _NOTABLE else ""
        rows.append([f"{channel}", *(f"{value:.1f}" for value in (*train, *test)), f"{difference:+.2f}", mark])
    return _table(["channel", "train mean", "train sd", "test mean", "test sd", "difference in sd", ""], rows)


def _channel_statistics(paths: Sequence[Path], competition: Competition) -> list[tuple[float, float]]:
    """Return mean and deviation of each channel over pixels of evenly spread images."""
    chosen = [paths[position] for position in _evenly(len(paths), _NUM_MEASURED)]
    pixels = [found for path in chosen if (found := decoded_or_none(path, 32, 32, competition)) is not None]
    if not pixels:
        raise DataError(
            f"{competition.name}: none of {counted(len(chosen), 'image')} can be read, such as {chosen[0]}."
        )
    values = np.concatenate([each.reshape(-1, each.shape[2]) for each in pixels]).astype(np.float64)
    return list(zip(values.mean(axis=0).tolist(), values.std(axis=0).tolist(), strict=True))


def _spread(samples: Samples) -> list[int]:
    """Return rows that are evenly spread over the targets."""
    column = samples.target if samples.target.ndim == 1 else samples.target[:, 0]
    by_target = np.argsort(column, kind="stable")
    return [int(by_target[position]) for position in _evenly(len(by_target), _NUM_SAMPLES)]


def _evenly(number: int, at_most: int) -> list[int]:
    positions: list[int] = np.unique(np.linspace(0, number - 1, min(number, at_most)).round().astype(int)).tolist()
    return positions


def _figure(sheet: Pixels, path: Path) -> str:
    """Write the sheet, and return it as an HTML image that carries its pixels."""
    encoded = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes()
    path.write_bytes(encoded)
    source = f"data:image/png;base64,{base64.b64encode(encoded).decode()}"
    return f'<div class="sheet"><img alt="{path.stem}" src="{source}"></div>'


def _size_tables(samples: Samples) -> str:
    tables = []
    for part, paths in (("train", samples.train_files), ("test", samples.test_files)):
        counts: Counter[tuple[str, str]] = Counter()
        for position in _evenly(len(paths), _NUM_MEASURED):
            counts[_size_and_kind(paths[position])] += 1
        rows = [[size, kind, str(number)] for (size, kind), number in counts.most_common(8)]
        tables.append(
            f"<h3>{part}: {counted(len(paths), 'image')}</h3>"
            + _table(["width x height", "kind", "of those measured"], rows)
        )
    return "".join(tables)


def _size_and_kind(path: Path) -> tuple[str, str]:
    try:
        content = read_content(path)
        with decoding(path, content), Image.open(io.BytesIO(content)) as image:
            return f"{image.size[0]} x {image.size[1]}", f"{image.format} {image.mode}"
    except DataError:
        return "unreadable", path.suffix


def _as_read(competition: Competition, samples: Samples) -> Competition:
    """Return the competition with its reading; where it cannot be told, files are shown as they are, and the reason."""
    try:
        return as_read(competition, samples, default_cache_dir())
    except DataError as error:
        reading = Reading(images=ImageReading(), masks=MaskReading(), remarks=(f"A run would stop here: {error}",))
        return replace(competition, reading=reading)


def _reading_section(competition: Competition) -> str:
    """Return how images and masks are read, and what could be meant otherwise."""
    reading = competition.reading or Reading()
    rows = [["images", name, str(value)] for name, value in asdict(reading.images or ImageReading()).items()]
    if reading.masks is not None and competition.is_segmentation:
        masks = asdict(reading.masks)
        rows += [[f"masks of {form}", "foreground above", _joined(cuts)] for form, cuts in masks.pop("cuts").items()]
        rows += [["masks", name, str(value)] for name, value in masks.items()]
    remarks = "".join(f"<li>{escape(remark)}</li>" for remark in reading.remarks)
    return f"{_table(['of', 'what', 'value'], rows)}<ul>{remarks}</ul>"


def _joined(cuts: Sequence[int]) -> str:
    return " or ".join(map(str, cuts))


def _class_table(competition: Competition, samples: Samples) -> str:
    target = samples.target.reshape(len(samples.target), -1)
    rows: list[list[str]] = []
    for place in place_heads(competition.heads):
        values = target[:, place.targets]
        if is_of_classes(place.head):
            many = place.head.task == "multilabel"
            counts = (
                values.sum(axis=0)
                if many or place.head.has_columns
                else np.bincount(values[:, 0].astype(int), minlength=len(place.head.classes))
            )
            for name, count in zip(place.head.classes, counts.tolist(), strict=True):
                rows.append([place.head.name, name, f"{int(count):,}", f"{count / len(target):.1%}"])
        else:
            spread = f"{values.min():.3g} to {values.max():.3g}, mean {values.mean():.3g}"
            what = "share of foreground" if place.head.task == "segmentation" else "values"
            rows.append([place.head.name, what, spread, f"{(values == 0).mean():.1%} are 0"])
    return _table(["target", "class", "rows", "share"], rows)


def _near_duplicate_section(competition: Competition, samples: Samples, out: Path) -> str:
    """Return a sheet for each kind of near-duplicates, with what a run would do about them."""
    near_duplicates = look_for_near_duplicates(competition, samples).near_duplicates
    if not near_duplicates.groups:
        return "<p>None were found.</p>"
    content = [f"<p>{escape(near_duplicates.summary())}.</p>"]
    for kind, pairs in shown_pairs(near_duplicates).items():
        sheet = pairs_sheet(competition, samples, pairs)
        figure = _figure(sheet, out / f"near-duplicates-{kind.replace(' ', '-')}.png")
        content.append(f"<h3>{escape(kind)}</h3>{figure}")
    return "".join(content)


def _unreadable_list(competition: Competition, samples: Samples) -> str:
    found = unreadable_of(competition, samples, default_cache_dir())
    if not found:
        return "<p>None.</p>"
    items = "".join(f"<li>{escape(reason)}</li>" for reason in list(found.values())[:50])
    said = f"{counted(len(found), 'file')}; a run with <code>--skip-unreadable</code> leaves them out."
    return f"<p>{said}</p><ul>{items}</ul>"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _page(competition: Competition, samples: Samples, sections: Sequence[tuple[str, str]]) -> str:
    css = files("kaggle_ray.report").joinpath("page.css").read_text()
    body = "".join(f'<section class="card"><h2>{escape(title)}</h2>{content}</section>' for title, content in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(competition.name)}</title><style>{css}</style>"
        f'</head><body><main><header><p class="eyebrow">kaggle_ray show</p><h1>{escape(competition.name)}</h1>'
        f'<p class="sub">{counted(len(samples.train_ids), "row")} to train on, '
        f"{len(samples.test_ids):,} to predict</p></header>"
        f"{body}</main></body></html>"
    )
