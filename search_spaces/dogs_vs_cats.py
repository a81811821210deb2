"""Dogs vs. Cats on a GPU: four pretrained backbones at 224 px and up, and a linear probe beside them.

    python run.py dogs_vs_cats --data DOWNLOAD --space search_spaces/dogs_vs_cats.py

The weights are downloaded by the libraries at the first use. What was run so far: each network for an epoch of
--fast-dev, untrained and at 64 pixels, on a CPU.
"""

from kaggle_ray import SearchSpace

SPACE = SearchSpace(
    base={
        "pretrained": True,
        "image_size": 224,
        "batch_size": 64,
        "epochs": 6,
        "lr": 2e-4,
        "weight_decay": 0.05,
        "augment": "light",
        "tta": "hflip",
    },
    experiments=[
        {"model": "resnet50"},
        {"model": "efficientnet_v2_s"},
        {"model": "convnext_tiny", "lr": 1e-4},
        {"model": "convnext_tiny", "lr": 1e-4, "image_size": 288, "batch_size": 48},
        {
            "model": "convnext_base",
            "freeze": "backbone",
            "head": {"pooling": "avg"},
            "epochs": 30,
            "lr": 1e-3,
            "augment": "flip",
        },
    ],
)
