"""Models by name: our own, torchvision's, timm's as ``timm/<name>``, and for masks smp's as ``smp/<architecture>``.

A newcomer adds a module beside this one with a builder under ``@register_model("name")``, and imports it below.
"""

from kaggle_ray.models import resnet9 as resnet9
from kaggle_ray.models import small_resnet as small_resnet
from kaggle_ray.models import unet as unet
from kaggle_ray.models.build import build_model
from kaggle_ray.models.check import check_model
from kaggle_ray.models.model import Model, Output, main_logits
from kaggle_ray.models.registry import check_model_name, input_size, register_model, register_segmenter
from kaggle_ray.models.shapes import Shapes

__all__ = [
    "Model",
    "Output",
    "Shapes",
    "build_model",
    "check_model",
    "check_model_name",
    "input_size",
    "main_logits",
    "register_model",
    "register_segmenter",
]
