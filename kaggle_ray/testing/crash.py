"""Kills a run at a chosen write, or at any moment, in a process of its own: a rerun must not be able to tell."""

from __future__ import annotations

import dataclasses
import functools
import logging
import multiprocessing
import os
import pkgutil
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kaggle_ray.types import short_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaggle_ray.pipeline.options import RunOptions

_PRELOADED = (
    "kaggle_ray.pipeline.driver",
    "kaggle_ray.launch.local",
    "kaggle_ray.testing.crash",
    "kaggle_ray.testing.preload",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class KillPoint:
    """A call in the life of a process, before or after which it is killed with SIGKILL."""

    owner: str = "os"
    """The class or module whose functions are counted, such as ``kaggle_ray.store.local:LocalBlobs``."""
    names: Sequence[str] = ("link", "replace")
    """Names of the functions: by default those by which ``LocalBlobs`` makes a written file visible under its key."""
    number: int
    """1 for the first of these calls; 0: no kill, they are only counted."""
    when: Literal["before", "after"] = "before"


def heed_ctrl_c() -> None:
    """Let a new process be ended by Ctrl-C, also where a shell in the background has its children ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def killed_at(point: KillPoint) -> Iterator[list[str]]:
    """Kill this process at ``point``; yield the list that the calls' names are appended to."""
    calls: list[str] = []
    owner = pkgutil.resolve_name(point.owner)
    originals = {name: getattr(owner, name) for name in point.names}

    def counted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            due = len(calls) == point.number
            if due and point.when == "before":
                _die()
            try:
                return original(*args, **kwargs)
            finally:
                if due:
                    _die()

        return call

    for name, original in originals.items():
        setattr(owner, name, counted(name, original))
    try:
        yield calls
    finally:
        for name, original in originals.items():
            setattr(owner, name, original)


@contextmanager
def steps_logged(log: Path | None) -> Iterator[None]:
    """Append a line to ``log`` as each optimizer step begins: which experiment's, fold, epoch, number in the epoch."""
    if log is None:
        yield
        return
    from kaggle_ray.train.loop import Fit

    original = Fit._step
    # One write of an unbuffered file that is open for appending: whenever the process dies, the line is there or not.
    with log.open("ab", buffering=0) as file:

        def step(self: Fit, *arguments: Any) -> None:
            experiment = short_digest(dataclasses.asdict(self._hyperparameters))
            epoch = len(self.state.history) + 1
            file.write(f"{experiment} {self._data.fold} {epoch} {self.state.step_of_epoch}\n".encode())
            original(self, *arguments)

        Fit._step = step  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            Fit._step = original  # type: ignore[method-assign]


@dataclass(frozen=True, kw_only=True, slots=True)
class Survivor:
    """What a process that was not killed tells of its run."""

    submission: bytes
    num_epochs_trained: int
    num_calls: int
    """How many calls the kill point counted."""


@dataclass(frozen=True, slots=True)
class RunProcesses:
    """Runs with the local launcher, each in a new process, forked from one that has imported everything.

    Such a process is there in a few hundredths of a second, in which a hundred crashes can be tested in a minute.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that the processes see beside the usual ones."""
    step_log: Path | None = None
    """A file that each optimizer step appends a line to as it begins."""

    def run(
        self, options: RunOptions, *, point: KillPoint | None = None, kill_after_s: float | None = None
    ) -> Survivor | None:
        """Run until the end, or until the process is killed, which gives None.

        Args:
            options: what to run.
            point: where the process kills itself.
            kill_after_s: when it is killed, counted from the moment that it begins to run.

        Raises:
            RuntimeError: the run ended in an error.
        """
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(_PRELOADED))
        receiver, sender = context.Pipe(duplex=False)
        point = point or KillPoint(number=0)
        process = context.Process(target=_run, args=(options, self, point, sender))
        process.start()
        sender.close()
        try:
            receiver.recv()
            if kill_after_s is not None and not receiver.poll(kill_after_s):
                process.kill()
            reply = receiver.recv()
        except EOFError:
            if not point.number and kill_after_s is None:
                raise RuntimeError("the run's process died, and nobody was to kill it") from None
            return None
        finally:
            process.join()
        if isinstance(reply, str):
            raise RuntimeError(reply)
        survivor: Survivor = reply
        return survivor


def descendants(process_id: int) -> dict[int, str]:
    """Return the command lines of the processes that ``process_id`` started, and they in turn; Linux only."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found: set[int] = {process_id}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {child: _command_line(child) for child in found - {process_id}}


def _command_line(process_id: int) -> str:
    try:
        return Path(f"/proc/{process_id}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _run(options: RunOptions, processes: RunProcesses, point: KillPoint, sender: Connection) -> None:
    from kaggle_ray.pipeline.driver import execute

    os.environ.update(processes.environment)
    logging.disable(logging.WARNING)
    sender.send("begin")
    try:
        with steps_logged(processes.step_log), killed_at(point) as calls:
            result = execute(dataclasses.replace(options, launcher="local"))
    except Exception as error:
        sender.send(f"{type(error).__name__}: {error}")
        return
    sender.send(
        Survivor(
            submission=result.submission.read_bytes(),
            num_epochs_trained=result.num_epochs_trained,
            num_calls=len(calls),
        )
    )


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
