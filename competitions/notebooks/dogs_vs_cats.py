# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Dogs vs. Cats Redux: from photographs to a submission
#
# Start Jupyter in the repository's folder, with the competition's download in `data`. This file is a notebook as text:
# with the extra `notebooks`, JupyterLab opens it by "Open With, Notebook", and `jupytext --to ipynb` makes an .ipynb.

# %% tags=["parameters"]
competition = "competitions/dogs_vs_cats.py"
data = "data/dogs_vs_cats"
size = {"image_size": 224, "epochs": 30}
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
# A photograph's label is in its name.

# %%
photographs = {path.stem: path for path in sorted(Path(data, "train").glob("*.jpg"))}
labels = pd.Series({name: name.partition(".")[0] for name in photographs}, name="label")
labels.value_counts()


# %%
def show(names, titles=None):
    """Show photographs side by side, each with its title."""
    pictures = [np.asarray(Image.open(photographs[name]).convert("RGB").resize((128, 128))) for name in names]
    figure = px.imshow(np.stack(pictures), facet_col=0, facet_col_wrap=6, height=180 * -(-len(pictures) // 6))
    for annotation, title in zip(figure.layout.annotations, titles or names, strict=True):
        annotation.text = title
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    return figure


show(labels.groupby(labels).head(3).index)

# %% [markdown]
# ## Experiments
# An experiment is a dictionary of hyperparameters; what it leaves out has its default. Each is trained on five folds.
# These are linear probes: networks that ImageNet has taught turn each photograph into features once, and only a last
# layer is trained. Leave `freeze` out to fine-tune all layers, which wants a GPU.

# %%
probe = {"pretrained": True, "freeze": "backbone", "head": {"pooling": "avg"}, "lr": 3e-3, "tta": "hflip", **size}
experiments = [{"model": f"timm/tf_efficientnet_{name}", **probe} for name in ("lite0", "lite2")]
result = kaggle_ray.run(competition, experiments, data=data, **options)
result

# %% [markdown]
# ## How they learnt
# A run is opened again by its folder, in this notebook or another, while it goes on or long after.

# %%
past = kaggle_ray.open_run(result.run_dir)
past.learning_curves()

# %%
past.history().groupby(["experiment", "fold"]).tail(1)

# %% [markdown]
# ## What the ensemble gets wrong
# Each photograph is predicted by a model that never saw it, so that its errors are those of new photographs.

# %%
rows = past.evaluation()
print(f"log loss {rows['loss'].mean():.4f}, accuracy {(rows['answer'] == rows['truth']).mean():.3f}")
worst = rows.nlargest(6, "loss")
show(worst["id"], [f"{row.id}: P(dog) {row.probability_dog:.2f}" for row in worst.itertuples()])

# %% [markdown]
# Where the bars of one height are as many dogs as the axis says, a probability can be taken at its word.

# %%
px.histogram(rows, x="probability_dog", color="truth", nbins=20, barmode="stack")

# %% [markdown]
# ## The submission
# It was checked against the sample submission, id by id, and read back.

# %%
pd.read_csv(result.submission).head()
