"""Readers of files that are no photographs, by name: arrays, stacks of pages, medical images, volumes and sound.

A newcomer adds a module beside this one with a function under ``@register_reader("name")``, and imports it below.
"""

from kaggle_ray.images.readers import arrays as arrays
from kaggle_ray.images.readers import medical as medical
from kaggle_ray.images.readers import tiff as tiff
from kaggle_ray.images.readers.reader import NamedReader, named_reader, reader_of
from kaggle_ray.images.readers.registry import READERS, register_reader
from kaggle_ray.images.readers.sound import MelSpectrogram
from kaggle_ray.images.readers.volumes import VolumeSlices

__all__ = ["READERS", "MelSpectrogram", "NamedReader", "VolumeSlices", "named_reader", "reader_of", "register_reader"]
