"""Whether what an experiment says of its model and of its training can be: asked of the code that would train it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kaggle_ray.config import Hyperparameters, ModelHyperparameters, parse_hyperparameters
from kaggle_ray.config.model import Freeze
from kaggle_ray.images.augment import check_recipe
from kaggle_ray.models import check_model
from kaggle_ray.models.shapes import Shapes
from kaggle_ray.pipeline.applicable import check_applicable
from kaggle_ray.pipeline.further_fits import check_out_of_fold
from kaggle_ray.pipeline.plan import RunPlan
from kaggle_ray.train.constraints import make_constraint
from kaggle_ray.train.fold_data import shapes_of
from kaggle_ray.train.losses import check_distillation, check_loss
from kaggle_ray.train.losses.auxiliary import split_by_head
from kaggle_ray.train.optimizers import check_optimizer
from kaggle_ray.train.pseudolabels import check_pseudolabels
from kaggle_ray.train.sampling import check_samplable
from kaggle_ray.train.schedules import check_schedule


def check_trainable(plan: RunPlan) -> None:
    """Raise ConfigError where an experiment names what is unknown, does not fit the competition, or cannot be built."""
    shapes = shapes_of(plan.competition, plan.samples)
    checked: list[tuple[object, ...]] = []
    for experiment in plan.examples:
        hyperparameters = parse_hyperparameters(experiment.hyperparameters, where=experiment.name)
        _check_inputs(hyperparameters, plan, shapes)
        check_training(hyperparameters, plan)
        model, sides = hyperparameters.model, hyperparameters.sides_seen
        freeze: Freeze = "stages" if model.keeps_stages else "none"
        asked = (replace(model, init_from={}, freeze_epochs=0, freeze=freeze), sides)
        if asked not in checked:  # experiments that differ in how they train ask the same of a model
            _check_model(model, shapes, sides)
            checked.append(asked)


def _check_inputs(hyperparameters: Hyperparameters, plan: RunPlan, shapes: Shapes) -> None:
    competition, samples = plan.competition, plan.samples
    check_applicable(
        hyperparameters,
        competition.heads,
        auxiliary_heads=competition.auxiliary_heads,
        has_table=shapes.num_table_columns > 0,
        varies=samples.varies,
    )
    has_weights = samples.train_weights is not None
    check_samplable(hyperparameters.training.sampler, competition.heads, has_weights=has_weights)
    check_recipe(hyperparameters.images.augment)


def check_training(hyperparameters: Hyperparameters, plan: RunPlan) -> None:
    """Raise ConfigError where an experiment is to be trained by what is unknown or does not fit the competition."""
    heads, auxiliary_heads = plan.competition.heads, plan.competition.auxiliary_heads
    check_distillation(heads, hyperparameters.loss)
    check_out_of_fold(hyperparameters, plan.folds)
    check_pseudolabels(heads, hyperparameters.pseudolabels)
    losses = split_by_head(hyperparameters.loss, auxiliary_heads)
    for of_loss, loss in zip((heads, auxiliary_heads), losses, strict=True):
        check_loss(loss.name, loss.args, of_loss)
    check_optimizer(hyperparameters.optimizer)
    check_schedule(hyperparameters.schedule)
    make_constraint(hyperparameters.optimizer.constraint, hyperparameters.optimizer.constraint_args)


def _check_model(model: ModelHyperparameters, shapes: Shapes, sides: Sequence[tuple[int, int]]) -> None:
    check_model(
        model.name,
        shapes,
        model_args=model.args,
        head=model.head,
        fuse=model.fuse,
        pretrained=model.pretrained,
        freeze_stages=model.freeze_stages,
        freeze_names=model.freeze_names.split(),
        keeps_stages=model.keeps_stages,
        gradient_checkpointing=model.gradient_checkpointing,
        sides=sides,
    )
