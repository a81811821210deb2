"""The nodes of a cluster: which work, and which packages each has, so that what differs is named before a trial."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from importlib import metadata

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from kaggle_ray.errors import ConfigError

logger = logging.getLogger(__name__)

Packages = Mapping[str, str]
"""Name -> version; the code of kaggle_ray itself as a digest."""

_SAME_EVERYWHERE = ("torch", "kaggle_ray")
"""What the bits of a prediction depend on. That Ray and Python are the same, Ray sees to when a node joins."""
_SECONDS = 120.0
"""How long the nodes may take to answer: each has a process to start."""


def living_nodes() -> set[str]:
    """Return the ids of the cluster's nodes that work."""
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def check_nodes() -> None:
    """Raise ConfigError where a node lacks a package that this process has, or has another torch or kaggle_ray."""
    here = probe()(required_packages())
    differences = [
        f"{address}: {difference}" for address, there in _asked().items() for difference in _differences(here, there)
    ]
    if differences:
        raise ConfigError(
            f"the cluster's nodes differ from this process's environment: {'; '.join(differences)}. Install on all of "
            f"them what uv.lock names (uv sync --frozen), with the same kaggle_ray."
        )


def required_packages() -> list[str]:
    """Return the names of the packages that kaggle_ray asks for, without those of its extras."""
    wanted = [text for text in metadata.requires("kaggle-ray") or () if "extra ==" not in text]
    return [re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0] for text in wanted]


def probe() -> Callable[[list[str]], Packages]:
    """Return a function that tells what of the named packages its process has.

    It is a closure, which Ray sends as it is: a node without kaggle_ray could not import it by name.
    """

    def packages(names: list[str]) -> Packages:
        import hashlib
        from importlib import metadata, util
        from pathlib import Path

        found = {}
        for name in names:
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        spec = util.find_spec("kaggle_ray")
        if spec is not None and spec.origin is not None:
            digest = hashlib.sha256()
            for file in sorted(Path(spec.origin).parent.rglob("*.py")):
                digest.update(file.read_bytes())
            found["kaggle_ray"] = digest.hexdigest()[:12]
        return found

    return packages


def _asked() -> dict[str, Packages]:
    """Return by the address of each node what it has; one that goes meanwhile, as spot machines do, is left out."""
    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    asked = ray.remote(num_cpus=0, max_retries=0)(probe())
    answers = {
        node: asked.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
            required_packages()
        )
        for node in nodes
    }
    ready, _ = ray.wait(list(answers.values()), num_returns=len(answers), timeout=_SECONDS)
    names = {node: f"{address} ({node[:6]})" for node, address in nodes.items()}
    silent = [names[node] for node, answer in answers.items() if answer not in ready]
    if silent:  # one that hangs, or is about to go, does not keep the others from their work
        logger.warning("nodes of the cluster do not answer within %g s: %s. Look at ray status.", _SECONDS, silent)
    answered = {node: answer for node, answer in answers.items() if answer in ready}
    return {names[node]: there for node, answer in answered.items() if (there := _answer(answer)) is not None}


def _answer(answer: ray.ObjectRef) -> Packages | None:
    """Return what a node answered, None where it, or its process, went before it had."""
    try:
        packages: Packages = ray.get(answer)
    except RayTaskError:  # an error of the question itself
        raise
    except RayError:
        return None
    return packages


def _differences(here: Packages, there: Packages) -> list[str]:
    missing = [f"{name} is missing" for name in here if name not in there]
    others = [
        f"{name} is {there[name]}, here {here[name]}"
        for name in _SAME_EVERYWHERE
        if name in here and name in there and here[name] != there[name]
    ]
    return missing + others
