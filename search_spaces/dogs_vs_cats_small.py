"""Dogs vs. Cats from scratch on a CPU."""

from kaggle_ray import SearchSpace

SPACE = SearchSpace(
    base={
        "model": "resnet9",
        "model_args": {"width": 16},
        "image_size": 128,
        "train_size": 80,
        "start_size": 48,
        "batch_size": 32,
        "epochs": 40,
        "lr": 3e-3,
        "beta2": 0.99,
        "schedule": "cosine",
        "warmup": 0.15,
        "ema_decay": 0.998,
        "augment": "heavy",
        "tta": "hflip",
    },
)
