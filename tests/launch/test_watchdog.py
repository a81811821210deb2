from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kaggle_ray.errors import ConfigError
from kaggle_ray.launch.watchdog import AT_LEAST_S, NUM_INTERVALS, VARIABLE, Watchdog, at_least
from kaggle_ray.testing.crash import descendants
from kaggle_ray.train.heartbeat import Watcher

SCRIPT = """
import sys, time
from kaggle_ray.launch.watchdog import Watchdog
from kaggle_ray.train.heartbeat import watched_by, with_heartbeats
at_least_s, seconds = map(float, sys.argv[1:3])
with watched_by(Watchdog(at_least_s=at_least_s)):
    for number in with_heartbeats(range(20), "training", num_total=20):
        time.sleep(0.1)
        if number == 15:
            print("hangs", flush=True)
            time.sleep(seconds)
print("rests", flush=True)
time.sleep(6.0)
"""


def start(*, at_least_s: float, seconds: float) -> subprocess.Popen[str]:
    """Start a process that trains, hangs for some seconds, trains on, and rests for a while."""
    arguments = [sys.executable, "-c", SCRIPT, str(at_least_s), str(seconds)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_what_hangs_means_is_at_least_a_minute_and_three_of_a_trials_own_batches() -> None:
    assert AT_LEAST_S == 60.0
    assert NUM_INTERVALS == 3


def test_a_machine_may_say_what_hangs_means_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert at_least() == AT_LEAST_S
    monkeypatch.setenv(VARIABLE, "15")
    assert at_least() == 15.0
    for text in ("", "soon", "0", "-1", "inf", "nan"):
        monkeypatch.setenv(VARIABLE, text)
        with pytest.raises(ConfigError, match="KAGGLE_RAY_HANG_S: expected a number of seconds above 0, got '"):
            at_least()


def test_a_process_whose_batch_takes_too_long_is_killed() -> None:
    process = start(at_least_s=1.0, seconds=300.0)
    assert process.wait(200) == -signal.SIGKILL


def test_a_process_that_gets_on_is_not_killed_and_may_take_its_time_once_its_batches_are_over() -> None:
    process = start(at_least_s=4.0, seconds=0.0)
    assert process.wait(200) == 0
    assert process.stdout is not None
    assert process.stdout.read() == "hangs\nrests\n"


def test_a_process_that_is_stopped_is_killed_wherever_it_is() -> None:
    process = start(at_least_s=2.0, seconds=0.0)
    assert process.stdout is not None
    while process.stdout.readline() != "rests\n":
        pass
    process.send_signal(signal.SIGSTOP)
    assert process.wait(200) == -signal.SIGKILL


def test_where_batches_are_long_a_long_one_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed: list[float] = []
    clock = iter([0.0, 40.0, 80.0, 200.0])
    watchdog = Watchdog()
    try:
        monkeypatch.setattr(watchdog, "_allow", allowed.append)
        monkeypatch.setattr(time, "monotonic", lambda: next(clock))
        for _ in range(4):
            watchdog.beat()
    finally:
        monkeypatch.undo()
        watchdog.close()
    assert allowed == [120.0, 120.0, 120.0], "thrice 40 s, which is the median of 40, 40 and 120, too"


def test_the_process_that_watches_ends_with_the_one_it_watches() -> None:
    process = start(at_least_s=60.0, seconds=300.0)
    assert process.stdout is not None
    process.stdout.readline()
    (watching,) = descendants(process.pid)
    process.kill()
    process.wait()
    for _ in range(100):
        if not Path(f"/proc/{watching}").exists():
            return
        time.sleep(0.1)
    os.kill(watching, signal.SIGKILL)
    pytest.fail("it goes on")


_: type[Watcher] = Watchdog
