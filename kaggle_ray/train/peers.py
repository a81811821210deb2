"""The other processes of a trial that several train together on this machine.

They are started once, by the process that runs the trials, and are told of each trial. Nothing is lost with them: when
a trial does not end as it should they are killed, and the next trial starts others.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe, wait

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import Store, TCPStore

from kaggle_ray.config.settings import Settings
from kaggle_ray.errors import KaggleRayError, TrialError
from kaggle_ray.train.context import TrialContext
from kaggle_ray.train.failures import named_error
from kaggle_ray.train.preemption import Terminated
from kaggle_ray.train.ranks import Group, Ranks
from kaggle_ray.types import Trial

_HOST = "127.0.0.1"
_START_S = 300
_WATCH_EVERY_S = 0.5
_MAIN = "import sys; from kaggle_ray.train.peers import main; main(*map(int, sys.argv[1:]))"

Follow = Callable[[TrialContext, Ranks], Callable[[Trial], None]]
"""Makes, in a peer's process, the function that does what rank 0 does for a trial."""


class Peers:
    """Ranks 1 and up, as seen from rank 0."""

    def __init__(self, context: TrialContext, follow: Follow) -> None:
        """Start nothing before the first trial; ``follow`` is pickled by its name."""
        self._context = context
        self._follow = follow
        self._processes: list[subprocess.Popen[bytes]] = []
        self._connections: list[Connection[object, object]] = []
        self._ranks: Group | None = None

    def begin(self, trial: Trial) -> Ranks:
        """Let the peers join ``trial``; return this process's place among them.

        Raises:
            TrialError: a peer did not start.
        """
        if self._ranks is None:
            self._start()
        for connection in self._connections:
            connection.send(trial)
        assert self._ranks is not None
        return self._ranks

    def end(self) -> None:
        """Wait until the peers are done with the trial, too."""
        for connection in self._connections:
            connection.recv()

    def reason(self, error: Exception) -> Exception:
        """Return why a trial failed: a peer's error where there is one, since what others see is only that it died."""
        for connection in wait(self._connections, timeout=2.0):
            assert isinstance(connection, Connection)
            try:
                message = connection.recv()
            except (EOFError, OSError):
                continue
            if isinstance(message, KaggleRayError):
                return message
        return error

    def kill(self) -> None:
        """End the peers wherever they are; the next trial starts others."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        for connection in self._connections:
            connection.close()
        if self._ranks is not None:
            dist.destroy_process_group()
        self._processes, self._connections, self._ranks = [], [], None

    def _start(self) -> None:
        settings = self._context.settings
        store = TCPStore(_HOST, 0, settings.world_size, is_master=True, wait_for_workers=False)
        try:
            for rank in range(1, settings.world_size):
                self._spawn(rank, store.port)
            for connection in self._connections:
                if not connection.poll(_START_S):
                    raise TrialError(f"a process of the trial did not start within {_START_S} seconds.")
                connection.recv()
        except EOFError:
            self.kill()
            raise TrialError("a process of the trial died while it started; its output above says why.") from None
        self._ranks = _join(settings, rank=0, store=store)

    def _spawn(self, rank: int, port: int) -> None:
        own, others = Pipe()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, str(others.fileno()), str(os.getpid())],
            pass_fds=[others.fileno()],
            env=environment,
        )
        others.close()
        own.send_bytes(pickle.dumps((self._context, self._follow, rank, port)))
        self._processes.append(process)
        self._connections.append(own)


def main(file_descriptor: int, parent: int) -> None:
    """Follow rank 0, the process ``parent``, through its trials, in a process of its own."""
    for number in (signal.SIGTERM, signal.SIGINT):  # rank 0 decides when a trial ends
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    connection: Connection[object, object] = Connection(file_descriptor)
    context, follow, rank, port = pickle.loads(connection.recv_bytes())
    connection.send("ready")
    settings = context.settings
    store = TCPStore(_HOST, port, settings.world_size, is_master=False)
    follow_trial = follow(context, _join(settings, rank=rank, store=store))
    while True:
        try:
            trial = connection.recv()
        except EOFError:
            return
        try:
            follow_trial(trial)
        except Terminated:
            return
        except Exception as caught:
            error = named_error(caught)
            if not isinstance(error, KaggleRayError):
                raise  # rank 0 sees that this process is gone, and its traceback is in the log
            connection.send(error)
            return
        connection.send("done")


def _end_with(parent: int) -> None:
    """End this process soon after ``parent``, whatever it does or waits for: nobody else would."""
    while os.getppid() == parent:
        time.sleep(_WATCH_EVERY_S)
    os._exit(1)


def _join(settings: Settings, *, rank: int, store: Store) -> Group:
    """Make this process one of the ranks; each has a GPU of its own where they compute on GPUs."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    if settings.device == "cuda":
        torch.cuda.set_device(rank)
    backend = "nccl" if settings.device == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=settings.world_size)
    return Group(settings)
