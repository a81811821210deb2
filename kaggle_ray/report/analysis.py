"""What the report tells of a run's answers beyond their score: computed of the rows that it keeps, or kept beside them.

What needs the competition's metric or images is kept when the run ends, so that a report is made anew without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from kaggle_ray.evaluation.answers import LabelAnswers
from kaggle_ray.evaluation.curves import LabelCurves, Reliability, label_curves, reliability_of
from kaggle_ray.evaluation.members import MemberAnalysis
from kaggle_ray.evaluation.saved import ensemble_evaluation, keeps_rows
from kaggle_ray.evaluation.scores import label_scores
from kaggle_ray.report.cards import Card
from kaggle_ray.store.run import RunStore
from kaggle_ray.store.schema import decode, encode
from kaggle_ray.typed_json import from_json
from kaggle_ray.untrusted import MAX_JSON_BYTES

_FILE = "evaluation/analysis.json"
MOST_LABELS = 60
"""Most labels that are listed: those with the least average precision."""
_MOST_CURVES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Atlas:
    """Rows that are worth a look, the first one most."""

    worst: tuple[Card, ...] = ()
    """Rows with the greatest loss."""
    disagreements: tuple[Card, ...] = ()
    """Rows that the members predict most differently."""
    suspects: tuple[Card, ...] = ()
    """Rows whose label is suspected to be wrong, by confident learning."""
    num_suspects: int = 0
    """Rows that are suspected, those included that have no card."""
    are_masks: bool = False
    """Whether masks are drawn over the pictures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptAnalysis:
    """What is kept when a run ends."""

    members: MemberAnalysis | None = None
    """Members; None of a single one, and of masks."""
    atlas: Atlas = Atlas()


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelRow:
    """A line of the table of classes or labels."""

    label: str
    counts: tuple[int, int, int, int]
    """True positives, false positives, false negatives, true negatives."""
    scores: tuple[float, float, float, float]
    """Precision, recall, F1, average precision; NaN where one is not defined."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadAnalysis:
    """What is told of one head of classes or labels."""

    name: str
    labels: Sequence[LabelRow]
    num_labels: int
    """Labels that there are, those that are not listed included."""
    curves: Sequence[LabelCurves]
    reliability: Reliability


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysis:
    """All that the report tells of a run's answers."""

    heads: Sequence[HeadAnalysis]
    kept: KeptAnalysis


def save_analysis(store: RunStore, kept: KeptAnalysis) -> None:
    """Keep what a report cannot compute of the rows."""
    store.blobs.put(_FILE, encode(asdict(kept)))


def analysis_of(store: RunStore) -> Analysis | None:
    """Return what there is to tell of a run's answers, None where it keeps no rows.

    Raises:
        CorruptBlobError: the rows are not what was kept.
    """
    if not keeps_rows(store):
        return None
    evaluation = ensemble_evaluation(store)
    of_heads: Mapping[str, LabelAnswers] = {
        name: answers for name, answers in evaluation.of_heads.items() if isinstance(answers, LabelAnswers)
    }
    data = store.blobs.get(_FILE, max_bytes=MAX_JSON_BYTES)
    where = f"{store.location}/{_FILE}"
    return Analysis(
        heads=[_of_head(name, answers) for name, answers in of_heads.items()],
        kept=KeptAnalysis() if data is None else from_json(KeptAnalysis, decode(data, where=where), where=where),
    )


def _of_head(name: str, answers: LabelAnswers) -> HeadAnalysis:
    table = label_scores(answers)
    kept = table.sort_values("average_precision", kind="stable")[:MOST_LABELS].sort_index()
    counts = kept[["true_positive", "false_positive", "false_negative", "true_negative"]].to_numpy().tolist()
    scores = kept[["precision", "recall", "f1", "average_precision"]].to_numpy().tolist()
    return HeadAnalysis(
        name=name,
        labels=[
            LabelRow(label=label, counts=(tp, fp, fn, tn), scores=(precision, recall, f1, area))
            for label, (tp, fp, fn, tn), (precision, recall, f1, area) in zip(
                kept["label"].tolist(), counts, scores, strict=True
            )
        ],
        num_labels=len(table),
        curves=label_curves(answers, most=_MOST_CURVES),
        reliability=reliability_of(answers),
    )
