"""The hyperparameters of the network, and of what it starts from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from kaggle_ray.config.packaged import installed_weights
from kaggle_ray.config.part import called, check_types, require
from kaggle_ray.types import JsonValue

Freeze = Literal["none", "norms", "stages", "backbone"]
Soup = Literal["greedy", "uniform"]
Fuse = Literal["mean", "max", "attention", "lstm", "transformer"]

WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
"""Endings of files of weights."""
TABLE_MODELS = ("table_linear", "table_mlp")
"""Models of the table alone: they look at no image."""
LIBRARIES_OF_MODELS = "timm's models are named timm/<name>, those of segmentation-models-pytorch smp/<name>."
"""Where there are more models than those that an error lists."""
_FOREIGN_KEYS = ("checkpoint_path", "file", "hf_hub_id", "url")
"""Arguments of timm's, and keys of what it calls a ``pretrained_cfg``, that name weights which are not its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelHyperparameters:
    """Which network is trained, and the weights that it starts from."""

    name: str = field(default="resnet18", metadata=called("model"))
    """A name of ``kaggle_ray.models``: our own, torchvision's, ``timm/<name>``, or ``smp/<architecture>`` for masks."""
    args: Mapping[str, JsonValue] = field(default_factory=dict, metadata=called("model_args"))
    """Keyword arguments of the model's builder, such as ``{"width": 24}``; of a library's model also ``weights``, the
    library's name of some or a file, which ``pretrained`` then loads."""
    head: Mapping[str, JsonValue] = field(default_factory=dict)
    """What stands in the place of a classifier's last layer, such as ``{"pooling": "avgmax", "hidden": [512],
    "dropout": 0.5}``; see ``kaggle_ray.models.head``. Empty is the model's own."""
    fuse: Fuse = "mean"
    """How an id's several images, which go through one network, become one answer. mean: that of their logits; the
    others fuse their features, beneath a ``head`` of ours: see ``kaggle_ray.models.fusion``."""
    pretrained: bool = False
    """Start from the library's own weights: from a package of the extra ``weights`` where one has them and is
    installed, else downloaded by the library at the first use."""
    trust_weights: bool = False
    """Declare that the files of weights that ``model_args`` names were trained on none of this competition's labels. Of
    a file it cannot be told, so that without this what starts from one has no honest score; what the library has by a
    name of its own is trusted."""
    init_from: Mapping[str, JsonValue] = field(default_factory=dict)
    """Start from the weights, of the same fold, of the same experiment with these values instead, such as
    ``{"image_size": 64}``: that experiment is run first. Empty starts afresh."""
    soup_of: Sequence[Mapping[str, JsonValue]] = ()
    """Average the weights, of the same fold, of this same experiment with these values instead, such as
    ``[{"lr": 1e-3}, {"lr": 3e-4}]``, in the place of training: those experiments are run first. Empty trains. Source:
    Wortsman et al., "Model soups", ICML 2022."""
    soup: Soup = "greedy"
    """Which of ``soup_of`` are averaged. greedy: the best on an inner split, which all of them hold out, and each
    further one, the better first, where the mean scores no worse there; uniform: all of them, so that nothing is
    chosen."""
    freeze_epochs: int = 0
    """First epochs in which only what is not pretrained is trained: the head, a U-Net's decoder, a table's branch.
    Without ``pretrained`` or ``init_from`` nothing is frozen."""
    freeze: Freeze = "none"
    """What of the pretrained part stays as it is in all epochs. norms: statistics, scales and shifts of its batch
    norms; stages: the first ``freeze_stages``; backbone: all of it, as it predicts, so that the head alone is trained
    (a linear probe). Under a ``head`` of ours, which stages needs, the features that the frozen part gives are then
    computed once for each image and view: ``kaggle_ray.train.features``."""

    freeze_stages: int = 0
    """First stages of the pretrained part that stay as they are in all epochs, batch norms included: the first one is
    the first convolution, and a block of timm's networks is a stage. Unless ``freeze`` says so they are computed anew
    in each epoch, which takes no room."""
    freeze_names: str = ""
    """Parameters of the pretrained part that stay as they are in all epochs: patterns of their names, blanks between,
    such as ``layer1.* conv1.*``; ``kaggle-ray show --model`` lists the names that layers have."""
    gradient_checkpointing: bool = False
    """Compute what lies between a network's blocks anew in the backward pass, for less memory and more time, where its
    library can: timm's networks. Batch norms then count each batch twice."""

    def __post_init__(self) -> None:
        """Check every value's type and range. Raises ConfigError."""
        check_types(self)
        require(self.freeze_stages >= 0, "freeze_stages", "at least 0", self.freeze_stages)
        if self.freeze == "stages":
            require(self.freeze_stages >= 1, "freeze_stages", "at least 1 where freeze is stages", self.freeze_stages)
            require(bool(self.head), "head", "options, such as {'pooling': 'avg'}, where freeze is stages", self.head)
        require(self.freeze_epochs >= 0, "freeze_epochs", "at least 0", self.freeze_epochs)
        require(self.init_from.get("image_size") != 0, "init_from", "an image_size of at least 1", 0)

    @property
    def frozen(self) -> Freeze:
        """What stays as it is in all epochs: nothing where nothing is pretrained."""
        return self.freeze if self.pretrained or self.init_from else "none"

    @property
    def keeps_stages(self) -> bool:
        """Whether what the first stages give is computed once for each image and view, and kept."""
        return self.frozen == "stages"

    @property
    def keeps_features(self) -> bool:
        """Whether what the frozen part gives is, be it stages or the whole backbone, beneath a head of ours."""
        return self.frozen in ("stages", "backbone") and (bool(self.head) or self.fuse != "mean")

    @property
    def foreign_weights(self) -> tuple[str, ...]:
        """Files and addresses that ``args`` names weights by, which are not the library's own."""
        return tuple(dict.fromkeys(_weights_in(self.args)))

    @property
    def weights_files(self) -> dict[str, str]:
        """What is loaded at first and is no download of a library's: its name -> its file here, or its address.

        A package's name is that of the package; others are their own.
        """
        files = {file: file for file in self.foreign_weights}
        package = installed_weights(self.name, self.args) if self.pretrained else None
        return files if package is None else {**files, package.package: str(package.path)}


def names_a_file(weights: object) -> bool:
    """Return whether ``weights`` of ``model_args`` are a path rather than the name that the library has for some."""
    return isinstance(weights, str) and (weights.endswith(WEIGHTS_SUFFIXES) or "/" in weights)


def _weights_in(arguments: JsonValue, name: str = "") -> Iterator[str]:
    """Yield what tells weights, however deep it is in ``arguments``, which are given as ``name``."""
    if isinstance(arguments, Mapping):
        for key, value in arguments.items():
            yield from _weights_in(value, key)
    elif isinstance(arguments, str):
        tells_weights = name in _FOREIGN_KEYS or (name == "weights" and names_a_file(arguments))
        if arguments and (tells_weights or arguments.endswith(WEIGHTS_SUFFIXES)):
            yield arguments
    elif isinstance(arguments, Sequence):
        for value in arguments:
            yield from _weights_in(value, name)
