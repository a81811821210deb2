"""Planet on a GPU: five pretrained backbones of three kinds, at 256 px and up, moved by all symmetries of a square.

    python run.py planet --data DOWNLOAD --space search_spaces/planet.py

The weights are downloaded by the libraries at the first use. What was run so far: each network for an epoch of
--fast-dev, untrained and at 64 pixels, on a CPU.
"""

from kaggle_ray import SearchSpace

SPACE = SearchSpace(
    base={
        "pretrained": True,
        "image_size": 256,
        "batch_size": 64,
        "epochs": 12,
        "lr": 2e-4,
        "weight_decay": 0.05,
        "layer_decay": 0.8,
        "schedule": "cosine",
        "warmup": 0.1,
        "augment": "dihedral",
        "tta": "dihedral",
    },
    experiments=[
        {"model": "resnet50"},
        {"model": "densenet121"},
        {"model": "efficientnet_v2_s"},
        {"model": "convnext_tiny", "lr": 1e-4},
        {"model": "convnext_small", "lr": 1e-4, "image_size": 320, "batch_size": 32},
    ],
)
