"""Keeps cores at work while a trial is timed, as other trials will when it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_BUSY = """
import os, numpy
parent, matrix = os.getppid(), numpy.ones((256, 256), dtype=numpy.float32)
matrix @ matrix
print(flush=True)
while os.getppid() == parent:
    matrix @ matrix
"""


@contextmanager
def cores_at_work(num_processes: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Let as many processes multiply matrices within the context, each with one thread; they end with this process."""
    one_thread = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")}
    with ExitStack() as stack:
        busy: list[subprocess.Popen[bytes]] = []
        for _ in range(num_processes):
            process = subprocess.Popen([sys.executable, "-c", _BUSY], env=one_thread, stdout=subprocess.PIPE)
            stack.enter_context(process)
            stack.callback(process.kill)
            busy.append(process)
        for process in busy:
            assert process.stdout is not None
            process.stdout.readline()
        yield busy
