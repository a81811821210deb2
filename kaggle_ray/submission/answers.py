"""Answers: what a submission says of each row, decided, as the metric scores it and before it is text.

Shape legend: N rows, C columns of a prediction, K classes of a pixel, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from kaggle_ray.data.competition import Competition, MaskSize
from kaggle_ray.decide import Decision
from kaggle_ray.errors import SubmissionError
from kaggle_ray.types import ByteArray, FloatArray, StrArray

Answer = FloatArray | ByteArray
"""(C,) float32: a number per column, 1 for the class or the tags that are named and 0 for the others; or of a mask
(H, W) the class of each pixel at full size."""

_ARGMAX = Decision(kind="argmax")


def answers_of(
    values_NC: FloatArray, competition: Competition, decision: Decision, *, ids: StrArray
) -> Iterator[Answer]:
    """Yield each row's answer.

    Args:
        values_NC: predictions, not yet decided.
        competition: says what its cells can hold.
        decision: turns predictions into an answer.
        ids: (N,) of the rows, which tell the full size of a mask.

    Raises:
        SubmissionError: a prediction is not finite: any rule would make an answer of it that looks like another.
    """
    if not (finite := np.isfinite(values_NC)).all():
        row, column = (int(position) for position in np.argwhere(~finite)[0])
        raise SubmissionError(
            f"the predictions: expected finite values, got {values_NC[row, column]} in column {column + 1}. "
            f"Look for a model that diverged."
        )
    if competition.submission.cells == "rle":
        assert competition.mask is not None, "run lengths are of masks"
        for row_P, sample_id in zip(values_NC, ids.tolist(), strict=True):
            yield enlarged(row_P, competition.mask, decision, full=competition.mask.full_size(sample_id))
        return
    decided = decision.apply(values_NC)
    if competition.submission.cells == "label":
        decided = _ARGMAX.apply(decided)
    elif competition.submission.cells == "tags":
        decided = np.asarray(decided > 0.5, dtype=np.float32)
    yield from decided


def enlarged(values_P: FloatArray, size: MaskSize, decision: Decision, *, full: tuple[int, int]) -> ByteArray:
    """Return (full H, full W) the decided class of each pixel of one image.

    The probabilities are enlarged first and decided then: the other way round, an outline would be as coarse as they
    are.

    Args:
        values_P: (K * height * width,) probabilities of one image, at the size that they are kept at.
        size: that they are kept at.
        decision: of masks.
        full: height and width of the result, in pixels.
    """
    planes_KHW = values_P.reshape(-1, size.height, size.width)
    if full != (size.height, size.width):
        sides = full[::-1]
        of_planes = [cv2.resize(plane, sides, interpolation=cv2.INTER_LINEAR) for plane in planes_KHW]
        planes_KHW = np.stack(of_planes) if len(of_planes) > 1 else of_planes[0][np.newaxis]  # a copy is 10 MB
    if len(planes_KHW) > 1:
        return np.asarray(planes_KHW.argmax(axis=0), dtype=np.uint8)
    rule = decision.enlarged(full[0] * full[1] / (size.height * size.width))
    values_1P = planes_KHW.reshape(1, -1)
    masks = rule.masks(values_1P) if rule.kind == "mask" else rule.apply(values_1P) > 0.5
    return np.asarray(masks.reshape(full), dtype=np.uint8)
