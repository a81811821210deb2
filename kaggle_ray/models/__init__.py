"""Models by name: our own, torchvision's, and timm's as ``timm/<name>``.

A newcomer adds a module beside this one with a builder under ``@register_model("name")``, and imports it below.
"""

from kaggle_ray.models import resnet9 as resnet9
from kaggle_ray.models import small_resnet as small_resnet
from kaggle_ray.models import unet as unet
from kaggle_ray.models.registry import (
    Model,
    build_model,
    check_model,
    check_model_name,
    register_model,
    register_segmenter,
)
from kaggle_ray.models.shapes import Shapes

__all__ = [
    "Model",
    "Shapes",
    "build_model",
    "check_model",
    "check_model_name",
    "register_model",
    "register_segmenter",
]
