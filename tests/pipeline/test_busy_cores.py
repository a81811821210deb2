from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from kaggle_ray.pipeline.busy_cores import cores_at_work


def test_other_cores_are_at_work_while_trials_are_timed_and_not_afterwards() -> None:
    with cores_at_work(2) as busy:
        assert [process.poll() for process in busy] == [None, None]
    assert None not in [process.poll() for process in busy]


def test_what_keeps_cores_at_work_ends_with_a_process_that_is_killed() -> None:
    text = (
        "import os, signal\nfrom kaggle_ray.pipeline.busy_cores import cores_at_work\n"
        "with cores_at_work(1) as busy:\n    print(busy[0].pid, flush=True)\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    pid = int(subprocess.run([sys.executable, "-c", text], stdout=subprocess.PIPE, check=False).stdout)
    until = time.monotonic() + 10
    while Path(f"/proc/{pid}/cmdline").exists() and b"numpy" in Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < until
        time.sleep(0.05)
