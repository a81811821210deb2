# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Carvana: masks of cars, by Dice
#
# Start Jupyter in the repository's folder, with the competition's download in `data`.

# %% tags=["parameters"]
competition = "competitions/carvana.py"
data = "data/carvana"
size = {"image_size": 160, "aspect": 1.5, "epochs": 100, "model_args": {"width": 12}}
options: dict[str, object] = {}  # of kaggle_ray.run, such as {"reporters": ["console", "visdom"], "budget": "2h"}

# %%
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.express as px
from PIL import Image

import kaggle_ray

# %% [markdown]
# ## The data
# Sixteen photographs of each car, all around it: a car's photographs stay in one fold, or the score would flatter.

# %%
images = pd.read_csv(Path(data, "train_masks.csv"))["img"]
cars = images.str.rpartition("_")[0]
cars.value_counts().describe()


# %%
def outlined(name):
    """Return a photograph with its mask in red, small enough to look at."""
    image = Image.open(Path(data, "train", name)).convert("RGB").resize((384, 256))
    mask = Image.open(Path(data, "train_masks", f"{Path(name).stem}_mask.gif")).convert("L").resize((384, 256))
    pixels = np.array(image)
    pixels[np.asarray(mask) > 127, 0] = 255
    return pixels


def show(names):
    """Show photographs side by side, each with its name."""
    figure = px.imshow(np.stack([outlined(name) for name in names]), facet_col=0, height=260)
    for annotation, name in zip(figure.layout.annotations, names, strict=True):
        annotation.text = name
    figure.update_layout(margin={"t": 40, "b": 0})
    return figure.update_xaxes(visible=False).update_yaxes(visible=False)


show(images[:3])

# %% [markdown]
# ## An experiment

# %%
recipe = {"batch_size": 4, "lr": 3e-3, "schedule": "cosine", "augment": "segmentation", "tta": "hflip"}
experiment = {"model": "unet", **recipe, **size}
result = kaggle_ray.run(competition, [experiment], data=data, **options)
result

# %%
past = kaggle_ray.open_run(result.run_dir)
past.learning_curves("valid_loss")

# %% [markdown]
# ## Which fold is hard
# A fold is a few cars. One that is much worse than the others has a car that is unlike them.

# %%
last = past.history().groupby(["experiment", "fold"]).tail(1)
px.bar(last, x="fold", y="score", color="experiment", barmode="group")

# %% [markdown]
# ## The hardest photographs
# Each was masked by a model that never saw its car. Red is where the true mask says car.

# %%
worst = past.evaluation().nsmallest(3, "dice")
worst

# %%
show(worst["id"])

# %% [markdown]
# ## The submission
# Masks are decided at full size, and written as run lengths that were checked and read back.

# %%
pd.read_csv(result.submission).head()
