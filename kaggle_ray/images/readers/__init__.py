"""Readers of files that are no photographs, by name: arrays, stacks of pages, medical images and volumes.

A newcomer adds a module beside this one with a function under ``@register_reader("name")``, and imports it below.
"""

from kaggle_ray.images.readers import arrays as arrays
from kaggle_ray.images.readers import medical as medical
from kaggle_ray.images.readers import tiff as tiff
from kaggle_ray.images.readers.reader import NamedReader, reader_of
from kaggle_ray.images.readers.registry import READERS, register_reader

__all__ = ["READERS", "NamedReader", "reader_of", "register_reader"]
