"""A real Visdom server on this machine's loopback, for tests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

_PROGRAM = """
import sys
sys.modules["torch"] = None  # which the package imports where it is there, and the server has no use for
from visdom.server import app, run_server
app.tornado_settings.update(static_path=sys.argv[1], template_path=sys.argv[1])
del sys.argv[1]
run_server.main()  # without what the command `visdom` downloads first
"""

ASSETS: dict[str, dict[str, str]] = {
    "jquery@3.1.1": {"dist/jquery.min.js": "js/jquery.min.js"},
    "bootstrap@3.3.7": {
        "dist/js/bootstrap.min.js": "js/bootstrap.min.js",
        "dist/css/bootstrap.min.css": "css/bootstrap.min.css",
        "dist/fonts/glyphicons-halflings-regular.woff2": "fonts/glyphicons-halflings-regular.woff2",
    },
    "react@16.2.0": {"umd/react.production.min.js": "js/react-react.min.js"},
    "react-dom@16.2.0": {"umd/react-dom.production.min.js": "js/react-dom.min.js"},
    "plotly.js-dist-min@2.11.1": {"plotly.min.js": "js/plotly-plotly.min.js"},
    "sjcl@1.0.7": {"sjcl.js": "js/sjcl.js"},
    "layout-bin-packer@1.4.0": {"dist/layout-bin-packer.js": "js/layout_bin_packer.js"},
    "d3@3.5.17": {"d3.min.js": "js/d3.v3.min.js"},
    "d3-selection-multi@1.0.1": {"build/d3-selection-multi.js": "js/d3-selection-multi.v1.js"},
    "save-svg-as-png@1.4.17": {"lib/saveSvgAsPng.js": "js/saveSvgAsPng.js"},
    "react-resizable@1.4.6": {"css/styles.css": "css/react-resizable-styles.css"},
    "react-grid-layout@0.16.3": {"css/styles.css": "css/react-grid-layout-styles.css"},
    "mathjax@2.7.5": {
        name: f"js/mathjax/2.7.5/{name}"
        for name in ("MathJax.js", "config/TeX-AMS-MML_HTMLorMML.js", "config/Safe.js", "extensions/Safe.js")
    },
}
"""npm's package -> its file -> where the server's page looks for it: what the server downloads at its first start."""


class AssetsMissingError(Exception):
    """npm is not installed, or cannot reach its registry."""


def static_folder() -> Path:
    """Return the folder of what the server's page is made of, as it is installed."""
    import visdom

    return Path(visdom.__file__).parent / "static"


def lay_assets(folder: Path) -> Path:
    """Copy what the server's page is made of to a folder, with what the server would download, and return it.

    Raises:
        AssetsMissingError: npm does not bring it.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise AssetsMissingError("npm is not installed")
    static, packages = folder / "static", folder / "npm"
    shutil.copytree(static_folder(), static, dirs_exist_ok=True)
    packages.mkdir(exist_ok=True)
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--legacy-peer-deps", "--omit=peer"]
    install = [npm, "install", "--prefix", str(packages), *options, *ASSETS]
    done = subprocess.run(install, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise AssetsMissingError(f"npm: {done.stderr[-500:]}")
    for package, files in ASSETS.items():
        for source, target in files.items():
            (static / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(packages / "node_modules" / package.rpartition("@")[0] / source, static / target)
    return static


@dataclass(kw_only=True)
class VisdomServer:
    """A server that can be killed, frozen and started again on what it has saved."""

    folder: Path
    """Where it saves environments."""
    static: Path
    """What its page is made of."""
    port: int = 0
    base_url: str = ""
    login: tuple[str, str] | None = None
    """Name and password of whoever may use it; None lets everybody."""
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Address of the server's page."""
        return f"http://127.0.0.1:{self.port}{self.base_url}"

    @property
    def log(self) -> str:
        """What it has told of its requests, all of its lives together."""
        return (self.folder / "server.log").read_text()

    def saved(self, environment: str) -> dict[str, Any]:
        """Return the windows of an environment, by name, as they were last saved."""
        windows: dict[str, Any] = json.loads((self.folder / f"{environment}.json").read_text())["jsons"]
        return windows

    def start(self) -> None:
        """Start it, on the same port as before, and wait until it answers."""
        self.port = self.port or _free_port()
        options = ["-port", str(self.port), "-env_path", str(self.folder), "-bind_local"]
        options += ["-base_url", self.base_url] if self.base_url else []
        home = self.folder / "home"
        (home / ".visdom").mkdir(parents=True, exist_ok=True)
        environ = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home)}
        if self.login is not None:
            options += ["-enable_login", "-force_new_cookie"]
            username, password = self.login
            environ |= {"VISDOM_USERNAME": username, "VISDOM_PASSWORD": password}
            environ |= {"VISDOM_USE_ENV_CREDENTIALS": "1", "VISDOM_COOKIE": "a secret of this test"}
        command = [sys.executable, "-c", _PROGRAM, str(self.static), *options]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, env=environ, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 120
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"no Visdom server: {(self.folder / 'server.log').read_text()[-2000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """End it at once, saving nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Stop it so that it takes connections, and answers none."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen one go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with urlopen(self.url, timeout=5):
                return True
        except (URLError, OSError):
            return False


@contextmanager
def visdom_served(
    folder: Path, *, static: Path | None = None, base_url: str = "", login: tuple[str, str] | None = None
) -> Iterator[VisdomServer]:
    """Run a server that saves to ``folder``; its page works where ``static`` has been laid by ``lay_assets``."""
    server = VisdomServer(folder=folder, static=static or static_folder(), base_url=base_url, login=login)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
