"""What is trained in which epoch: first only what is not pretrained, then everything, or what is not frozen for good.

Source: Howard and Ruder, "Universal language model fine-tuning", ACL 2018 (the new layers first).
"""

from __future__ import annotations

from torch import nn

from kaggle_ray.config import ModelHyperparameters
from kaggle_ray.models import Model


class Freezing:
    """The pretrained part of a model, and the epochs in which it, or a part of it, stands still.

    Frozen parameters have ``requires_grad`` off, so the backward pass ends at them and they have no gradient: the
    optimizer, which knows them from the start, neither moves nor decays them and gathers no momentum for them. What the
    library itself has fixed for good stays fixed.
    """

    def __init__(self, model: Model, given: ModelHyperparameters) -> None:
        """Take a model that was just built: what can be trained now is what will be trained in the end."""
        self._model = model
        starts_from_weights = given.pretrained or bool(given.init_from)
        self._num_epochs = given.freeze_epochs if starts_from_weights else 0
        self._for_good = given.frozen
        fresh = model.fresh_names()
        named = [(name, parameter) for name, parameter in model.named_parameters() if name not in fresh]
        self._parameters = [parameter for _, parameter in named if parameter.requires_grad]
        of_backbone = {id(parameter) for _, parameter in named}
        self._norms = [
            module
            for module in model.modules()
            if isinstance(module, nn.modules.batchnorm._NormBase)
            and any(id(parameter) in of_backbone for parameter in module.parameters(recurse=False))
        ]
        standing = model.standing_names(num_stages=given.freeze_stages, patterns=given.freeze_names.split())
        self._standing = {id(parameter) for name, parameter in named if name in standing and starts_from_weights}
        """Parameters of the first stages, and those that are named, which stand still for good."""
        self._of_norms = {id(parameter) for norm in self._norms for parameter in norm.parameters(recurse=False)}

    def is_frozen(self, epoch: int) -> bool:
        """Return whether the pretrained part stands still in ``epoch``, 1 for the first."""
        return self._for_good == "backbone" or epoch <= self._num_epochs

    def start_epoch(self, epoch: int) -> bool:
        """Put the model in training mode as ``epoch`` trains it; frozen batch norms stay in evaluation mode.

        A backbone that is frozen for good stays in it as a whole: dropout within it has nothing to teach.

        Returns:
            Whether other parameters than before are trained now. DistributedDataParallel, which looks at
            ``requires_grad`` when it is made, then has to be made anew.
        """
        trained = [not self._stands_still(parameter, epoch) for parameter in self._parameters]
        changes = trained != [parameter.requires_grad for parameter in self._parameters]
        for parameter, is_trained in zip(self._parameters, trained, strict=True):
            parameter.requires_grad_(is_trained)
            if not is_trained:
                parameter.grad = None
        self._model.train(self._for_good != "backbone")
        for module in self._model.fresh_modules():
            module.train()
        for norm in self._norms:
            is_standing = any(id(parameter) in self._standing for parameter in norm.parameters(recurse=False))
            if self.is_frozen(epoch) or self._for_good == "norms" or is_standing:
                norm.eval()
        return changes

    def _stands_still(self, parameter: nn.Parameter, epoch: int) -> bool:
        if id(parameter) in self._standing:
            return True
        return self.is_frozen(epoch) or (self._for_good == "norms" and id(parameter) in self._of_norms)
