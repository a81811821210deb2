"""Carvana on a CPU, smaller than the default: 256 x 384 pixels, one experiment.

    python run.py carvana --data DOWNLOAD --space search_spaces/carvana_small.py

On 32 photographs of 8 cars it has an honest Dice of 0.978, in half an hour of a busy machine of two cores.
"""

from kaggle_ray import SearchSpace

SPACE = SearchSpace(
    base={
        "model": "smp/unet",
        "model_args": {
            "encoder": "tu-tf_efficientnet_lite0",
            "decoder_channels": [64, 48, 32, 16, 8],
            "table": False,
        },
        "pretrained": True,
        "freeze": "backbone",
        "image_size": 256,
        "aspect": 1.5,
        "batch_size": 4,
        "epochs": 24,
        "lr": 2e-3,
        "layer_decay": 0.8,
        "schedule": "cosine",
        "warmup": 0.1,
        "ema_decay": 0.98,
        "augment": "segmentation",
        "tta": "hflip",
    }
)
