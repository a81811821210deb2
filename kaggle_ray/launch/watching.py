"""What a watchdog's process runs: a script of the standard library alone, there at once and small."""

from __future__ import annotations

import os
import select
import signal
import struct
import sys
import time
from pathlib import Path

MESSAGE = struct.Struct("d")
"""Seconds that the next batch may take."""
NO_LIMIT = float("inf")
_LOOK_EVERY_S = 1.0


def main(watched: int, at_least_s: float) -> None:
    """Kill the process ``watched`` where it is silent for longer than it said, or is stopped; end when it has ended."""
    allowed_s, heard, running = NO_LIMIT, time.monotonic(), time.monotonic()
    while True:
        ready, _, _ = select.select([0], [], [], _LOOK_EVERY_S)
        now = time.monotonic()
        if ready:
            message = os.read(0, MESSAGE.size)
            if len(message) < MESSAGE.size:
                return
            (allowed_s,), heard = MESSAGE.unpack(message), now
        if not _is_stopped(watched):
            running = now
        if now - heard > allowed_s or now - running > at_least_s:
            os.kill(watched, signal.SIGKILL)
            return


def _is_stopped(process_id: int) -> bool:
    """Return whether a process takes no part in anything, as after SIGSTOP; on Linux, elsewhere it is not known."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
