"""Contact sheets of a competition: what its images, labels and masks look like before anything is trained."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from kaggle_ray.data.competition import Competition
from kaggle_ray.data.head import place_heads
from kaggle_ray.data.samples import Samples, views_of
from kaggle_ray.errors import DataError
from kaggle_ray.images.augment import augment_batch, id_hashes, recipe_names, sample_keys
from kaggle_ray.images.datasets import mask_kind, unreadable_of
from kaggle_ray.images.decode import PixelKind, Pixels, decode_image
from kaggle_ray.images.duplicate_rows import look_for_near_duplicates
from kaggle_ray.report.duplicate_sheet import shown_pairs

THUMB = 160
"""Height in pixels of a picture on a sheet."""
_NUM_SAMPLES, _NUM_VARIANTS, _NUM_MEASURED = 24, 6, 500
_NOTABLE = 0.25
"""Difference of train and test, in standard deviations of the training images, that is pointed out."""
_GAP, _MASK_COLOR = 4, (255, 60, 60)


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
    chosen = _spread(samples)
    sections = [("Samples", _figure(sample_sheet(competition, samples, chosen), out / "samples.png"))]
    for recipe in recipes or recipe_names():
        sheet = variant_sheet(competition, samples, chosen[:4], recipe)
        sections.append((f"Augmented: {recipe}", _figure(sheet, out / f"augment-{recipe}.png")))
    sections.append(("Sizes and kinds of file", _size_tables(samples)))
    sections.append(("Channels of train and test", channel_table(competition, samples)))
    sections.append(("Near-duplicates", _near_duplicate_section(competition, samples, out)))
    sections.append(("Classes", _class_table(competition, samples)))
    sections.append(("Files that cannot be read", _unreadable_list(competition, samples)))
    page = out / "show.html"
    page.write_text(_page(competition, samples, sections))
    return page


def sample_sheet(competition: Competition, samples: Samples, rows: Sequence[int]) -> Pixels:
    """Return the sheet of ``rows``, each with its label, and its mask outlined."""
    cells = []
    for row in rows:
        image = _thumb(views_of(samples.train_paths[row])[0], competition)
        if samples.train_masks is not None:
            image = _outlined(image, _mask(samples.train_masks[row], competition, image.shape))
        cells.append(_captioned(image, _label(competition, samples, row)))
    return _grid(cells, num_columns=6)


def variant_sheet(competition: Competition, samples: Samples, rows: Sequence[int], recipe: str) -> Pixels:
    """Return the sheet of ``rows``: each image, then what ``recipe`` makes of it in several epochs."""
    cells = []
    for row in rows:
        image = _thumb(views_of(samples.train_paths[row])[0], competition)
        mask = None if samples.train_masks is None else _mask(samples.train_masks[row], competition, image.shape)
        cells.append(image if mask is None else _outlined(image, mask))
        for epoch in range(1, _NUM_VARIANTS):
            keys = sample_keys(0, 0, epoch, id_hashes([str(samples.train_ids[row])]))
            masks = None if mask is None else mask[np.newaxis, ..., np.newaxis]
            moved, moved_masks = augment_batch(image[np.newaxis], masks, keys, recipe, *image.shape[:2])
            cells.append(moved[0] if moved_masks is None else _outlined(moved[0], moved_masks[0, ..., 0]))
    return _grid(cells, num_columns=_NUM_VARIANTS)


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
    pixels = [decoded for path in chosen if (decoded := _decoded(path, 32, 32, competition)) is not None]
    if not pixels:
        raise DataError(f"{competition.name}: none of {len(chosen)} images can be read, such as {chosen[0]}.")
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


def _label(competition: Competition, samples: Samples, row: int) -> str:
    target = samples.target.reshape(len(samples.target), -1)[row]
    words: list[str] = []
    for place in place_heads(competition.heads):
        values = target[place.targets]
        if place.head.task in ("binary", "multiclass"):
            words.append(place.head.classes[int(values[0])])
        elif place.head.task == "multilabel":
            words += [name for name, is_there in zip(place.head.classes, values, strict=True) if is_there]
        else:
            words.append(f"{values[0]:.3g}")
    return " ".join(words)


def _decoded(path: Path, height: int, width: int, competition: Competition, kind: PixelKind = "image") -> Pixels | None:
    try:
        return decode_image(path, height, width, kind=kind, channels=competition.channels)
    except DataError:  # listed under "Files that cannot be read"
        return None


def _thumb(path: Path, competition: Competition) -> Pixels:
    """Return (THUMB, W, 3) uint8 in the image's own aspect; grey where it cannot be read."""
    try:
        width, height = Image.open(path).size
    except OSError:
        width = height = 1
    pixels = _decoded(path, THUMB, max(1, round(THUMB * min(width / height, 3))), competition)
    if pixels is None:
        return np.full((THUMB, THUMB, 3), 128, dtype=np.uint8)
    if pixels.dtype == np.uint16:
        pixels = (pixels / max(1, int(pixels.max())) * 255).astype(np.uint8)
    return np.ascontiguousarray(pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1].repeat(3, axis=2))


