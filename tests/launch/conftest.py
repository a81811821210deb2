from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def shared_ray() -> Iterator[None]:
    """A Ray of two slots that all of a module's runs join: to start one takes longer than such a run."""
    from kaggle_ray.config.settings import Settings
    from kaggle_ray.launch.ray_session import ray_session

    with ray_session(Settings(device="cpu", threads_per_trial=1, dtype="float32"), num_slots=2):
        yield
