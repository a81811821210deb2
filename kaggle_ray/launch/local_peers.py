"""The other processes of a trial that several train together on this machine.

They are started once, by the process that runs the trials, and are told of each trial. Nothing is lost with them: when
they are no longer in step they are killed, and the next trial starts others.
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from multiprocessing.connection import Connection, Pipe, wait

from kaggle_ray.errors import TrialError
from kaggle_ray.train.context import TrialContext
from kaggle_ray.train.failures import reason_of
from kaggle_ray.train.loopback import join, leave, open_store, store_at
from kaggle_ray.train.preemption import Terminated
from kaggle_ray.train.ranks import Group
from kaggle_ray.train.trial import TrialRunner, run_to_end
from kaggle_ray.types import Trial, TrialMessage, TrialResult

_START_S = 300
_REASON_S = 2.0
_WATCH_EVERY_S = 0.5
_MAIN = "import sys; from kaggle_ray.launch.local_peers import main; main(*map(int, sys.argv[1:]))"


class LocalRunner:
    """Runs trials in this process and, where the settings ask for several ranks, in others that it starts."""

    def __init__(self, context: TrialContext) -> None:
        """Nothing is loaded, and no other process started, before the first trial."""
        self._runner = TrialRunner(context)
        self._peers = None if context.settings.world_size == 1 else Peers(context)

    def run(self, trial: Trial) -> Generator[TrialMessage, None, TrialResult]:
        """Run ``trial`` as rank 0; see ``TrialRunner.run``."""
        if self._peers is None:
            return (yield from self._runner.run(trial))
        are_in_step = False
        try:
            ranks = self._peers.begin(trial)
            result = yield from self._runner.run(trial, ranks)
            if result.status == "failed" and not ranks.failed_together:
                return self._peers.with_reason(result)
            are_in_step = self._peers.have_ended()
            return result
        except TrialError as error:  # the others did not start
            return TrialResult(trial=trial, status="failed", attempt_id="", error=reason_of(error))
        except GeneratorExit:
            are_in_step = self._peers.have_ended()
            raise
        finally:
            if not are_in_step:
                self._peers.kill()

    def close(self) -> None:
        """End the processes that trained with this one."""
        if self._peers is not None:
            self._peers.kill()


class Peers:
    """Ranks 1 and up, as seen from rank 0."""

    def __init__(self, context: TrialContext) -> None:
        """Start nothing before the first trial."""
        self._context = context
        self._processes: list[subprocess.Popen[bytes]] = []
        self._connections: list[Connection[object, object]] = []
        self._ranks: Group | None = None

    def begin(self, trial: Trial) -> Group:
        """Let the peers join ``trial``; return this process's place among them.

        Raises:
            TrialError: a peer did not start.
        """
        if self._ranks is None:
            self._ranks = self._start()
        for connection in self._connections:
            connection.send(trial)
        return self._ranks

    def have_ended(self) -> bool:
        """Wait until the peers are done with the trial, too; return whether all of them are there for the next one."""
        try:
            return all(isinstance(connection.recv(), TrialResult) for connection in self._connections)
        except (EOFError, OSError):
            return False

    def with_reason(self, failed: TrialResult) -> TrialResult:
        """Return why a trial failed: a peer's error where there is one, since what others see is only that it died."""
        for connection in wait(self._connections, timeout=_REASON_S):
            assert isinstance(connection, Connection)
            try:
                of_peer = connection.recv()
            except (EOFError, OSError):
                continue
            if isinstance(of_peer, TrialResult) and of_peer.error:
                return dataclasses.replace(failed, error=of_peer.error)
        return failed

    def kill(self) -> None:
        """End the peers wherever they are; the next trial starts others."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        for connection in self._connections:
            connection.close()
        if self._ranks is not None:
            leave()
        self._processes, self._connections, self._ranks = [], [], None

    def _start(self) -> Group:
        settings = self._context.settings
        store = open_store(settings)
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
        return join(settings, local_rank=0, store=store)

    def _spawn(self, rank: int, port: int) -> None:
        own, others = Pipe()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, str(others.fileno()), str(os.getpid())],
            pass_fds=[others.fileno()],
            env=environment,
        )
        others.close()
        own.send_bytes(pickle.dumps((self._context, rank, port)))
        self._processes.append(process)
        self._connections.append(own)


def main(file_descriptor: int, parent: int) -> None:
    """Be another rank than the first, whose process is ``parent``, in one trial after the other."""
    for number in (signal.SIGTERM, signal.SIGINT):  # rank 0 decides when a trial ends
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    connection: Connection[object, object] = Connection(file_descriptor)
    context, rank, port = pickle.loads(connection.recv_bytes())
    connection.send("ready")
    settings = context.settings
    ranks = join(settings, local_rank=rank, store=store_at(port, settings))
    runner = TrialRunner(context)
    while True:
        try:
            trial = connection.recv()
        except EOFError:
            return
        assert isinstance(trial, Trial)
        try:
            result = run_to_end(runner.run(trial, ranks))
        except Terminated:
            return
        connection.send(result)
        if result.status == "failed" and not ranks.failed_together:
            return  # rank 0 waits in vain for this one, and sees that it is gone


def _end_with(parent: int) -> None:
    """End this process soon after ``parent``, whatever it does or waits for: nobody else would."""
    while os.getppid() == parent:
        time.sleep(_WATCH_EVERY_S)
    os._exit(1)
