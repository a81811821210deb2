from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kaggle_ray import errors
from kaggle_ray.errors import ConfigError, DataError, NonFiniteLossError, OutOfMemoryError, StoreError, TrialError
from kaggle_ray.launch.local import LocalLauncher
from kaggle_ray.store.opening import open_run
from kaggle_ray.testing.launcher_contract import GOOD, launch, toy_plan, trials_of
from kaggle_ray.train.failures import POLICIES, named_error, policy_of, reason_of
from kaggle_ray.train.loop import Fit

OUT_OF_MEMORY = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.79 GiB of which 1.2 GiB is free. "
    "Process 1 has 6 GiB memory in use."
)


@pytest.mark.parametrize(
    ("error", "repeats_itself"),
    [
        (NonFiniteLossError("the loss is nan"), True),
        (errors.ProcessDiedError("thrice"), False),
        (OutOfMemoryError("too large"), False),
        (ConfigError("no GPU"), False),
        (DataError("a.png does not decode"), False),
        (StoreError("disk full"), False),
        (errors.CorruptBlobError("not the one that was committed"), False),
        (TrialError("a process did not start"), False),
        (OSError(28, "No space left on device"), False),
        (MemoryError(), False),
        (ValueError("shapes differ"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_what_is_sure_to_repeat_itself_is_written_down(error: Exception, repeats_itself: bool) -> None:
    assert policy_of(error).repeats_itself is repeats_itself


def test_the_nearest_type_of_an_errors_family_decides() -> None:
    class Exploded(NonFiniteLossError):
        pass

    assert policy_of(Exploded("x")) is POLICIES[NonFiniteLossError]
    assert policy_of(errors.LeaseError("x")) is POLICIES[StoreError]


def test_a_gpu_out_of_memory_is_named_with_what_to_try() -> None:
    caught = torch.OutOfMemoryError(OUT_OF_MEMORY)
    error = named_error(caught)
    assert isinstance(error, OutOfMemoryError)
    assert error.__cause__ is caught
    for word in ("CUDA out of memory", "accumulate", "batch_size", "image_size"):
        assert word in str(error)
    assert "\n" not in reason_of(error)


def test_other_errors_are_left_as_they_are() -> None:
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    assert named_error(error) is error


def test_the_reason_is_one_line_and_names_the_type_of_a_foreign_error() -> None:
    assert reason_of(ValueError("a\n  b")) == "ValueError: a b"
    assert reason_of(NonFiniteLossError("the loss is nan.")) == "the loss is nan."


def test_a_trial_that_is_out_of_memory_says_what_to_try_and_is_open_for_the_next_run(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(self: Fit, *arguments: object) -> None:
        raise torch.OutOfMemoryError(OUT_OF_MEMORY)

    plan = toy_plan(data=toy_data, runs=tmp_path, experiments=GOOD[:1])
    with monkeypatch.context() as patch:
        patch.setattr(Fit, "_compute", too_large)
        results = launch(LocalLauncher(), plan).results
    assert [result.status for result in results] == ["failed"] * 2
    assert all("Try a larger accumulate" in (result.error or "") for result in results)
    assert all(open_run(plan.location).result(trial) is None for trial in trials_of(plan))
    assert [result.status for result in launch(LocalLauncher(), plan).results] == ["committed"] * 2
