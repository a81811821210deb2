"""From a killed node to full speed: a run on three nodes loses one, and another joins at once.

    python tests/benchmarks/recovery.py --rounds 1      # a minute
    python tests/benchmarks/recovery.py                 # three nodes are lost, one after the other

The nodes are processes of this machine, of one core each; trials sleep, an epoch of half a second after the other. Full
speed is when as many trials as there are nodes have told of an epoch within the last three epochs' time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import click
from fake_work import launched, sleeping_plan, spread
from record import Measured, record_options
from rich.table import Table

from kaggle_ray.launch.placement import RayPlacement
from kaggle_ray.launch.ray_tune import RayTuneLauncher
from kaggle_ray.reporters.events import EpochEnded, Event
from kaggle_ray.testing.ray_cluster import toy_cluster

NUM_NODES = 3
EPOCH_S = 0.5
EPOCHS_OF_A_TRIAL = 1000
"""So many that no trial ends meanwhile: one that follows another on a node would be taken for a second node's."""
WINDOW_S = 3 * EPOCH_S
PATIENCE_S = 600.0


def drive() -> None:
    """Run trials on the cluster that RAY_ADDRESS names, and print which trial told of an epoch, until killed."""

    def tell(event: Event) -> None:
        if isinstance(event, EpochEnded):
            print(event.trial, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        plan = sleeping_plan(Path(folder), experiments=100, seconds=EPOCH_S, epochs=EPOCHS_OF_A_TRIAL, slots=NUM_NODES)
        launched(RayTuneLauncher(RayPlacement(num_slots=NUM_NODES)), plan, tell, num_folds=5)


@dataclass
class Pulse:
    """When trials told of an epoch."""

    last_told: dict[str, float] = field(default_factory=dict)

    def listen(self, output: IO[str]) -> None:
        """Take note of what the driver prints."""
        for line in output:
            self.last_told[line.strip()] = time.monotonic()

    def wait_for_full_speed(self, *, since: float) -> float:
        """Return the seconds from ``since`` until all nodes work at a trial.

        Raises:
            TimeoutError: it does not come to that.
        """
        ends = since + PATIENCE_S
        while time.monotonic() < ends:
            begins = max(since, time.monotonic() - WINDOW_S)
            if sum(told > begins for told in list(self.last_told.values())) >= NUM_NODES:
                return time.monotonic() - since
            time.sleep(0.02)
        raise TimeoutError(f"no full speed within {PATIENCE_S:g} s")


def measure(rounds: int) -> tuple[list[float], list[float]]:
    """Return, of each lost node, the seconds until Ray lists another one as joined, and until full speed."""
    joined, recovered = [], []
    with toy_cluster(num_nodes=NUM_NODES) as cluster, ThreadPoolExecutor() as waiting:
        driver = subprocess.Popen(
            [sys.executable, __file__, "--drive"],
            env={**os.environ, "RAY_ADDRESS": cluster.address},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert driver.stdout is not None
            pulse = Pulse()
            threading.Thread(target=pulse.listen, args=(driver.stdout,), daemon=True).start()
            for _ in range(rounds):
                pulse.wait_for_full_speed(since=time.monotonic())
                cluster.lose_node(0)
                lost = time.monotonic()
                full_speed = waiting.submit(pulse.wait_for_full_speed, since=lost)
                cluster.add_node()
                joined.append(time.monotonic() - lost)
                recovered.append(full_speed.result())
        finally:
            driver.kill()
            driver.wait()
    return joined, recovered


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Nodes to lose.")
@click.option("--drive", "is_driver", is_flag=True, hidden=True)
@record_options
def main(rounds: int, is_driver: bool, record: bool, note: str) -> None:
    """Print how long it takes."""
    if is_driver:
        drive()
        return
    joined, recovered = measure(rounds)
    table = Table(
        "from a killed node, s", "median (least to most)",
        title=f"{NUM_NODES} nodes, {rounds} lost", caption=f"load of the machine after: {os.getloadavg()[0]:.1f}",
    )  # fmt: skip
    table.add_row("to another in its place, as Ray lists it", spread(joined, 1))
    table.add_row("to full speed", spread(recovered, 1))
    measured = Measured(benchmark="recovery", record=record, note=note)
    measured.show(table)
    measured.leave()


if __name__ == "__main__":
    main()
