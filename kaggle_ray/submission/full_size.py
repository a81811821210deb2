"""The honest score of masks at the size of the competition's files, which is what Kaggle scores."""

from __future__ import annotations

import numpy as np

from kaggle_ray.combine import Ensemble
from kaggle_ray.data.baseline import perfect_predictions
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.reading import Reading
from kaggle_ray.data.samples import Samples
from kaggle_ray.images.decode import PixelKind, decode_image
from kaggle_ray.submission.answers import enlarged
from kaggle_ray.types import Folds


def full_size_score(competition: Competition, samples: Samples, folds: Folds, ensemble: Ensemble) -> float | None:
    """Return the mean over the scored rows of the metric of each enlarged answer; None where nothing is enlarged.

    Each image's answer is the one that is written into the submission: of several classes the most probable one of the
    enlarged probabilities. The rule that decides a row is the one that was fitted without the row's fold. An ensemble
    without an honest score has none here either. One image is held at a time.
    """
    size = competition.mask
    if size is None or samples.train_masks is None or ensemble.score_honest is None:
        return None
    if not size.is_enlarged:
        return None
    kind: PixelKind = "mask" if len(competition.classes) == 1 else "labels"
    mask_reading = (competition.reading or Reading()).masks
    scores: list[float] = []
    for position, row in enumerate(folds.scored_rows().tolist()):
        decision = ensemble.decision_of(position)
        full = size.full_size(str(samples.train_ids[row]))
        answer = enlarged(ensemble.oof[position : position + 1][0], size, decision, full=full)
        truth = decode_image(samples.train_masks[row], *full, kind=kind, mask_reading=mask_reading)[..., 0]
        target = (truth > 127) if kind == "mask" else truth
        values = perfect_predictions(competition.heads[0], answer.reshape(1, -1))  # the answer, as a metric reads it
        scores.append(competition.metric.score(target.reshape(1, -1).astype(np.uint8), values))
    return float(np.mean(scores))
