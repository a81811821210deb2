"""How large the networks of a competition's experiments are."""

from __future__ import annotations

from kaggle_ray.config import Hyperparameters
from kaggle_ray.data.competition import Competition
from kaggle_ray.data.samples import Samples
from kaggle_ray.models.summary import summarise
from kaggle_ray.train.fold_data import shapes_of
from kaggle_ray.types import ModelSize, canonical_json


class ModelSizes:
    """Sizes of networks; one that several experiments have is looked at once."""

    def __init__(self, competition: Competition, samples: Samples) -> None:
        """Take the shapes from a competition and its samples; no network is looked at yet."""
        self._shapes = shapes_of(competition, samples)
        self._known: dict[str, ModelSize] = {}

    def of(self, hyperparameters: Hyperparameters) -> ModelSize:
        """Return how large an experiment's network is."""
        model, images = hyperparameters.model, hyperparameters.images
        sides = images.sides(images.predict_size)
        stages = model.freeze_stages if model.pretrained or model.init_from else 0
        frozen = None if model.frozen == "backbone" else stages
        key = canonical_json([model.name, model.args, model.head, model.fuse, sides, frozen])
        if key not in self._known:
            self._known[key] = summarise(
                model.name, self._shapes, sides=sides, model_args=model.args, head=model.head, fuse=model.fuse,
                freeze_stages=frozen,
            ).size  # fmt: skip
        return self._known[key]
