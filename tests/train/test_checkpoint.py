"""A fit that goes on from any of its checkpoints ends with the same bits."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from kaggle_ray.config import Hyperparameters, parse_hyperparameters
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.head import Head
from kaggle_ray.errors import CorruptBlobError, UnusableCheckpointError
from kaggle_ray.images.augment import id_hashes
from kaggle_ray.images.cache import Images
from kaggle_ray.metrics import LOG_LOSS
from kaggle_ray.train.checkpoint import Cadence, load_optimizer, optimizer_state, pack, restoring, unpack
from kaggle_ray.train.inputs import FitData, Inputs
from kaggle_ray.train.loop import Fit
from kaggle_ray.train.preemption import Notice, Terminated
from kaggle_ray.train.state import FitValues
from kaggle_ray.typed_json import from_json
from kaggle_ray.types import JsonValue

SETTINGS = Settings(device="cpu", threads_per_trial=1, dtype="float32")
BASE: dict[str, JsonValue] = {
    "model": "small_resnet", "model_args": {"width": 4, "blocks": [1], "dropout": 0.3}, "image_size": 12,
    "batch_size": 8, "epochs": 3, "lr": 1e-2, "augment": "heavy",
}  # fmt: skip
RECIPES = [
    {"ema_decay": 0.9, "mixup": 0.4, "cutmix": 1.0},
    {"swa_epochs": 2, "epoch_rule": "inner"},
    {"optimizer": "sgd", "schedule": "cosine", "accumulate": 3, "clip_norm": 0.1},
    {"optimizer": "lamb", "schedule": "constant", "epoch_rule": "scored_fold", "patience": 1},
    {"epoch_rule": "inner", "evaluate_every": 2, "ema_decay": 0.8},
    {"epoch_rule": "inner", "average_best": 2, "schedule": "constant"},
    {"constraint": "max_norm", "constraint_args": {"max_norm": 0.5}, "l1": 0.01},
]


class Kept:
    """Checkpoints in memory, all of them."""

    def __init__(self, first: bytes | None = None) -> None:
        self.first = first
        self.saved: list[bytes] = []

    def load(self) -> bytes | None:
        return self.first

    def save(self, data: bytes) -> None:
        self.saved.append(data)


def made_up_data() -> FitData:
    rng = np.random.default_rng(0)
    rows = np.arange(52)
    return FitData(
        inputs=Inputs(images=Images.of_array(rng.integers(0, 256, (len(rows), 12, 12, 3), dtype=np.uint8))),
        target=rng.integers(0, 2, len(rows)),
        heads=(Head(task="binary", classes=("no", "yes"), metric=LOG_LOSS),),
        metric=LOG_LOSS,
        train_rows=rows[:30],
        valid_rows=rows[30:45],
        inner_rows=None,
        fold=1,
        id_hashes=id_hashes(map(str, rows)),
        sample_ids=np.array([f"s{row}" for row in rows]),
    )


def data_for(hyperparameters: Hyperparameters) -> FitData:
    data = made_up_data()
    return (
        dataclasses.replace(data, inner_rows=np.arange(45, 52))
        if hyperparameters.training.epoch_rule == "inner"
        else data
    )


def outcome(fit: Fit) -> tuple[bytes, bytes, list[tuple[float | None, ...]]]:
    """Run to the end; return the weights, the predictions and the curves."""
    curves = [
        (m.epoch, m.train_loss, m.inner_score, *(-1 if math.isnan(x) else x for x in (m.valid_loss, m.score)), m.lr)
        for m in fit.epochs()
    ]
    data = data_for(fit_hyperparameters(fit))
    values = fit.predictor.values(data.inputs, data.valid_rows).tobytes()
    return b"".join(tensor.numpy().tobytes() for tensor in fit.weights.values()), values, curves


def fit_hyperparameters(fit: Fit) -> Hyperparameters:
    return fit._hyperparameters


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: "-".join(recipe))
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_fit_that_goes_on_from_any_step_ends_with_the_same_bits(recipe: dict[str, JsonValue], dtype: str) -> None:
    hyperparameters = parse_hyperparameters({**BASE, **recipe}, where="here")
    settings = dataclasses.replace(SETTINGS, dtype=dtype)  # type: ignore[arg-type]
    undisturbed = outcome(Fit(data_for(hyperparameters), hyperparameters, settings))
    kept = Kept()
    assert (
        outcome(Fit(data_for(hyperparameters), hyperparameters, settings, checkpoints=kept, cadence=Cadence(0.0)))
        == undisturbed
    )
    num_steps = len(undisturbed[2]) * 4
    assert len(kept.saved) == num_steps + len(undisturbed[2])
    for data in kept.saved[:: 1 if dtype == "float32" else 4]:
        resumed = Fit(data_for(hyperparameters), hyperparameters, settings, checkpoints=Kept(data))
        assert outcome(resumed) == undisturbed


def test_epochs_of_before_are_told_at_once_and_counted() -> None:
    hyperparameters = parse_hyperparameters(BASE, where="here")
    kept = Kept()
    history = list(Fit(made_up_data(), hyperparameters, SETTINGS, checkpoints=kept, cadence=Cadence(0.0)).epochs())
    resumed = Fit(
        made_up_data(), hyperparameters, SETTINGS, checkpoints=Kept(kept.saved[-2])
    )  # the last step of the last epoch
    assert resumed.num_resumed == 2
    assert [m.duration_s for m in resumed.epochs()][:2] == [m.duration_s for m in history][:2]


def test_rows_that_were_trained_on_before_are_still_known() -> None:
    hyperparameters = parse_hyperparameters({**BASE, "epochs": 1}, where="here")
    kept = Kept()
    list(Fit(made_up_data(), hyperparameters, SETTINGS, checkpoints=kept, cadence=Cadence(0.0)).epochs())
    resumed = Fit(made_up_data(), hyperparameters, SETTINGS, checkpoints=Kept(kept.saved[2]))
    list(resumed.epochs())
    assert np.flatnonzero(resumed.state.trained_rows).tolist() == made_up_data().train_rows.tolist()


class Terminating(Cadence):
    """Sends SIGTERM while the fit asks for the ``number``-th time whether a checkpoint is due; none ever is."""

    def __init__(self, number: int) -> None:
        super().__init__(math.inf)
        self._left = number

    def is_due(self) -> bool:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGTERM)
        return False


@pytest.mark.parametrize("where", ["in a step", "between epochs", "from another thread"])
def test_a_fit_that_is_asked_to_end_saves_this_very_step(where: str) -> None:
    hyperparameters = parse_hyperparameters(BASE, where="here")
    undisturbed = outcome(Fit(made_up_data(), hyperparameters, SETTINGS))
    kept, notice = Kept(), Notice()
    cadence = Terminating(6 if where == "in a step" else 0)  # an epoch has 4 steps, and an end
    fit = Fit(made_up_data(), hyperparameters, SETTINGS, checkpoints=kept, cadence=cadence, notice=notice)
    before = signal.getsignal(signal.SIGTERM)

    def ask_to_end_after_first_epoch() -> None:
        for _ in fit.epochs():
            if where == "between epochs":
                os.kill(os.getpid(), signal.SIGTERM)
            if where == "from another thread":
                thread = threading.Thread(target=notice.give)
                thread.start()
                thread.join()

    with pytest.raises(Terminated, match="the same command goes on"):
        ask_to_end_after_first_epoch()
    assert signal.getsignal(signal.SIGTERM) is before
    (data,) = kept.saved
    values = from_json(FitValues, unpack(data, where="here")[1], where="here")
    assert (len(values.history), values.step_of_epoch) == (1, 2 if where == "in a step" else 0)
    assert outcome(Fit(made_up_data(), hyperparameters, SETTINGS, checkpoints=Kept(data))) == undisturbed


@pytest.mark.parametrize(
    "data",
    [b"", b"no checkpoint", pack({}, {"a": 1})[:-1], pack({}, {}).replace(b'version\\": 2', b'version\\": 1')],
    ids=["empty", "text", "cut short", "another version"],
)
def test_what_is_no_checkpoint_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptBlobError, match=r"^here: "):
        unpack(data, where="here")


TENSORS = {
    "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "rows": torch.tensor([True, False]),
    "none": torch.zeros((0, 2)),
}


def test_tensors_of_every_kind_are_unpacked_as_they_were_packed() -> None:
    tensors, values = unpack(pack(TENSORS, {"lr": 0.5}), where="here")
    assert values == {"lr": 0.5}
    assert {name: (t.dtype, t.tolist()) for name, t in tensors.items()} == {
        name: (t.dtype, t.tolist()) for name, t in TENSORS.items()
    }


@given(st.data())
def test_a_flipped_bit_anywhere_is_noticed_or_changes_nothing(data: st.DataObject) -> None:
    packed = pack(TENSORS, {"lr": 0.5})
    place = data.draw(st.integers(0, len(packed) - 1))
    damaged = bytearray(packed)
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        tensors, values = unpack(bytes(damaged), where="here")
    except CorruptBlobError:
        return
    assert values == {"lr": 0.5}
    assert pack(tensors, values) == packed, "the bit was one of the padding"


@pytest.mark.parametrize("damage", ["zeros", "of another model"])
def test_a_fit_does_not_go_on_from_what_is_not_its_own_state(damage: str) -> None:
    hyperparameters = parse_hyperparameters(BASE, where="here")
    kept = Kept()
    list(Fit(made_up_data(), hyperparameters, SETTINGS, checkpoints=kept, cadence=Cadence(0.0)).epochs())
    data = kept.saved[-1]
    if damage == "zeros":
        data = data[: -len(data) // 2] + bytes(len(data) // 2)
    else:
        hyperparameters = hyperparameters.replace(model_args={"width": 8, "blocks": [1]})
    with pytest.raises(UnusableCheckpointError, match="its checkpoint cannot be used: "):
        Fit(made_up_data(), hyperparameters, SETTINGS, checkpoints=Kept(data))


def test_too_little_memory_says_nothing_against_a_checkpoint() -> None:
    with pytest.raises(torch.OutOfMemoryError), restoring():
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_fused_optimizer_of_channels_last_weights_goes_on_as_it_was() -> None:
    """Its moments come back from a file row by row, and have to lie in memory as the weights do."""

    def model_and_optimizer() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
        return model, torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
        images = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(seed))
        model(images.to(memory_format=torch.channels_last)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    straight, by = model_and_optimizer()
    step(straight, by, 1)
    tensors, values = optimizer_state(by)
    tensors, values = unpack(pack(tensors, {"values": values}), where="here")
    resumed, other = model_and_optimizer()
    resumed.load_state_dict(straight.state_dict())
    load_optimizer(other, tensors, values["values"])
    for model, optimizer in ((straight, by), (resumed, other)):
        step(model, optimizer, 2)
    assert torch.equal(straight.weight, resumed.weight)  # type: ignore[arg-type]


def test_checkpoints_come_after_their_time_and_take_half_a_percent_at_most() -> None:
    clock = [0.0]
    cadence = Cadence(10.0, now=lambda: clock[0])

    def write() -> None:
        clock[0] += 0.5

    due = []
    for _ in range(400):
        clock[0] += 1.0
        if cadence.is_due():
            due.append(clock[0])
            cadence.save(write)
    assert due[0] == 10.0
    assert due[1] - due[0] == pytest.approx(100.0, abs=1.0)
