"""Imports what a run imports only when it gets there: for a process that others are forked from."""

import sklearn.metrics
import sklearn.model_selection
import torch._dynamo

import kaggle_ray.report.html
import kaggle_ray.train.trial

__all__ = ["kaggle_ray", "sklearn", "torch"]
