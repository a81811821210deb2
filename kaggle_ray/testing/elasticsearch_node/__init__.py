"""A real Elasticsearch of one node on this machine, for tests: started, killed, frozen, and started again on its data.

It has no scripts, no delete by query and no security: those are in modules that Maven Central does not have.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from kaggle_ray.testing.elasticsearch_node.jars import NoNodeError, jdk_of, newest_version, node_home

__all__ = ["NoNodeError", "Node", "node_running"]

START_S = 300.0
"""A start takes 5 s on a quiet machine; on one with twenty times its load, minutes."""
_STOP_S = 30.0
_JAVA = (
    "-Xms512m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # no optimising compiler: a start then costs 3.5 s of a core instead of 5.6
    "--enable-native-access=ALL-UNNAMED",
    "-Dorg.elasticsearch.nativeaccess.enableVectorLibrary=false",  # which is not on Maven Central
    "-Dio.netty.noUnsafe=true",
    "-Dio.netty.noKeySetOptimization=true",
    "-Dlog4j2.level=WARN",
    "-Dlog4j2.disable.jmx=true",
)


class Node:
    """A node that listens on a port of its own of the loopback, with its data and logs below a folder."""

    def __init__(self, folder: Path) -> None:
        """Prepare a node of the newest version that runs here, which is not started yet.

        Args:
            folder: of its data, logs and temporary files; a node on the same folder has the same data.

        Raises:
            NoNodeError: a node cannot be had here.
        """
        self._folder = folder
        self._version = newest_version()
        self._home = node_home(self._version)
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens, or did."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, again on the port that it had, and wait until it answers.

        Raises:
            NoNodeError: it ended, or did not answer in time.
        """
        for name in ("data", "logs", "tmp"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        (self._folder / "logs/http.ports").unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise NoNodeError(f"the node did not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End it in good order, a frozen one too."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
            self.kill()

    def kill(self) -> None:
        """End it by SIGKILL, as a machine that loses its power does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all its threads within the context: connections are taken, and nothing answers."""
        assert self._process is not None, "the node is not running"
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)  # the signal alone leaves it an answer or two
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @property
    def _log(self) -> Path:
        return self._folder / "node.log"

    def _command(self) -> list[str]:
        settings = {
            "cluster.name": "kaggle-ray-test",
            "node.name": "test",
            "discovery.type": "single-node",
            "path.data": self._folder / "data",
            "path.logs": self._folder / "logs",
            "node.portsfile": "true",
            "http.host": "127.0.0.1",
            "http.port": self._port,
            "transport.host": "127.0.0.1",
            "transport.port": 0,
            "cluster.routing.allocation.disk.threshold_enabled": "false",
        }
        return [
            str(jdk_of(self._version) / "bin/java"),
            *_JAVA,
            f"-Djava.io.tmpdir={self._folder / 'tmp'}",
            f"-Des.nativelibs.path={self._home / 'native'}",
            *("-cp", f"{self._home / 'classes'}:{self._home / 'lib'}/*"),
            "TestNode",
            str(self._home),
            *(f"{name}={value}" for name, value in settings.items()),
        ]

    def _answers(self) -> bool:
        """Return whether its indices can be written to; it writes its port to a file once it listens."""
        try:
            if not self._port:
                self._port = int((self._folder / "logs/http.ports").read_text().split()[0].rpartition(":")[2])
            with urlopen(f"{self.url}/_cluster/health?wait_for_status=yellow&timeout=5s", timeout=30):
                return True
        except (URLError, OSError, IndexError, ValueError):
            return False


@contextmanager
def node_running(folder: Path) -> Iterator[Node]:
    """Yield a node that runs, and end it afterwards.

    Raises:
        NoNodeError: a node cannot be had here.
    """
    node = Node(folder)
    try:
        node.start()
        yield node
    finally:
        node.stop()
