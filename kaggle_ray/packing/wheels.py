"""The wheels that a notebook lacks: one of the package as it is installed here, and those of what it needs."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from kaggle_ray.errors import ConfigError

PACKAGE = "kaggle-ray"
ASSUMED: Mapping[str, str | None] = dict.fromkeys(
    ("click", "filelock", "numpy", "opencv-python-headless", "packaging", "pandas", "pillow", "platformdirs", "plotly",
     "rich", "safetensors", "scikit-learn", "scipy", "timm", "torch", "torchvision")
)  # fmt: skip
"""What a notebook is taken to have where nobody says what it has; of an unknown version."""

_ROOT = Path(__file__).resolve().parents[1]
_EPOCH = (2020, 1, 1, 0, 0, 0)
"""Time of the files in a wheel: the same code makes the same wheel."""
_TIMEOUT_S = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class Needed:
    """What a package needs beside itself, and what of it a notebook lacks."""

    requirements: tuple[str, ...]
    """Requirements of all that is imported, each with the versions that will do."""
    lacking: tuple[str, ...]
    """Packages that the notebook lacks, as ``name==version`` of this environment."""


def write_own_wheel(folder: Path) -> Path:
    """Write a wheel of kaggle_ray as it runs here, installed or not; the same code gives the same bytes.

    Source: the binary distribution format, packaging.python.org.
    """
    installed = metadata.distribution(PACKAGE)
    info = f"kaggle_ray-{installed.version}.dist-info"
    texts = {
        f"{info}/METADATA": installed.read_text("METADATA") or "",
        f"{info}/entry_points.txt": installed.read_text("entry_points.txt") or "",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: kaggle_ray\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    contents = {f"kaggle_ray/{path.relative_to(_ROOT).as_posix()}": path.read_bytes() for path in _own_files()}
    contents |= {name: text.encode() for name, text in texts.items()}
    record = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in contents.items()]
    contents[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    path = folder / f"kaggle_ray-{installed.version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in contents.items():
            wheel.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return path


def needed(extras: Collection[str], has: Mapping[str, str | None], *, others: Collection[str] = ()) -> Needed:
    """Return what kaggle_ray with ``extras`` needs, all in all, and what of it a notebook lacks.

    Args:
        extras: names of extras.
        has: package -> version, None of one that is there in any version that will do.
        others: further packages that are needed, in any version.

    Raises:
        ConfigError: one is not installed here, where what is known of it stands.
    """
    requirements: dict[str, Requirement] = {}
    lacking: dict[str, str] = {}
    pending = [*requirements_of(PACKAGE, extras), *map(Requirement, sorted(others))]
    while pending:
        requirement = pending.pop(0)
        name = canonicalize_name(requirement.name)
        if name in requirements:
            requirements[name].specifier &= requirement.specifier
            continue
        requirements[name] = requirement
        if name in has and (
            (version := has[name]) is None or requirement.specifier.contains(version, prereleases=True)
        ):
            continue
        pending += requirements_of(name, requirement.extras)
        lacking[name] = f"{name}=={metadata.version(name)}"
    lines = (f"{name}{requirement.specifier}" for name, requirement in sorted(requirements.items()))
    return Needed(requirements=tuple(lines), lacking=tuple(lacking[name] for name in sorted(lacking)))


def read_installed(file: Path) -> dict[str, str | None]:
    """Return package -> version of what ``pip freeze`` printed in a notebook; of one from a file the version is None.

    Raises:
        ConfigError: there is no such file, or it lists no packages.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--installed {file}: cannot be read: {error}.") from error
    found: dict[str, str | None] = {}
    for line in text.splitlines():
        name, equals, version = line.partition("==")
        if equals:
            found[canonicalize_name(name.strip())] = version.strip()
        elif " @ " in line:
            found[canonicalize_name(line.partition(" @ ")[0].strip())] = None
    if not found:
        raise ConfigError(f"--installed {file}: expected what pip freeze prints in the notebook, such as numpy==2.1.0.")
    return found


def download(lacking: Sequence[str], folder: Path, *, python: str) -> str | None:
    """Download wheels for Linux under a version of Python; return why not, None where they are there.

    Args:
        lacking: as ``name==version``.
        folder: that they are put into.
        python: version of the notebook's Python, such as 3.11.
    """
    if not lacking:
        return None
    if (pip := _pip()) is None:
        return "there is neither pip nor uv here"
    command = [*pip, "download", "--quiet", "--no-deps", "--only-binary=:all:", f"--python-version={python}"]
    command += ["--platform=manylinux2014_x86_64", "--platform=manylinux_2_28_x86_64", "--dest", str(folder)]
    try:
        done = subprocess.run([*command, *lacking], capture_output=True, text=True, timeout=_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["pip failed"])[-1]


def _pip() -> list[str] | None:
    """Return the command that is a pip here, None where there is none."""
    if find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    return [found] if (found := shutil.which("pip")) else ["uv", "tool", "run", "pip"] if shutil.which("uv") else None


def requirements_of(name: str, extras: Collection[str]) -> Iterator[Requirement]:
    """Yield what an installed package with ``extras`` asks for. Raises ConfigError where it is not installed."""
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError as error:
        raise ConfigError(f"{name} is needed by what is packed, and not installed here. Install it.") from error
    for requirement in map(Requirement, lines):
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": each}) for each in ("", *extras)):
            yield requirement


def _own_files() -> Iterator[Path]:
    yield from (path for path in sorted(_ROOT.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
