"""Cards: pictures of rows with truth and answer beneath, on pages that need nothing but a browser.

Shape legend: N rows, P pixels of a mask.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import cv2
import numpy as np
from PIL import Image

from kaggle_ray.data.competition import Competition
from kaggle_ray.data.samples import Samples, views_of
from kaggle_ray.evaluation.answers import MaskAnswers
from kaggle_ray.evaluation.table import Evaluation
from kaggle_ray.images.decode import Pixels
from kaggle_ray.report.page import document
from kaggle_ray.report.sheets import mask_of, outlined, thumb
from kaggle_ray.types import ByteArray

_ANSWER_COLOR = (60, 120, 255)
"""Colour of masks that are answered; the true ones are red."""
_LEGEND = "Red: the true mask. Blue: the answer. "


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One row: its picture, and what is said of it."""

    sample_id: str
    fold: int
    truth: str
    answer: str
    loss: float
    jpeg: str
    """The picture, as base64."""

    def to_html(self) -> str:
        """Return the card as an element of a gallery."""
        return (
            f'<figure><img alt="{escape(self.sample_id)}" src="data:image/jpeg;base64,{escape(self.jpeg)}">'
            f"<figcaption><b>{escape(self.truth) or 'none'}</b><br>{escape(self.answer) or 'none'}"
            f'<br><span class="sub">{escape(self.sample_id)}, fold {self.fold}, loss {self.loss:.3g}</span>'
            "</figcaption></figure>"
        )


def cards_of(evaluation: Evaluation, competition: Competition, samples: Samples, *, height: int = 160) -> list[Card]:
    """Return a card for each row, in their order; masks are drawn over the pictures, the true and the answered one.

    Args:
        evaluation: the rows.
        competition: that they are of.
        samples: its rows, with the images.
        height: of a picture, in pixels, at most 160.
    """
    row_of = {sample_id: row for row, sample_id in enumerate(samples.train_ids.tolist())}
    of_heads = evaluation.of_heads.values()
    truths, answers = (
        [", ".join(words) for words in zip(*of_each, strict=True)]
        for of_each in ([each.truth_words for each in of_heads], [each.answer_words for each in of_heads])
    )
    cards = []
    for at, (sample_id, loss) in enumerate(zip(evaluation.ids.tolist(), evaluation.loss.tolist(), strict=True)):
        card = Card(
            sample_id=sample_id,
            fold=int(evaluation.fold_of[at]),
            truth=truths[at],
            answer=answers[at],
            loss=loss,
            jpeg=_jpeg(_picture(evaluation, at, competition, samples, row_of[sample_id]), height),
        )
        cards.append(card)
    return cards


def gallery_html(cards: Iterable[Card], *, are_masks: bool) -> str:
    """Return the cards side by side, as many as there is room for, with a line on what they show."""
    hint = f"{_LEGEND if are_masks else ''}In bold the truth, beneath it the answer, by models that never saw the row."
    return f'<p class="hint">{hint}</p><div class="gallery">{"".join(card.to_html() for card in cards)}</div>'


def gallery_page(title: str, what: str, cards: Sequence[Card], *, are_masks: bool) -> str:
    """Return a page of cards.

    Args:
        title: of the page.
        what: which rows they are, in words.
        cards: the rows.
        are_masks: whether masks are drawn over the pictures.
    """
    heading = f'<header><p class="eyebrow">{escape(title)}</p><h1>{escape(what)}</h1></header>'
    return document(title, f'{heading}<section class="card">{gallery_html(cards, are_masks=are_masks)}</section>', {})


def _picture(evaluation: Evaluation, at: int, competition: Competition, samples: Samples, row: int) -> Pixels:
    picture = thumb(views_of(samples.train_paths[row])[0], competition)
    answers = evaluation.answers()
    if samples.train_masks is None or competition.mask is None or not isinstance(answers, MaskAnswers):
        return picture
    picture = outlined(picture, mask_of(samples.train_masks[row], competition, picture.shape))
    if answers.pixels is None:
        return picture
    answered: ByteArray = answers.pixels[at : at + 1].reshape(competition.mask.height, competition.mask.width)
    sides = picture.shape[1], picture.shape[0]
    return outlined(picture, cv2.resize(answered, sides, interpolation=cv2.INTER_NEAREST), _ANSWER_COLOR)


def _jpeg(picture: Pixels, height: int) -> str:
    if height < len(picture):
        width = max(1, round(picture.shape[1] * height / len(picture)))
        picture = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, format="JPEG", quality=80)
    return base64.b64encode(encoded.getvalue()).decode()
