# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Debugging a trial in this process
#
# With `launcher="local"` a trial is trained in the notebook's own process: a breakpoint stops in it, `%debug` opens it
# after an error, and a model's own code is that of the cell above. The numbers are those of a run on Ray.

# %% tags=["parameters"]
competition = "competitions/digits.py"
data = "data/digits"

# %%
from torch import nn

import kaggle_ray

# %% [markdown]
# ## A model of one's own
# It is registered by name. `shapes` is filled as it is called; in its place `breakpoint()` would stop here.

# %%
shapes = []


class Tiny(nn.Module):
    """Two convolutions, and a mean over the image."""

    def __init__(self, num_outputs):
        """Make the layers."""
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, num_outputs, 3))

    def forward(self, images):
        """Return logits (N, outputs) of images (N, 3, height, width)."""
        shapes.append(tuple(images.shape))
        return self.layers(images).mean(dim=(2, 3))


kaggle_ray.register_model("tiny")(Tiny)

# %% [markdown]
# ## One batch of everything
# `fast_dev` runs data, training, prediction, ensemble and submission on a few rows, in seconds: what does not work is
# met here, and not after an hour.

# %%
experiment = {"model": "tiny", "image_size": 8, "epochs": 1}
kaggle_ray.run(competition, [experiment], data=data, fast_dev=True)

# %%
shapes[:3]

# %% [markdown]
# ## A whole trial, step by step
# Without `fast_dev` all folds are trained, one after the other, here.

# %%
result = kaggle_ray.run(competition, [experiment], data=data, launcher="local")
kaggle_ray.open_run(result.run_dir).history()
