"""Rows of the evaluation table are told by outcome, label, combination of labels and range of probability."""

from __future__ import annotations

import numpy as np
import pytest

from kaggle_ray.data.head import Head, place_heads
from kaggle_ray.decide import Decision
from kaggle_ray.errors import ConfigError
from kaggle_ray.evaluation.answers import MaskAnswers, answers_of
from kaggle_ray.evaluation.scores import histograms, label_scores
from kaggle_ray.evaluation.selection import Selection
from kaggle_ray.evaluation.table import Evaluation
from kaggle_ray.metrics import F2, LOG_LOSS, RMSE
from kaggle_ray.types import FloatArray, Target

LABELS = Head(task="multilabel", classes=("haze", "road", "water"), metric=F2)
CLASSES = Head(task="multiclass", classes=("cat", "dog", "emu"), metric=LOG_LOSS)
PETS = Head(task="binary", classes=("cat", "dog"), metric=LOG_LOSS)


def evaluated(
    heads: tuple[Head, ...], target: list[list[float]], values: list[list[float]], **rules: object
) -> Evaluation:
    """Rows "a", "b", ...: even ones in fold 0, odd ones in fold 1, of which each may have a rule of its own."""
    truth: Target = np.array(target)
    said: FloatArray = np.array(values, dtype=np.float32)
    fold_of = np.arange(len(truth)) % 2
    default = Decision(kind="none")
    of_folds = {fold: rules.get(f"of_{fold}", default) for fold in (0, 1)}
    return Evaluation(
        ids=np.array(list("abcdefgh"[: len(truth)])),
        fold_of=fold_of,
        of_heads={
            place.head.name: answers_of(place, truth, said, fold_of, of_folds)  # type: ignore[arg-type]
            for place in place_heads(heads)
        },
        loss_weights={head.name: head.loss_weight for head in heads},
    )


def above(*thresholds: float) -> Decision:
    return Decision(kind="label_thresholds", parameters={"thresholds": list(thresholds)})


SCENES = evaluated(
    (LABELS,),
    [[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]],
    [[0.9, 0.3, 0.1], [0.3, 0.9, 0.1], [0.3, 0.1, 0.8], [0.1, 0.1, 0.1]],
    of_0=above(0.2, 0.5, 0.5),
    of_1=above(0.5, 0.5, 0.5),
)


def test_each_row_is_decided_by_the_rule_of_its_own_part() -> None:
    frame = SCENES.to_frame()
    assert frame["truth"].tolist() == ["haze", "haze road", "water", ""]
    assert frame["answer"].tolist() == ["haze", "road", "haze water", ""], "0.3 is haze in fold 0, and is not in fold 1"
    assert list(frame.columns) == [
        "id", "fold", "truth", "answer", "probability_haze", "probability_road", "probability_water", "loss",
    ]  # fmt: skip
    assert frame["loss"].iloc[0] == pytest.approx(-np.log([0.9, 0.7, 0.9]).mean())


@pytest.mark.parametrize(
    ("selection", "ids"),
    [
        (Selection(), "abcd"),
        (Selection(outcome="right"), "ad"),
        (Selection(outcome="wrong"), "bc"),
        (Selection(outcome="false_positive", label="haze"), "c"),
        (Selection(outcome="false_negative", label="haze"), "b"),
        (Selection(outcome="true_positive", label="haze"), "a"),
        (Selection(outcome="true_negative", label="haze"), "d"),
        (Selection(label="haze"), "ab"),
        (Selection(combination="road, haze"), "b"),
        (Selection(combination=""), "d"),
        (Selection(label="haze", probability=(0.3, 1.0)), "ab"),
        (Selection(probability=(0.85, 1.0)), "ab"),
        (Selection(outcome="wrong", label="haze", probability=(0.0, 0.5)), "b"),
    ],
)
def test_a_selection_has_the_rows_that_meet_all_its_conditions(selection: Selection, ids: str) -> None:
    assert "".join(selection.of(SCENES).ids) == ids


def test_a_condition_that_does_not_suit_the_task_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no label 'hase'. Did you mean 'haze'"):
        Selection(label="hase").of(SCENES)
    with pytest.raises(ConfigError, match="name the label that it is of, one of haze, road, water"):
        Selection(outcome="false_positive").of(SCENES)
    with pytest.raises(ConfigError, match=r"no 'fasle_positive'"):
        Selection(outcome="fasle_positive")  # type: ignore[arg-type]
    ages = evaluated((Head(task="regression", metric=RMSE),), [[3.0], [4.0]], [[3.5], [4.0]])
    assert ages.to_frame()["loss"].tolist() == [0.25, 0]
    with pytest.raises(ConfigError, match="expected a head of classes or labels"):
        Selection(outcome="wrong").of(ages)


