"""What was submitted to Kaggle, as a table: its scores beside the honest ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table

from kaggle_ray.kaggle.client import Kaggle, ListedSubmission
from kaggle_ray.kaggle.submitting import refreshed
from kaggle_ray.reporters.texts import plain, score_text, score_with_error
from kaggle_ray.store.run import RunStore
from kaggle_ray.submission.kaggle_records import records_of


def submissions_table(stores: Sequence[RunStore], *, ask: Callable[[str], Kaggle] | None = None) -> Table:
    """Return a row for each submission of the runs.

    Args:
        stores: the runs.
        ask: returns the Kaggle to ask for a competition's scores as they are now, which are recorded; None asks nobody.

    Raises:
        KaggleError: Kaggle does not answer.
        StoreError: a record cannot be read.
    """
    table = Table(title="Submissions to Kaggle")
    for name in ("competition", "run", "file", "honest", "public", "private", "state", "message"):
        table.add_column(name, overflow="fold")
    listed_of: dict[str, list[ListedSubmission]] = {}
    for store in stores:
        for record in records_of(store):
            now = record
            if ask is not None:
                if record.slug not in listed_of:
                    listed_of[record.slug] = ask(record.slug).submissions()
                now = refreshed(store, record, listed_of[record.slug])
            honest = score_with_error(now.score_honest, now.standard_error)
            scores = (honest, score_text(now.public_score), score_text(now.private_score))
            table.add_row(*map(plain, (now.slug, store.run_id, now.name, *scores, now.state, now.message)))
    return table
