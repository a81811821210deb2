"""Carvana on a GPU: decoders of three kinds on pretrained encoders, at 640 x 960 and 1024 x 1536 pixels.

    pip install 'kaggle-ray[smp]'
    python run.py carvana --data DOWNLOAD --space search_spaces/carvana.py

The weights are downloaded by the libraries at the first use. What was run so far: each network for an epoch of
--fast-dev, untrained and at 64 pixels, on a CPU.
"""

from kaggle_ray import SearchSpace

SPACE = SearchSpace(
    base={
        "pretrained": True,
        "image_size": 640,
        "aspect": 1.5,
        "batch_size": 8,
        "epochs": 20,
        "lr": 1e-3,
        "layer_decay": 0.8,
        "schedule": "cosine",
        "warmup": 0.1,
        "ema_decay": 0.998,
        "augment": "segmentation",
        "tta": "hflip",
    },
    experiments=[
        {"model": "smp/unet", "model_args": {"encoder": "resnet34", "table": False}},
        {
            "model": "smp/unet",
            "model_args": {"encoder": "resnet34", "table": False},
            "image_size": 1024,
            "batch_size": 4,
        },
        {"model": "smp/unetplusplus", "model_args": {"encoder": "efficientnet-b4", "table": False}, "batch_size": 4},
        {"model": "smp/fpn", "model_args": {"encoder": "mit_b2", "table": False}},
    ],
)
