"""What is trained in which epoch: first only what is not pretrained, then everything.

Source: Howard and Ruder, "Universal language model fine-tuning", ACL 2018 (the new layers first).
"""

from __future__ import annotations

from torch import nn

from kaggle_ray.config import ModelHyperparameters
from kaggle_ray.models import Model


class Freezing:
    """The pretrained part of a model, and the epochs in which it stands still.

    Frozen parameters have ``requires_grad`` off, so the backward pass ends at them and they have no gradient: the
    optimizer, which knows them from the start, neither moves nor decays them and gathers no momentum for them. What the
    library itself has fixed for good stays fixed.
    """

    def __init__(self, model: Model, given: ModelHyperparameters) -> None:
        """Take a model that was just built: what can be trained now is what will be trained in the end."""
        self._model = model
        starts_from_weights = given.pretrained or bool(given.init_from)
        self._num_epochs = given.freeze_epochs if starts_from_weights else 0
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

    def is_frozen(self, epoch: int) -> bool:
        """Return whether the pretrained part stands still in ``epoch``, 1 for the first."""
        return epoch <= self._num_epochs

    def start_epoch(self, epoch: int) -> bool:
        """Put the model in training mode as ``epoch`` trains it; frozen batch norms stay in evaluation mode.

        Returns:
            Whether other parameters than before are trained now. DistributedDataParallel, which looks at
            ``requires_grad`` when it is made, then has to be made anew.
        """
        frozen = self.is_frozen(epoch)
        changes = any(parameter.requires_grad == frozen for parameter in self._parameters)
        for parameter in self._parameters:
            parameter.requires_grad_(not frozen)
            if frozen:
                parameter.grad = None
        self._model.train()
        if frozen:
            for norm in self._norms:
                norm.eval()
        return changes
