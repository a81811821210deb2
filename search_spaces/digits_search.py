"""Handwritten digits, searched: learning rate, weight decay, label smoothing and augmentation of two networks.

python run.py digits --space search_spaces/digits_search.py --num-experiments 12

On 2 cores that had other work, too: 7.5 minutes for 60 trials, honest log loss of the ensemble 0.051.
"""

from kaggle_ray import SearchSpace, choice, log_uniform, uniform

SPACE = SearchSpace(
    base={"image_size": 8, "batch_size": 32, "epochs": 6},
    experiments=[
        {"model": "small_resnet", "model_args": {"width": 16, "blocks": [1, 1, 1], "stem_stride": 1}},
        {"model": "resnet9", "model_args": {"width": 8, "stem_stride": 1}},
    ],
    search={
        "lr": log_uniform(3e-4, 3e-2),
        "weight_decay": log_uniform(1e-3, 0.3),
        "label_smoothing": uniform(0, 0.1),
        "augment": choice(["none", "shift"]),
    },
)