def _mask(path: Path, competition: Competition, shape: tuple[int, ...]) -> Pixels:
    mask = _decoded(path, shape[0], shape[1], competition, mask_kind(competition))
    return np.zeros(shape[:2], dtype=np.uint8) if mask is None else mask[..., 0]


def _outlined(image: Pixels, mask: Pixels) -> Pixels:
    """Return the image with the mask's outline, and its area tinted."""
    inside = (mask > 127 if mask.max() > 127 else mask > 0).astype(np.uint8)
    tinted = image.copy()
    tinted[inside > 0] = (0.7 * image[inside > 0] + 0.3 * np.array(_MASK_COLOR)).astype(np.uint8)
    outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(tinted, outlines, -1, _MASK_COLOR, 1)
    return tinted


def _captioned(image: Pixels, text: str) -> Pixels:
    strip = np.full((18, image.shape[1], 3), 250, dtype=np.uint8)
    letters = max(1, image.shape[1] // 7)
    cv2.putText(strip, text[:letters], (2, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (20, 20, 20), 1, cv2.LINE_AA)
    return np.concatenate([image, strip])


def _grid(cells: Sequence[Pixels], *, num_columns: int) -> Pixels:
    """Return the cells side by side in rows, each in the middle of a field as large as the largest."""
    height, width = (max(cell.shape[axis] for cell in cells) + _GAP for axis in (0, 1))
    num_rows = -(-len(cells) // num_columns)
    sheet = np.full((num_rows * height, num_columns * width, 3), 250, dtype=np.uint8)
    for number, cell in enumerate(cells):
        row, column = divmod(number, num_columns)
        left = column * width + (width - cell.shape[1]) // 2
        sheet[row * height : row * height + cell.shape[0], left : left + cell.shape[1]] = cell
    return sheet


def _figure(sheet: Pixels, path: Path) -> str:
    """Write the sheet, and return it as an HTML image that carries its pixels."""
    encoded = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes()
    path.write_bytes(encoded)
    return f'<img class="sheet" alt="{path.stem}" src="data:image/png;base64,{base64.b64encode(encoded).decode()}">'


def _size_tables(samples: Samples) -> str:
    tables = []
    for part, paths in (("train", samples.train_files), ("test", samples.test_files)):
        counts: Counter[tuple[str, str]] = Counter()
        for position in _evenly(len(paths), _NUM_MEASURED):
            counts[_size_and_kind(paths[position])] += 1
        rows = [[size, kind, str(number)] for (size, kind), number in counts.most_common(8)]
        tables.append(
            f"<h3>{part}: {len(paths):,} images</h3>" + _table(["width x height", "kind", "of those measured"], rows)
        )
    return "".join(tables)


def _size_and_kind(path: Path) -> tuple[str, str]:
    try:
        with Image.open(path) as image:
            return f"{image.size[0]} x {image.size[1]}", f"{image.format} {image.mode}"
    except OSError:
        return "unreadable", path.suffix


def _class_table(competition: Competition, samples: Samples) -> str:
    target = samples.target.reshape(len(samples.target), -1)
    rows: list[list[str]] = []
    for place in place_heads(competition.heads):
        values = target[:, place.targets]
        if place.head.task in ("binary", "multiclass", "multilabel"):
            many = place.head.task == "multilabel"
            counts = (
                values.sum(axis=0) if many else np.bincount(values[:, 0].astype(int), minlength=len(place.head.classes))
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
    paths = dict(zip(samples.train_ids.tolist(), samples.train_paths, strict=True))
    paths |= dict(zip(samples.test_ids.tolist(), samples.test_paths, strict=True))
    content = [f"<p>{escape(near_duplicates.summary())}.</p>"]
    for kind, pairs in shown_pairs(near_duplicates).items():
        cells = [_captioned(_thumb(views_of(paths[name])[0], competition), name) for pair in pairs for name in pair]
        sheet = _figure(_grid(cells, num_columns=4), out / f"near-duplicates-{kind.replace(' ', '-')}.png")
        content.append(f"<h3>{escape(kind)}</h3>{sheet}")
    return "".join(content)


def _unreadable_list(competition: Competition, samples: Samples) -> str:
    found = unreadable_of(competition, samples)
    if not found:
        return "<p>None.</p>"
    items = "".join(f"<li>{escape(reason)}</li>" for reason in list(found.values())[:50])
    return f"<p>{len(found)} files; a run with <code>--skip-unreadable</code> leaves them out.</p><ul>{items}</ul>"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _page(competition: Competition, samples: Samples, sections: Sequence[tuple[str, str]]) -> str:
    css = files("kaggle_ray.report").joinpath("page.css").read_text()
    body = "".join(f"<section><h2>{escape(title)}</h2>{content}</section>" for title, content in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(competition.name)}</title><style>{css} img.sheet {{ max-width: 100%; height: auto; }}</style>"
        f'</head><body><main><header><p class="eyebrow">kaggle_ray show</p><h1>{escape(competition.name)}</h1>'
        f'<p class="sub">{len(samples.train_ids):,} rows to train on, {len(samples.test_ids):,} to predict</p></header>'
        f"{body}</main></body></html>"
    )
