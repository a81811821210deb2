from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest

from kaggle_ray.data.competition import Competition
from kaggle_ray.data.folds import FoldScheme, folds_with, make_folds
from kaggle_ray.data.head import Head
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.scorable import InnerSplit, check_scorable
from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.errors import FoldsError
from kaggle_ray.metrics import ACCURACY, AUC, F2, LOG_LOSS, RMSE, Metric, per_fold
from kaggle_ray.testing.samples import samples_of
from kaggle_ray.testing.tasks import toy_of
from kaggle_ray.types import Folds, Target

NUM = 40
LABELS = ("cat", "dog", "hippo")
RNG = np.random.default_rng(0)


def sklearn_metric(name: str, *, of_classes: bool = False) -> Metric:
    """Return a metric of scikit-learn's, as a competition's file declares it."""
    import sklearn.metrics

    def score(target: Target, values: Target) -> float:
        answers = values.argmax(axis=1) if of_classes else values
        return float(getattr(sklearn.metrics, name)(target, answers))

    return Metric(name=name, score_fn=score, greater_is_better=name != "log_loss")


def competition_of(*heads: Head, scheme: FoldScheme | None = None) -> Competition:
    columns = tuple(name for head in heads for name in (head.classes if head.num_outputs > 1 else (head.name,)))
    fmt = SubmissionFormat(id_column="id", columns=columns, cells="numbers")
    return dataclasses.replace(toy_of("heads"), heads=heads, submission=fmt, folds=scheme or FoldScheme(num_folds=4))


def labelled(*rows_with_hippo: int) -> Target:
    """Return (N, 3) labels: cat and dog in every third row, hippo where it is said."""
    target = np.zeros((NUM, 3), dtype=np.int64)
    target[::3, 0], target[1::3, 1] = 1, 1
    target[list(rows_with_hippo), 2] = 1
    return target


def rows_of(target: Target, **fields: object) -> Samples:
    return dataclasses.replace(
        samples_of(np.array([f"a{row:02}" for row in range(len(target))]), target, test_ids=np.array(["t"])),
        **fields,  # type: ignore[arg-type]
    )


def check(competition: Competition, samples: Samples, fold_of: list[int] | None = None, **inner: float) -> None:
    if fold_of is None:
        folds = make_folds(competition.folds, samples, heads=competition.heads)
    else:
        folds = folds_with(competition.folds, samples, np.array(fold_of, dtype=np.int8))
    check_folds(competition, samples, folds, **inner)


def check_folds(competition: Competition, samples: Samples, folds: Folds, **inner: float) -> None:
    inner_splits = {InnerSplit(share=inner["share"], seed=0)} if inner else set()
    check_scorable(competition, samples, folds, groups=samples.groups, inner_splits=inner_splits)


TAGS = Head(name="tags", task="multilabel", classes=LABELS, metric=AUC)
IN_TURN = [row % 4 for row in range(NUM)]


def test_folds_that_all_have_both_answers_pass() -> None:
    check(competition_of(TAGS), rows_of(labelled(0, 1, 2, 3)), IN_TURN)
    check(competition_of(TAGS), rows_of(labelled(*range(8))), IN_TURN, share=0.5)


@pytest.mark.parametrize("metric", [AUC, per_fold(AUC)])
@pytest.mark.parametrize(
    ("rows", "fold", "num_with", "advice"),
    [
        ((), 0, 0, "Find more such rows"),
        ((5,), 0, 1, "Find more such rows"),
        ((0, 1, 3), 2, 3, "Use at most 3 folds"),
        ((0, 1, 2, 4), 3, 4, "Use fewer folds, another seed"),
    ],
)
def test_a_rare_label_is_named_with_its_fold_and_what_to_do(
    metric: Metric, rows: tuple[int, ...], fold: int, num_with: int, advice: str
) -> None:
    head = dataclasses.replace(TAGS, metric=metric)
    with pytest.raises(FoldsError) as caught:
        check(competition_of(head), rows_of(labelled(*rows)), IN_TURN)
    assert str(caught.value).startswith(
        f"fold {fold}: metric {metric.name!r} of head 'tags' cannot score its 10 rows: none of them has the label "
        f"'hippo' (of all 40 scored rows {num_with} do). {advice}"
    )


def test_a_label_that_all_rows_of_a_fold_have_is_named_too() -> None:
    target = labelled(0, 1, 2, 3)
    target[3::4, 0] = 1
    with pytest.raises(FoldsError, match=r"fold 3: .* none of them lacks the label 'cat' "):
        check(competition_of(TAGS), rows_of(target), IN_TURN)


def test_what_is_only_pooled_or_counted_needs_no_row_of_each_label() -> None:
    for metric in (F2, LOG_LOSS):
        check(competition_of(dataclasses.replace(TAGS, metric=metric)), rows_of(labelled(5)), IN_TURN)


