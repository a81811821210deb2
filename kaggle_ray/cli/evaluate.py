"""The command that looks at what a run answered, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kaggle_ray.cli.options import options_of
from kaggle_ray.pipeline.options import DataOptions, OutputOptions, PredictOptions

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from kaggle_ray.evaluation.selection import Outcome, Selection
    from kaggle_ray.evaluation.table import Evaluation

_OUTCOMES = ("right", "wrong", "true_positive", "false_positive", "true_negative", "false_negative")
_WIDEST_WORD = 12
"""Letters of a column's name that stay on one line."""
_SHOWN = 20
"""Rows that are printed as a table; as CSV all are."""


@click.command()
@click.argument("run", required=False)
@options_of(OutputOptions, "runs")
@click.option("--experiment", metavar="NAME", help="Name or id of an experiment. Default: the submitted ensemble.")
@click.option("--outcome", type=click.Choice(_OUTCOMES), help="Rows of this outcome: as a whole, or of --label.")
@click.option("--label", help="Class or label of --outcome and --probability; alone, the rows that truly have it.")
@click.option("--combination", metavar="LABELS", help="Rows that truly have these labels, and no others.")
@click.option(
    "--probability",
    type=(float, float),
    metavar="LOW HIGH",
    help="Rows where that of --label, or of the surest answer, is in this range; of masks the Dice.",
)
@click.option("--head", metavar="NAME", help="Head that the conditions are of. Default: the first one.")
@click.option(
    "--table",
    type=click.Choice(("rows", "labels", "histograms")),
    default="rows",
    show_default=True,
    help="Rows that meet the conditions, the worst first; or scores, or histograms, of each label over all rows.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--gallery", metavar="FILE", help="Write a page with the images of the rows that meet the conditions.")
@click.option("--limit", default=200, show_default=True, help="Most rows of the gallery, the worst first.")
@options_of(DataOptions, "data")
@options_of(PredictOptions, "competition")
def evaluate(
    run: str | None,
    runs: str,
    experiment: str | None,
    outcome: Outcome | None,
    label: str | None,
    combination: str | None,
    probability: tuple[float, float] | None,
    head: str | None,
    table: str,
    as_csv: bool,
    gallery: str | None,
    limit: int,
    data: str | None,
    competition: str | None,
) -> None:
    """Show what RUN answers for each scored row, beside the truth: a run folder, a run's id, or a competition's name.

    Each row is predicted by models, weights and a rule that never saw it. Without RUN it is the latest run of all.
    """
    from kaggle_ray.evaluation.selection import Selection
    from kaggle_ray.pipeline.recorded import load_own_rules
    from kaggle_ray.report.past_run import open_run
    from kaggle_ray.report.runs import find_run

    store = find_run(run, runs)
    load_own_rules(store, store.known_record(), competition, decides=True)
    evaluated = open_run(store.location).evaluated(experiment)
    selection = Selection(outcome=outcome, label=label, combination=combination, probability=probability, head=head)
    if gallery is not None:
        from kaggle_ray.pipeline.gallery import write_gallery

        chosen = selection.of(evaluated).worst(limit)
        place = data or str(Path("data") / store.competition_name)
        click.echo(write_gallery(store, chosen, selection.words, data=place, out=gallery, competition=competition))
        return
    frame = _frame_of(evaluated, selection, table, head)
    if as_csv:
        click.echo(frame.to_csv(index=False), nl=False)
    else:
        _print(frame, are_rows=table == "rows")


def _frame_of(evaluated: Evaluation, selection: Selection, table: str, head: str | None) -> pd.DataFrame:
    """Return one of the tables that a person can ask for."""
    from kaggle_ray.evaluation.scores import histograms, label_scores

    if table == "labels":
        return label_scores(evaluated.labels(head))
    if table == "histograms":
        return histograms(evaluated.labels(head))
    chosen = selection.of(evaluated)
    return chosen.worst(len(chosen)).to_frame()


def _print(frame: pd.DataFrame, *, are_rows: bool) -> None:
    """Print a frame for people: of rows the first ones, as wide as the console."""
    from rich.console import Console

    shortened = frame.drop(columns=[name for name in _OUTCOMES if name in frame])  # they follow from the rest
    console = Console()
    fitting = _fitting(shortened.head(_SHOWN), console.width) if are_rows else list(shortened)
    left_out = len(shortened.columns) - len(fitting)
    console.print(_printed(shortened[fitting], shown=_SHOWN if are_rows else len(frame), left_out=left_out))


def _fitting(frame: pd.DataFrame, width: int) -> list[str]:
    """Return the columns that fit beside each other into so many characters: of the classes the first ones."""
    taken = {
        name: 1 + max(*map(len, map(_cell, frame[name])), *map(len, str(name).split("_")), 0) for name in frame.columns
    }
    while sum(taken.values()) > width and (of_classes := [name for name in taken if name.startswith("probability")]):
        del taken[of_classes[-1]]
    return list(taken)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _printed(frame: pd.DataFrame, *, shown: int, left_out: int = 0) -> Table:
    """Return the first rows of a frame as a table for people; ``left_out`` further columns are told of."""
    from rich import box
    from rich.table import Table

    from kaggle_ray.counted import counted
    from kaggle_ray.reporters.texts import plain

    caption = (
        f"{shown} of {counted(len(frame), 'row')}; --csv prints all"
        if shown < len(frame)
        else counted(len(frame), "row")
    )
    caption += f"; {counted(left_out, 'column')} more with --csv" if left_out else ""
    printed = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    for name, kind in frame.dtypes.items():
        words = str(name).split("_")
        printed.add_column(
            " ".join(words),
            justify="right" if kind.kind in "iuf" else "left",
            overflow="fold",
            min_width=min(max(map(len, words)), _WIDEST_WORD),
        )
    for row in frame.head(shown).itertuples(index=False):
        printed.add_row(*(plain(_cell(cell)) for cell in row))
    return printed