def test_of_two_classes_an_outcome_is_of_the_second_one_unless_another_is_named() -> None:
    pets = evaluated((PETS,), [[0], [1], [1]], [[0.8], [0.9], [0.2]])
    assert "".join(Selection(outcome="false_positive").of(pets).ids) == "a"
    assert "".join(Selection(outcome="false_negative").of(pets).ids) == "c"
    assert "".join(Selection(outcome="false_positive", label="cat").of(pets).ids) == "c"
    assert pets.to_frame()["probability_cat"].tolist() == pytest.approx([0.2, 0.1, 0.8])
    assert pets.loss.tolist() == pytest.approx(-np.log([0.2, 0.9, 0.2])), "the class's own probability counts"
    assert "".join(pets.worst(2).ids) in ("ac", "ca")


def test_the_table_has_the_columns_of_each_head_and_the_sum_of_their_losses() -> None:
    both = evaluated(
        (Head(name="pet", task="binary", classes=("cat", "dog"), metric=LOG_LOSS, loss_weight=2.0),
         Head(name="age", task="regression", metric=RMSE)),
        [[1, 3.0], [0, 4.0]], [[0.5, 3.5], [0.5, 4.0]],
    )  # fmt: skip
    frame = both.to_frame()
    assert {"pet.truth", "pet.probability_dog", "age.prediction", "age.loss"} <= set(frame.columns)
    assert frame["loss"].tolist() == pytest.approx([2 * np.log(2) + 0.25, 2 * np.log(2)])
    assert len(Selection(head="pet", outcome="right", label="dog").of(both)) == 0


def test_masks_have_their_sizes_and_overlap_instead_of_probabilities() -> None:
    counts = np.array([[[10, 10, 10]], [[10, 20, 5]], [[0, 0, 0]]])
    masks = Evaluation(
        ids=np.array(["a", "b", "c"]), fold_of=np.zeros(3, dtype=np.int64),
        of_heads={"target": MaskAnswers(names=("car",), counts=counts)}, loss_weights={"target": 1.0},
    )  # fmt: skip
    frame = masks.to_frame()
    assert frame["dice"].tolist() == pytest.approx([1, 1 / 3, 1])
    assert frame["iou"].tolist() == pytest.approx([1, 0.2, 1])
    assert "".join(Selection(probability=(0, 0.5)).of(masks).ids) == "b"


def test_the_scores_of_labels_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import fbeta_score, precision_score, recall_score, roc_auc_score

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, (60, 1))
    values = rng.dirichlet([1, 1, 1], 60) + 0.5 * (truth == np.arange(3))
    scenes = evaluated((CLASSES,), truth.tolist(), values.tolist()).labels()
    scores = label_scores(scenes)
    answers = values.argmax(axis=1)
    for label in range(3):
        there, answered = truth[:, 0] == label, answers == label
        of_label = scores.iloc[label]
        assert of_label["precision"] == pytest.approx(precision_score(there, answered))
        assert of_label["recall"] == pytest.approx(recall_score(there, answered))
        assert of_label["f2"] == pytest.approx(fbeta_score(there, answered, beta=2))
        assert of_label["auc"] == pytest.approx(roc_auc_score(there, values[:, label].astype(np.float32)))
    outcomes = scores[["true_positive", "false_positive", "false_negative", "true_negative"]]
    assert (outcomes.sum(axis=1) == 60).all()
    counted = histograms(scenes, num_bins=4)
    assert counted.groupby("label", sort=False)[["there", "not_there"]].sum().sum(axis=1).tolist() == [60, 60, 60]
    assert counted.groupby("label", sort=False)["there"].sum().tolist() == scores["rows"].tolist()


def test_a_label_that_no_row_has_gets_no_score_instead_of_a_wrong_one() -> None:
    scores = label_scores(evaluated((LABELS,), [[1, 0, 0], [0, 0, 0]], [[0.9, 0.1, 0.8], [0.1, 0.1, 0.1]]).labels())
    assert np.isnan(scores.loc[1, ["precision", "recall", "f1", "auc"]].astype(float)).all()
    assert scores.loc[2, "precision"] == 0
    assert scores["recall"].isna().tolist() == [False, True, True]
