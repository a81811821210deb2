from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from kaggle_ray.registry import registrations_undone

settings.register_profile("unhurried", deadline=None)  # whether an example takes 200 ms is up to the machine
settings.load_profile("unhurried")


@pytest.fixture(autouse=True, scope="session")
def _own_image_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests, and the fixtures of whole modules, out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAGGLE_RAY_CACHE", str(tmp_path_factory.getbasetemp() / "image_cache"))
        yield


@pytest.fixture(autouse=True)
def _own_registrations() -> Iterator[None]:
    """Keep what one test registers from the next."""
    with registrations_undone():
        yield


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the toy competition; nobody writes to them."""
    from kaggle_ray.testing.toy import write_files

    folder = tmp_path_factory.mktemp("toy") / "data"
    write_files(folder)
    return folder


@pytest.fixture(scope="module")
def shared_ray() -> Iterator[None]:
    """A Ray of two slots that all of a module's runs join: to start one takes longer than such a run."""
    from kaggle_ray.config.settings import Settings
    from kaggle_ray.launch.placement import RayPlacement
    from kaggle_ray.launch.ray_session import ray_session

    with ray_session(Settings(device="cpu", threads_per_trial=1, dtype="float32"), RayPlacement(num_slots=2)):
        yield
