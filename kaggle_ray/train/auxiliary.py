"""How well auxiliary heads are learnt, after each epoch: to be looked at, nothing is chosen by it.

Shape suffixes: N samples, C columns of the auxiliary heads' outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

from kaggle_ray.data.auxiliary import known_rows
from kaggle_ray.data.baseline import target_of
from kaggle_ray.data.head import place_heads
from kaggle_ray.images.augment import resize_masks
from kaggle_ray.models import Output
from kaggle_ray.train.further_metrics import FurtherMetrics
from kaggle_ray.train.inputs import FitData
from kaggle_ray.train.losses.auxiliary import AuxiliaryMasks, AuxiliaryOutputs, pixel_classes
from kaggle_ray.train.losses.objective import Objective
from kaggle_ray.types import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class AuxiliaryScores:
    """Scores what a model says of auxiliary heads, by each head's own metric and those that it names beside it."""

    data: FitData
    outputs: AuxiliaryOutputs | AuxiliaryMasks
    further: FurtherMetrics

    @classmethod
    def of(cls, data: FitData, objective: Objective, further: FurtherMetrics) -> AuxiliaryScores | None:
        """Return what scores the auxiliary heads of a fold, None where there are none."""
        if objective.auxiliary is None:
            return None
        return cls(data=data, outputs=objective.auxiliary, further=further)

    def values(self, output: Output) -> FloatArray:
        """Return (N, C) what the model says of the auxiliary heads, those of masks flattened."""
        assert isinstance(output, tuple), "the model has outputs of the auxiliary heads"
        return self.outputs.values(output[1])

    def scores(self, rows: IntArray, values_NC: FloatArray, sides: tuple[int, int], epoch: int) -> dict[str, float]:
        """Return ``<head>.<metric>`` -> score of ``rows`` (N,), of masks at ``sides``, height and width.

        Rows whose truth is not known are left out. A head of which none is known, and a metric that fails, have none.
        """
        found: dict[str, float | None] = {}
        for place in place_heads(self.data.auxiliary_heads):
            head, values = place.head, values_NC[:, place.outputs]
            if self.data.masks is not None and head.task == "segmentation":
                values = values_NC
                masks = resize_masks(self.data.masks.read(rows), *sides, nearest=len(head.classes) > 1)
                target = pixel_classes(masks, head)
            else:
                assert self.data.auxiliary_target is not None, "the competition has been checked"
                columns = self.data.auxiliary_target[rows]
                known = known_rows(columns[:, place.targets])
                values, target = values[known], target_of(place, columns[known])[:]
            for metric in (head.metric, *head.further_metrics) if len(target) else ():
                name = f"{head.name}.{metric.name}"
                found[name] = self.further.tried(name, metric, target, values, epoch)
        return {name: score for name, score in found.items() if score is not None}
