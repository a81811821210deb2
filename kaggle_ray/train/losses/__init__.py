"""What a model is trained on: losses by name, and how the columns of its output are trained on and read.

The loss of a batch is the mean over its samples of each sample's own loss. So it does not depend on how samples are
assigned to batches, parts of batches or processes: class weights have a mean of 1 over all training rows, and Dice and
the F score are those of one sample. Targets are soft, so that label smoothing and mixing need no cases of their own;
the classes of a sole head may stay numbers where nothing softens them.

The hyperparameter ``loss`` is a name of this table, and ``loss_args`` its arguments:

| name | tasks | arguments | source |
|---|---|---|---|
| cross_entropy | binary, multiclass, multilabel, segmentation | class_weights | torch |
| bce | binary, multilabel, segmentation | pos_weight | torch |
| focal | binary, multiclass, multilabel, segmentation | gamma, alpha, class_weights | torchvision; Lin et al., 2017 |
| smooth_f2 | multilabel | beta, smooth | the F score as a Tversky index |
| mse | regression | | torch |
| l1 | regression | | torch |
| huber | regression | delta | torch; Huber, 1964 |
| cross_entropy_dice | segmentation | dice_weight, smooth | torch; Milletari et al., 3DV 2016 |
| dice | segmentation | smooth | Milletari et al., "V-Net", 3DV 2016 |
| jaccard | segmentation | smooth | Rahman and Wang, ISVC 2016 |
| tversky | segmentation | alpha, beta, smooth | Salehi et al., MLMI 2017 |
| lovasz | segmentation | | segmentation-models-pytorch; Berman et al., CVPR 2018 |

Another one is registered by the competition's file, by ``kaggle_ray.register_loss``.

- ``default`` is cross_entropy; mse for numbers; cross_entropy_dice for masks. It takes their arguments.
- ``by_head`` names a loss for each head, in a competition of several: ``{"age": {"loss": "huber", "delta": 2.0}}``.
  Heads that are not named have their default.
- ``class_weights`` is ``"balanced"``, a list, or a dictionary by class (1 where a class is not named). Only the ratios
  count: they are scaled to a mean of 1 over the training rows, or their pixels. Labels, and masks of one class, have
  ``pos_weight`` of bce instead: ``"balanced"``, a number, a list, or a dictionary by label. It is torch's: not scaled.
- ``focal``: ``gamma`` is at least 1; ``alpha`` is the weight of what is there, 1 - alpha of what is not, for binary,
  labels, and masks of one class; others have ``class_weights``.
- ``delta``, where huber goes from squares to absolute values, is in standard deviations of the training targets.
- A teacher's answers are learnt beside any of them: see ``distill_from`` of the hyperparameters.
- ``smooth`` is added to the overlap, above and below, so that an empty mask has a loss.
"""

from kaggle_ray.train.losses.distillation import (
    DistillationLosses,
    check_distillation,
    distill_loss,
    make_distillation_losses,
)
from kaggle_ray.train.losses.outputs import Outputs, PixelOutputs, make_outputs
from kaggle_ray.train.losses.registry import LOSSES, SampleLoss, check_loss, make_losses, register_loss

__all__ = [
    "LOSSES",
    "DistillationLosses",
    "Outputs",
    "PixelOutputs",
    "SampleLoss",
    "check_distillation",
    "check_loss",
    "distill_loss",
    "make_distillation_losses",
    "make_losses",
    "make_outputs",
    "register_loss",
]
