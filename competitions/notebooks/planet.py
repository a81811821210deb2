# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Planet: tags of satellite chips, by mean F2
#
# Start Jupyter in the repository's folder, with the competition's download in `data`.

# %% tags=["parameters"]
competition = "competitions/planet.py"
data = "data/planet"
size = {"image_size": 128, "train_size": 96, "epochs": 75}
options: dict[str, object] = {}  # of kaggle_ray.run, such as {"reporters": ["console", "visdom"], "budget": "2h"}

# %%
from pathlib import Path

import pandas as pd
import plotly.express as px

import kaggle_ray

# %% [markdown]
# ## The data
# A chip has several tags. Which of them come together is worth a look before anything is trained.

# %%
tags = pd.read_csv(Path(data, "train_v2.csv"), index_col="image_name")["tags"].str.get_dummies(sep=" ")
tags.sum().sort_values(ascending=False)

# %%
px.imshow(tags.corr(), color_continuous_midpoint=0, color_continuous_scale="RdBu", title="tags that come together")

# %% [markdown]
# ## Experiments
# Two seeds of one network: they are one member of the ensemble, their mean.

# %%
experiment = {"model": "resnet9", "model_args": {"width": 16}, "batch_size": 32, "augment": "dihedral", **size}
result = kaggle_ray.run(competition, [experiment, {**experiment, "seed": 1}], data=data, **options)
result

# %%
past = kaggle_ray.open_run(result.run_dir)
past.learning_curves()

# %% [markdown]
# ## The decision
# F2 counts tags, not probabilities: a threshold for each tag is part of what is submitted. Those of a fold are found on
# the others, so that the score is honest; the final ones are found on all rows.

# %%
assert result.ensemble is not None
result.ensemble.decision

# %% [markdown]
# ## Errors by tag
# What each tag's answers are worth, by models and thresholds that never saw the chip, beside how rare the tag is.

# %%
by_tag = past.label_scores()
px.scatter(by_tag, x="rows", y="recall", text="label", log_x=True)

# %%
past.evaluation(outcome="wrong").nlargest(5, "loss")

# %% [markdown]
# ## The submission

# %%
pd.read_csv(result.submission).head()
