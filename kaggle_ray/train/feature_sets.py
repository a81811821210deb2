"""Which sets of features an experiment takes of what stands still in its network; none is computed here.

A set is what the frozen part makes of all images as one view shows them, or as one augmented copy of them is. Its name
says all that sets differ in, so that experiments which name the same set share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.images import ImageHyperparameters
from kaggle_ray.config.predict import View
from kaggle_ray.data.samples import Samples
from kaggle_ray.images.augment import RECIPES, Recipe, recolors


def sets_of_epochs(hyperparameters: Hyperparameters, samples: Samples) -> Sequence[dict[str, int]]:
    """Return of each of the first epochs: set that none before it takes -> how many images it has.

    The first epoch's are also those that are predicted from. There are none where no features are kept.
    """
    images, model = hyperparameters.images, hyperparameters.model
    if not model.keeps_features:
        return ()
    num_train, num_test = (len(files) * samples.images_per_file for files in (samples.train_files, samples.test_files))
    views = dict.fromkeys(views_trained_on(images, hyperparameters.size_at(1)) or (), num_train)
    views |= dict.fromkeys(hyperparameters.predict.views(images), num_train + num_test)
    network = f"{model.name} {dict(model.args)} {model.head.get('pooling')} {images.image_size} x {images.aspect}"
    frozen = f"{network}, {model.freeze_stages} stages" if model.keeps_stages else network
    first = {f"{frozen}: {view}, {view.height} px": num_images for view, num_images in views.items()}
    copies = [
        {f"{frozen}: copy {number} by {images.augment}": num_train} for number in range(copies_trained_on(images))
    ]
    return [first | copies[0], *copies[1:]] if copies else [first]


def trains_on_features(hyperparameters: Hyperparameters) -> bool:
    """Return whether epochs take features, and not what the frozen part makes anew of the images of each."""
    images = hyperparameters.images
    is_known = views_trained_on(images, images.predict_size) is not None or copies_trained_on(images) > 0
    return hyperparameters.model.keeps_features and is_known


def views_trained_on(given: ImageHyperparameters, height: int) -> tuple[View, ...] | None:
    """Return the views, of which an epoch takes one of each image, the plain one first; None where there are others."""
    recipe = _kept_recipe(given)
    if recipe is None or recipe.geometry.crops or recolors(given.augment):
        return None
    plain = View(height=height)
    return (plain, replace(plain, is_mirrored=True)) if recipe.geometry.flip else (plain,)


def copies_trained_on(given: ImageHyperparameters) -> int:
    """Return how many augmented copies of each image epochs take in turn; 0 where they take views, or images anew."""
    return 0 if _kept_recipe(given) is None or views_trained_on(given, 1) else given.augment_copies


def _kept_recipe(given: ImageHyperparameters) -> Recipe | None:
    """Return a recipe of our own: what others do may change without changing its name, and mixing is drawn anew."""
    return None if given.mixup or given.cutmix else RECIPES.get(given.augment)