@pytest.mark.parametrize(
    ("metric", "is_refused"),
    [
        (sklearn_metric("roc_auc_score"), True),
        (sklearn_metric("log_loss"), True),
        (sklearn_metric("cohen_kappa_score", of_classes=True), True),
        (AUC, True),
        (ACCURACY, False),
        (LOG_LOSS, False),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_fold_by_group_of_one_class_is_refused_where_the_metric_cannot_score_it(
    metric: Metric, is_refused: bool
) -> None:
    target = np.array([0, 1] * 15 + [0] * 10)
    num_columns = 2 if metric.name == "cohen_kappa_score" else 1
    head = Head(name="sick", task="multiclass" if num_columns == 2 else "binary", classes=("no", "yes"), metric=metric)
    groups = np.array([f"patient {row // 10}" for row in range(NUM)])
    competition = competition_of(head, scheme=FoldScheme(kind="group", num_folds=4))
    samples, fold_of = rows_of(target, groups=groups), [row // 10 for row in range(NUM)]
    if not is_refused:
        return check(competition, samples, fold_of)
    with pytest.raises(FoldsError, match=r"fold 3: .* none of them is of class 'yes' \(of all 40 scored rows 15 do\)"):
        check(competition, samples, fold_of)
    return None


def test_the_advice_for_groups_keeps_them_together() -> None:
    groups = np.array([f"patient {row // 10}" for row in range(NUM)])
    head = Head(name="sick", task="binary", classes=("no", "yes"), metric=AUC)
    competition = competition_of(head, scheme=FoldScheme(kind="group", num_folds=4))
    with pytest.raises(FoldsError, match="Use folds of kind 'stratified_group', fewer folds, another seed"):
        check(competition, rows_of(np.arange(NUM) // 30, groups=groups), [row // 10 for row in range(NUM)])


def test_folds_by_time_and_a_holdout_are_looked_at_as_well() -> None:
    head = Head(name="sick", task="binary", classes=("no", "yes"), metric=AUC)
    target = np.array([0, 1] * 15 + [0] * 10)
    by_time = competition_of(head, scheme=FoldScheme(kind="time", num_folds=3))
    with pytest.raises(FoldsError, match=r"fold 2: .* none of them is of class 'yes'.* Use fewer folds, or"):
        check(by_time, rows_of(target, times=np.arange(NUM, dtype=np.float64)))
    holdout = competition_of(TAGS, scheme=FoldScheme(kind="multilabel", num_folds=4, holdout=True))
    with pytest.raises(FoldsError, match=r"fold 0: .* none of them has the label 'hippo'"):
        check(holdout, rows_of(labelled(5)), [0 if row % 4 == 0 else -1 for row in range(NUM)])


def test_an_inner_split_without_a_label_is_named() -> None:
    samples = rows_of(labelled(0, 1, 2, 3))
    check(competition_of(TAGS), samples, IN_TURN)
    with pytest.raises(FoldsError) as caught:
        check(competition_of(TAGS), samples, IN_TURN, share=0.1)
    message = str(caught.value)
    assert message.startswith("the inner split (share 0.1, seed 0) of fold ")
    assert "none of them has the label '" in message
    assert "Use a larger inner_share, epoch_rule 'last', or a Metric of your own" in message


def test_each_of_several_heads_is_looked_at() -> None:
    sick = Head(name="sick", task="binary", classes=("no", "yes"), metric=LOG_LOSS)
    age = Head(name="age", task="regression", metric=RMSE)
    kind = Head(name="kind", task="multiclass", classes=LABELS, metric=sklearn_metric("log_loss"))
    target = np.column_stack([np.arange(NUM) % 2, RNG.random(NUM), np.zeros(NUM)])
    target[:, 2] = np.arange(NUM) // 4 % 3
    check(competition_of(sick, age, dataclasses.replace(kind, metric=LOG_LOSS)), rows_of(target), IN_TURN)
    target[3::4, 2] = np.minimum(target[3::4, 2], 1)
    with pytest.raises(FoldsError, match=r"fold 3: metric 'log_loss' of head 'kind' .* is of class 'hippo'"):
        check(competition_of(sick, age, kind), rows_of(target), IN_TURN)


def test_a_metric_that_fails_on_all_rows_is_left_to_whoever_tells_why() -> None:
    broken = Metric(name="broken", score_fn=lambda target, values: 1 / 0, greater_is_better=True)
    check(competition_of(dataclasses.replace(TAGS, metric=broken)), rows_of(labelled(0, 1)), IN_TURN)


def test_numbers_that_are_all_the_same_in_a_fold_are_told_by_the_metrics_own_words() -> None:
    def pearson(target: Target, values: Target) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(np.corrcoef(target, values[:, 0])[0, 1])

    head = Head(name="age", task="regression", metric=Metric(name="pearson", score_fn=pearson, greater_is_better=True))
    target = RNG.random(NUM)
    target[2::4] = 0.5
    with pytest.raises(FoldsError, match=r"fold 2: metric 'pearson' of head 'age' .* expected a finite score, got nan"):
        check(competition_of(head), rows_of(target), IN_TURN)
