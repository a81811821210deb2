"""The command that packs a run for a notebook without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kaggle_ray.cli.options import RUN, options_of
from kaggle_ray.counted import counted
from kaggle_ray.pipeline.options import PredictOptions
from kaggle_ray.untrusted import printable

if TYPE_CHECKING:
    from kaggle_ray.config.settings import Device
    from kaggle_ray.packing.graphs import GraphExporter
    from kaggle_ray.packing.pack import Packed


@click.command()
@RUN
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--data", metavar="FOLDER", help="The competition's files, for an estimate of the time.")
@options_of(PredictOptions, "competition", "refit", "device")
@click.option("--onnx", is_flag=True, help="ONNX graphs of the models, too: they predict where there is no GPU.")
@click.option("--slug", metavar="NAME", help="The competition's name on Kaggle. Default: the run's, with dashes.")
@click.option("--time-limit", default=9.0, show_default=True, metavar="HOURS", help="Of the notebook.")
@click.option("--test-rows", type=click.IntRange(min=1), help="Of the hidden test set. Default: those of --data.")
@click.option(
    "--installed",
    type=click.Path(path_type=Path),
    help="What pip freeze prints in the notebook. Default: torch, pandas and the like are taken to be there.",
)
@click.option("--python", metavar="VERSION", help="Of the notebook's Python, such as 3.11. Default: this one's.")
def package(
    run: str,
    out: Path,
    data: str | None,
    competition: str | None,
    refit: bool,
    onnx: bool,
    device: Device | None,
    slug: str | None,
    time_limit: float,
    test_rows: int | None,
    installed: Path | None,
    python: str | None,
) -> None:
    """Pack RUN into the folder OUT for a code competition: weights, code, wheels, and a notebook that predicts offline.

    OUT becomes a dataset on Kaggle: kaggle datasets init -p OUT, then kaggle datasets create -p OUT --dir-mode zip.
    """
    from kaggle_ray.packing.pack import pack

    packed = pack(
        run, out, competition=competition, data=data, refit=refit, onnx=onnx, slug=slug, installed=installed,
        python=python, num_rows=test_rows, device=device,
    )  # fmt: skip
    for line in _lines(packed, time_limit):
        click.echo(printable(line))


def _lines(packed: Packed, limit_h: float) -> list[str]:
    """Return what is to be known of a package, a line each."""
    lines = [f"{counted(packed.num_models, 'model')}, {packed.num_bytes / 2**20:.1f} MiB in all"]
    if packed.exporter is not None:
        lines += _graph_lines(packed.exporter, packed.num_models)
    if packed.why_no_wheels is not None:
        lines.append(
            f"no wheels of what the notebook is taken to lack ({packed.why_no_wheels}). Put them into "
            f"{packed.folder / 'wheels'}: {' '.join(packed.needed.lacking)}"
        )
    elif packed.needed.lacking:
        lines.append(f"wheels of what the notebook is taken to lack: {' '.join(packed.needed.lacking)}")
    if packed.timing is not None and packed.torch_timing is not None and packed.timing is not packed.torch_timing:
        times = packed.torch_timing.per_row_s / max(packed.timing.per_row_s, 1e-9)
        lines.append(
            f"by the graphs a row takes {packed.timing.per_row_s * 1000:.1f} ms, by torch "
            f"{packed.torch_timing.per_row_s * 1000:.1f}: {times:.1f} times as long, on the CPU, reading included"
        )
    if packed.timing is not None and packed.num_rows is not None:
        timing, hours = packed.timing, packed.timing.total_s(packed.num_rows) / 3600
        fits = "fits" if hours <= limit_h else "DOES NOT FIT"
        lines.append(
            f"{counted(packed.num_rows, 'row takes', 'rows take')} {hours:.2f} h on this machine "
            f"({timing.per_row_s * 1000:.1f} ms a row of {timing.num_measured}, {timing.start_s:.0f} s to start), "
            f"which {fits} into {limit_h:g} h"
        )
    return [*lines, str(packed.folder / "inference.ipynb")]


def _graph_lines(exporter: GraphExporter, num_models: int) -> list[str]:
    """Return what became of the ONNX graphs, a line each."""
    exported = f"ONNX graphs of {exporter.num_exported} of {counted(num_models, 'model')}"
    if exporter.num_exported:
        exported += f": their logits differ from torch's by at most {exporter.difference:.1e}"
    return [
        exported,
        *(f"no graph of {name}, which torch predicts: {reason}" for name, reason in exporter.refused.items()),
    ]
