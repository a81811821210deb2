"""The hyperparameters of a run's experiments: those that differ in a table, and the others once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape

from kaggle_ray.counted import counted
from kaggle_ray.report.figures import Mark
from kaggle_ray.report.page import definitions, marked, table
from kaggle_ray.types import JsonValue

NETWORK = "network"
"""Title of what is told of each network, among the hyperparameters that make it."""


def hyperparameters_section(
    experiments: Mapping[str, Mapping[str, JsonValue]], networks: Mapping[str, str], mark_of: Mapping[str, Mark]
) -> str:
    """Return the card, which is folded away; what is in it becomes part of the page when it is opened.

    Args:
        experiments: name -> hyperparameters.
        networks: name -> how large the network of it is, in words, where that is known.
        mark_of: name -> mark; in the order of the rows.
    """
    if not experiments:
        return ""
    keys = list(dict.fromkeys(key for values in experiments.values() for key in values))
    texts = {name: {key: _value(values.get(key)) for key in keys} for name, values in experiments.items()}
    if networks:
        keys.insert(0, NETWORK)
        for name, of_name in texts.items():
            of_name[NETWORK] = networks.get(name, "")
    varied = [key for key in keys if len({values[key] for values in texts.values()}) > 1]
    first = next(iter(texts.values()))
    shared = definitions({key: first[key] for key in keys if key not in varied})
    if len(experiments) == 1:
        return _folded("Hyperparameters", shared)
    rows = [
        ("experiment", [marked(name, mark_of), *(escape(texts[name][key]) for key in varied)])
        for name in mark_of
        if name in texts
    ]
    differing = table(["experiment", *map(escape, varied)], rows, css="plain") if varied else ""
    title = f"Hyperparameters of {counted(len(experiments), 'experiment')}"
    return _folded(title, f"{differing}<h3>The same for all</h3>{shared}")


def _folded(title: str, content: str) -> str:
    return (
        f'<section class="card"><details><summary>{title}</summary><template>{content}</template></details></section>'
    )


def _value(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)
