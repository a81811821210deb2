"""What this machine has for runs, and what is missing or broken: told before a run meets it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from kaggle_ray.cache.budget import budget_of
from kaggle_ray.cache.folder import default_cache_dir, written_cache
from kaggle_ray.config.settings import Machine
from kaggle_ray.counted import counted
from kaggle_ray.errors import KaggleRayError
from kaggle_ray.pipeline.provenance import hardware
from kaggle_ray.report.findings import Finding
from kaggle_ray.reporters.by_name import make_sink, names, settings_for

_PACKAGE = "kaggle-ray"
_GIB = 2**30
_SCARCE_GIB = 10
"""Free disk under which images and checkpoints of a usual competition may not fit."""
_KAGGLE_FILES = ("kaggle.json", "access_token")


def examine(runs: str | Path) -> list[Finding]:
    """Look at all that runs need, ``runs`` being their place; nothing is downloaded, started or left behind."""
    looks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _machine,
        _gpus,
        _packages,
        _cache,
        lambda: _runs(runs),
        _cluster,
        _services,
        _kaggle,
    )
    return [finding for look in looks for finding in look()]


def _machine() -> Iterator[Finding]:
    here = hardware()
    version = ".".join(map(str, sys.version_info[:3]))
    cores = counted(here.num_cpus, "core")
    yield Finding(
        subject="machine",
        state="ok",
        text=f"{here.system}, {here.processor.strip()}, {cores}, {here.memory_gib:g} GiB, Python {version}",
    )


def _gpus() -> Iterator[Finding]:
    if not Machine.here().num_gpus:
        yield Finding(subject="GPU", state="missing", text="none: runs use the cores")
        return
    query = ["nvidia-smi", "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader"]
    listing = subprocess.run(query, capture_output=True, text=True, timeout=20).stdout
    # In a process of its own: torch takes memory of a GPU that it looks at, and seconds to import.
    program = "import torch; print(torch.cuda.is_available(), torch.__version__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    is_seen, _, version = done.stdout.strip().partition(" ")
    for line in listing.splitlines():
        yield Finding(subject="GPU", state="ok", text=line)
    if is_seen != "True":
        yield Finding(
            subject="GPU",
            state="wrong",
            text=f"torch {version or 'does not import, and'} sees none of them",
            next_step="Install a torch that is built for CUDA, and a driver that is new enough for it.",
        )


def _packages() -> Iterator[Finding]:
    """Compare what is installed with what the package asks for, each extra by itself."""
    asked: dict[str, list[Requirement]] = {"": []}
    for line in metadata.requires(_PACKAGE) or []:
        requirement = Requirement(line)
        extras = [extra for extra in _extras() if requirement.marker and requirement.marker.evaluate({"extra": extra})]
        for extra in [""] if requirement.marker is None else extras:
            asked.setdefault(extra, []).append(requirement)
    for extra, requirements in asked.items():
        lacking = sorted(text for requirement in requirements if (text := _lacking(requirement)))
        subject = f"extra {extra}" if extra else "packages"
        if not lacking:
            yield Finding(subject=subject, state="ok", text=", ".join(map(_installed, requirements)))
            continue
        what = f"{_PACKAGE}[{extra}]" if extra else _PACKAGE
        yield Finding(
            subject=subject,
            state="missing" if extra else "wrong",
            text=", ".join(lacking),
            next_step=f"pip install '{what}'",
        )


def _extras() -> list[str]:
    return metadata.metadata(_PACKAGE).get_all("Provides-Extra") or []


def _lacking(requirement: Requirement) -> str:
    """Return what is wrong with the installed version of a requirement; empty where nothing is."""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if requirement.specifier.contains(version, prereleases=True):
        return ""
    return f"{requirement.name} {version} is installed, {requirement.specifier} is needed"


def _installed(requirement: Requirement) -> str:
    return f"{requirement.name} {metadata.version(requirement.name)}"


def _cache() -> Iterator[Finding]:
    cache_dir = default_cache_dir()
    try:
        with written_cache(cache_dir):
            pass
        budget = f"; may take {budget_of(cache_dir) / _GIB:.0f} GiB"
    except KaggleRayError as error:
        yield Finding(subject="image cache", state="wrong", text=str(error))
        return
    yield from _disk("image cache", cache_dir, note=budget)


def _runs(runs: str | Path) -> Iterator[Finding]:
    if "://" in str(runs):
        yield Finding(subject="runs", state="ok", text=f"{runs} (not asked)")
        return
    yield from _disk("runs", Path(runs).absolute())


def _disk(subject: str, folder: Path, *, note: str = "") -> Iterator[Finding]:
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    if not os.access(existing, os.W_OK):
        yield Finding(subject=subject, state="wrong", text=f"{folder}: {existing} cannot be written")
        return
    free = shutil.disk_usage(existing).free / _GIB
    yield Finding(
        subject=subject,
        state="ok" if free >= _SCARCE_GIB else "wrong",
        text=f"{folder}: {free:.0f} GiB free{note}",
        next_step="" if free >= _SCARCE_GIB else "Make room, or name another folder.",
    )


def _cluster() -> Iterator[Finding]:
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        yield Finding(subject="cluster", state="missing", text="RAY_ADDRESS is not set: trials run on this machine")
        return
    try:
        from kaggle_ray.launch.ray_address import cluster_address

        found = cluster_address(None)
    except (KaggleRayError, ImportError) as error:
        yield Finding(subject="cluster", state="wrong", text=str(error))
        return
    yield Finding(subject="cluster", state="ok", text=f"{found or address} answers, with the same Ray and Python")


def _services() -> Iterator[Finding]:
    """Look at the reporters that something is set of; their servers are not asked."""
    for name in names():
        subject = f"reporter {name}"
        try:
            if settings := settings_for(name):
                make_sink(name, settings, lambda key: None).close()
                yield Finding(subject=subject, state="ok", text=f"set: {', '.join(sorted(settings))} (not tried)")
        except KaggleRayError as error:
            yield Finding(subject=subject, state="wrong", text=str(error))


def _kaggle() -> Iterator[Finding]:
    """Look for Kaggle's own client and for a key of its user, where that client looks for it."""
    if shutil.which("kaggle") is None:
        yield Finding(
            subject="Kaggle", state="missing", text="its client is not installed", next_step="pip install kaggle"
        )
        return
    folder = Path(os.environ.get("KAGGLE_CONFIG_DIR") or Path.home() / ".kaggle")
    named = [name for name in ("KAGGLE_API_TOKEN", "KAGGLE_KEY") if os.environ.get(name)]
    named += [str(folder / name) for name in _KAGGLE_FILES if (folder / name).is_file()]
    if named:
        yield Finding(subject="Kaggle", state="ok", text=f"a key is named by {named[0]} (not tried)")
        return
    yield Finding(
        subject="Kaggle",
        state="missing",
        text="its client has no key",
        next_step=f"Create one at kaggle.com/settings, and save it as {folder / _KAGGLE_FILES[0]}.",
    )
