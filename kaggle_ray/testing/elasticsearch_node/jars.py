"""The software of a test's node: Elasticsearch's jars from Maven Central, and the class that starts them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock
from platformdirs import user_cache_path

VERSIONS = {"9.5.3": 21, "8.19.21": 17}
"""Version of the server -> the first JDK that it runs on; the newest first. Few versions have their transport there."""
FOLDER_VARIABLE = "KAGGLE_RAY_ELASTICSEARCH_NODE"
"""Names the folder that keeps the jars, 67 MiB with Maven's own."""

_HERE = Path(__file__).parent
_SOURCES = (_HERE / "TestNode.java", _HERE / "pom.xml")
_ZSTD = Path("/usr/lib/x86_64-linux-gnu/libzstd.so.1")
"""Compresses stored fields where an index asks for best_compression; an installation has its own copy."""
_DESCRIPTOR = """\
name=transport-netty4
description=HTTP and transport by Netty 4
version={version}
elasticsearch.version={version}
java.version=17
classname=org.elasticsearch.transport.netty4.Netty4Plugin
"""


class NoNodeError(RuntimeError):
    """A node cannot be had here: no JDK, no Maven, no network, or one that does not start."""


@cache
def _jdks() -> dict[int, Path]:
    """Return the JDKs of this machine, by major version."""
    homes = [Path(home) for home in [os.environ.get("JAVA_HOME")] if home]
    if compiler := shutil.which("javac"):
        homes.append(Path(compiler).resolve().parents[1])
    found: dict[int, Path] = {}
    for home in [*homes, *Path("/usr/lib/jvm").glob("*")]:
        if not (home / "bin/javac").exists():
            continue
        said = subprocess.run([home / "bin/javac", "-version"], check=False, capture_output=True, text=True).stdout
        if version := re.match(r"javac (\d+)", said):
            found.setdefault(int(version[1]), home)
    return found


def newest_version() -> str:
    """Return the newest version of the server that a JDK of this machine runs.

    Raises:
        NoNodeError: there is none.
    """
    newest = max(_jdks(), default=0)
    for version, needed in VERSIONS.items():
        if needed <= newest:
            return version
    raise NoNodeError(f"Elasticsearch needs JDK {min(VERSIONS.values())} or later; the newest here: {newest or 'none'}")


def jdk_of(version: str) -> Path:
    """Return the home of the oldest JDK that runs a version of the server.

    Raises:
        NoNodeError: there is none.
    """
    fit = [major for major in _jdks() if major >= VERSIONS[version]]
    if not fit:
        raise NoNodeError(f"Elasticsearch {version} needs JDK {VERSIONS[version]} or later")
    return _jdks()[min(fit)]


def node_home(version: str) -> Path:
    """Return the folder of a version with lib/, classes/, modules/, native/ and config/; made where it is missing.

    Raises:
        NoNodeError: there is no JDK or Maven, or the jars cannot be had.
    """
    kept = Path(os.environ.get(FOLDER_VARIABLE) or user_cache_path("kaggle_ray_testing") / "elasticsearch_node")
    kept.mkdir(parents=True, exist_ok=True)
    stamp = hashlib.sha256(b"".join(source.read_bytes() for source in _SOURCES)).hexdigest()[:8]
    home = kept / f"{version}-{stamp}"
    with FileLock(kept / "lock"):
        if not home.exists():
            with TemporaryDirectory(dir=kept) as work:
                _make(Path(work) / "home", version)
                (Path(work) / "home").rename(home)
    return home


def _make(home: Path, version: str) -> None:
    if not shutil.which("mvn"):
        raise NoNodeError("Maven (mvn) is not installed")
    module = home / "modules/transport-netty4"
    for folder in (module, *(home / name for name in ("lib", "classes", "native", "config"))):
        folder.mkdir(parents=True)
    fetch: list[str | Path] = ["mvn", "-B", "-q", "-f", _HERE / "pom.xml", f"-Delasticsearch.version={version}"]
    _call([*fetch, "dependency:copy-dependencies", f"-DoutputDirectory={home / 'lib'}"])
    for jar in [*(home / "lib").glob("netty-*.jar"), *(home / "lib").glob("transport-netty4-*.jar")]:
        jar.rename(module / jar.name)
    (module / "plugin-descriptor.properties").write_text(_DESCRIPTOR.format(version=version))
    if _ZSTD.exists():
        (home / "native/libzstd.so").symlink_to(_ZSTD)
    _call([jdk_of(version) / "bin/javac", "-cp", home / "lib/*", "-d", home / "classes", _HERE / "TestNode.java"])


def _call(command: list[str | Path]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise NoNodeError(f"{command[0]} failed: {(done.stdout + done.stderr)[-2000:]}")
