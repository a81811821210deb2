"""Hyperparameters that could change nothing of an experiment: refused by name before it is trained without them."""

from __future__ import annotations

from collections.abc import Sequence

from kaggle_ray.config import Hyperparameters
from kaggle_ray.config.model import TABLE_MODELS
from kaggle_ray.data.head import Head
from kaggle_ray.errors import ConfigError
from kaggle_ray.images.mix import check_mix
from kaggle_ray.models.registry import MODELS, SEGMENTERS


def check_applicable(
    hyperparameters: Hyperparameters,
    heads: Sequence[Head],
    *,
    auxiliary_heads: Sequence[Head] = (),
    has_table: bool,
    varies: bool = False,
) -> None:
    """Raise ConfigError for a hyperparameter that is set and has nothing to act on, or cannot go with another one.

    What a hyperparameter's own help says of when it plays no part, such as ``freeze_epochs`` without pretrained
    weights, is no error: experiments of a grid may share it.

    Args:
        hyperparameters: of one experiment.
        heads: of the competition.
        auxiliary_heads: what is learnt beside them.
        has_table: whether numbers come with the images.
        varies: whether samples have different numbers of images.
    """
    images, loss, model = hyperparameters.images, hyperparameters.loss, hyperparameters.model
    check_mix(images.mixup, images.cutmix, has_table=has_table, varies=varies)
    if images.tile and heads[0].task != "segmentation":
        raise ConfigError(
            f"hyperparameter 'tile': expected 0 for a task without masks, got {images.tile}: only masks are predicted "
            f"tile by tile."
        )
    if images.tile and auxiliary_heads:
        raise ConfigError(
            f"hyperparameter 'tile': expected 0 beside auxiliary heads, got {images.tile}: what is said of a whole "
            f"image is not made of its tiles."
        )
    if hyperparameters.pseudolabels.share and any(head.task == "segmentation" for head in auxiliary_heads):
        raise ConfigError(
            f"hyperparameter 'pseudolabel_share': expected 0 beside an auxiliary head of masks, got "
            f"{hyperparameters.pseudolabels.share:g}: test rows have no masks to learn from."
        )
    tta = hyperparameters.predict.tta
    if tta in ("five_crop", "ten_crop") and heads[0].task == "segmentation":
        raise ConfigError(
            f"hyperparameter 'tta': expected whole images for masks, got {tta!r}: a crop says nothing of the pixels "
            f"outside of it. Take dihedral, or tile for large images."
        )
    if loss.label_smoothing and all(head.task == "regression" for head in heads):
        raise ConfigError(
            f"hyperparameter 'label_smoothing': expected 0 where only numbers are predicted, got "
            f"{loss.label_smoothing:g}: there are no classes to share a target with."
        )
    if loss.label_smoothing and loss.name == "lovasz":
        raise ConfigError(
            f"hyperparameter 'label_smoothing': expected 0 for the loss lovasz, got {loss.label_smoothing:g}: "
            f"it rounds every target to the likelier class."
        )
    least = 4 * hyperparameters.training.accumulate - 1  # batches are evened out: from this on none has a part of one
    if model.head.get("batch_norm") and hyperparameters.training.batch_size < least:
        raise ConfigError(
            f"hyperparameter 'batch_size': expected at least {least} with a head of batch_norm and accumulate "
            f"{hyperparameters.training.accumulate}, got {hyperparameters.training.batch_size}: a single sample has no "
            f"variance to normalise by."
        )
    is_ours = any(model.name in known for known in (MODELS, SEGMENTERS, TABLE_MODELS))
    if model.args.get("weights") is not None and not model.pretrained and not is_ours:
        raise ConfigError(
            f"model_args 'weights': {model.args['weights']} would not be loaded, as pretrained is false. "
            f"Set pretrained to true, or leave the weights out."
        )
