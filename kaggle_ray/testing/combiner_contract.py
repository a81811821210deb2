"""The contract of a combiner: call ``check_combiner`` in a test of each one.

Shape legend: N rows, C columns of a prediction.
"""

from __future__ import annotations

import json

import numpy as np

from kaggle_ray.combine.combiner import Combiner, Fitted, FoldOf
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.types import FloatArray, IntArray

_NUM_ROWS, _NUM_FOLDS = 60, 3

Members = dict[str, FloatArray]


def check_combiner(combiner: Combiner, *, calibrates: bool = False) -> None:
    """Check what an ensemble relies on, for one column and for several.

    Args:
        combiner: is given members that predict one class of two, or of three.
        calibrates: whether it may change what a single member predicts; others leave that as it is.

    Raises:
        Exception: whatever the combiner raised, or an AssertionError, with the name of the check.
    """
    for check in (
        _one_member_has_all_the_weight,
        *(() if calibrates else (_one_member_is_predicted_as_it_is,)),
        _the_order_of_the_members_changes_nothing,
        _shares_are_of_members_and_sum_to_one,
        _members_without_a_share_are_not_asked_for,
        _predictions_are_finite_and_shaped_like_the_members,
        _a_row_depends_on_this_row_alone,
        _json_describes_all_that_was_learnt,
        _the_same_rows_teach_the_same,
    ):
        for num_columns in (1, 3):
            try:
                check(combiner, num_columns)
            except Exception as error:
                error.add_note(f"in the check {check.__name__.strip('_')!r} of the combiner's contract")
                raise


def _rows(num_members: int, num_columns: int) -> tuple[Members, IntArray, FoldOf]:
    """Return members that differ in skill, what they predict, and the folds."""
    rng = np.random.default_rng(num_columns)
    target = rng.permutation(np.arange(_NUM_ROWS) % max(num_columns, 2))
    truth = target[:, np.newaxis] == (np.arange(num_columns) if num_columns > 1 else np.ones(1))
    members: Members = {}
    for number in range(num_members):
        logits = (0.5 + 0.3 * number) * (2 * truth - 1) + rng.normal(size=truth.shape)
        members[f"member{number}"] = (1 / (1 + np.exp(-logits))).astype(np.float32)
    return members, target, rng.permutation(np.arange(_NUM_ROWS) % _NUM_FOLDS)


def _fit(combiner: Combiner, num_columns: int) -> tuple[Fitted, Members]:
    members, target, fold_of = _rows(5, num_columns)
    return combiner.fit(members, target, fold_of, LOG_LOSS), members


def _predicted(fitted: Fitted, members: Members) -> FloatArray:
    return np.asarray(fitted.predict(members)[:], dtype=np.float32)


def _one_member_has_all_the_weight(combiner: Combiner, num_columns: int) -> None:
    members, target, fold_of = _rows(1, num_columns)
    assert dict(combiner.fit(members, target, fold_of, LOG_LOSS).weights) == {"member0": 1.0}


def _one_member_is_predicted_as_it_is(combiner: Combiner, num_columns: int) -> None:
    members, target, fold_of = _rows(1, num_columns)
    fitted = combiner.fit(members, target, fold_of, LOG_LOSS)
    assert np.array_equal(_predicted(fitted, members), members["member0"])


def _the_order_of_the_members_changes_nothing(combiner: Combiner, num_columns: int) -> None:
    members, target, fold_of = _rows(5, num_columns)
    turned = dict(reversed(members.items()))
    fitted, other = (combiner.fit(each, target, fold_of, LOG_LOSS) for each in (members, turned))
    assert dict(fitted.weights) == dict(other.weights)
    assert np.array_equal(_predicted(fitted, members), _predicted(other, turned))


def _shares_are_of_members_and_sum_to_one(combiner: Combiner, num_columns: int) -> None:
    fitted, members = _fit(combiner, num_columns)
    assert set(fitted.weights) <= set(members)
    assert all(weight > 0 for weight in fitted.weights.values())
    assert abs(sum(fitted.weights.values()) - 1) < 1e-9


def _members_without_a_share_are_not_asked_for(combiner: Combiner, num_columns: int) -> None:
    fitted, members = _fit(combiner, num_columns)
    needed = {member_id: members[member_id] for member_id in fitted.weights}
    assert np.array_equal(_predicted(fitted, needed), _predicted(fitted, members))


def _predictions_are_finite_and_shaped_like_the_members(combiner: Combiner, num_columns: int) -> None:
    fitted, members = _fit(combiner, num_columns)
    predicted = fitted.predict(members)
    assert tuple(predicted.shape) == (_NUM_ROWS, num_columns)
    assert np.isfinite(predicted[:]).all()


def _a_row_depends_on_this_row_alone(combiner: Combiner, num_columns: int) -> None:
    fitted, members = _fit(combiner, num_columns)
    of_all, chosen = _predicted(fitted, members), np.array([7, 3, 50])
    some = {member_id: values[chosen] for member_id, values in members.items()}
    assert np.array_equal(_predicted(fitted, some), of_all[chosen])
    assert np.array_equal(np.asarray(fitted.predict(members)[chosen], dtype=np.float32), of_all[chosen])


def _json_describes_all_that_was_learnt(combiner: Combiner, num_columns: int) -> None:
    fitted, members = _fit(combiner, num_columns)
    read = combiner.from_json(json.loads(json.dumps(fitted.to_json())))
    assert dict(read.weights) == dict(fitted.weights)
    assert np.array_equal(_predicted(read, members), _predicted(fitted, members))


def _the_same_rows_teach_the_same(combiner: Combiner, num_columns: int) -> None:
    fitted, again = _fit(combiner, num_columns)[0], _fit(combiner, num_columns)[0]
    assert fitted.to_json() == again.to_json()
