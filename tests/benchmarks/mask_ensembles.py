"""How long the ensembles of masks take, and what they hold: python tests/benchmarks/mask_ensembles.py.

Masks of Carvana's model size (320 x 480) are made up on the disk, their edges blurred in another way by each member.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import click
from record import Measured, record_options
from rich.table import Table

from kaggle_ray.combine import select
from kaggle_ray.metrics import DICE
from kaggle_ray.pool.gather import gather
from kaggle_ray.testing.masks import MaskRun


@click.command()
@click.option("--images", default=200, help="Scored images.")
@click.option("--members", default=6)
@click.option("--way", "ways", multiple=True, default=("mean", "greedy", "auto"))
@record_options
def main(images: int, members: int, ways: tuple[str, ...], record: bool, note: str) -> None:
    """Show a row for each way to combine."""
    run = MaskRun(num_train=images, num_test=1, height=320, width=480, num_experiments=members, num_folds=5)
    measured = Measured(benchmark="mask_ensembles", record=record, note=note)
    table = Table(
        "way", "s", "s, 5,088 images", "honest Dice", "peak memory, GiB",
        title=f"{members} members x {images} masks of 320 x 480, 5 folds",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        pool = gather(run.write(Path(folder)), run.folds, run.experiments, run.test_ids)
        for way in ways:
            started = time.process_time()
            ensemble = select(pool.oof, run.target, run.folds.fold_of, DICE, way)
            seconds = time.process_time() - started
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            table.add_row(
                way, f"{seconds:.1f}", f"{seconds * 5088 / images:.0f}", f"{ensemble.score_honest:.5f}", f"{peak:.2f}"
            )
    measured.show(table)
    measured.leave()


if __name__ == "__main__":
    main()
