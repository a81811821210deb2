from __future__ import annotations

from pathlib import Path

import pytest

from kaggle_ray.cache.folder import adopt_variables, cache_variables, default_cache_dir


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAGGLE_RAY_CACHE", "KAGGLE_RAY_CACHE_GIB"):
        monkeypatch.setenv(name, "")  # so that what a test sets is taken back
        monkeypatch.delenv(name)


def test_the_folder_is_the_one_that_the_environment_names_else_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_cache_dir().name == "kaggle_ray"
    monkeypatch.setenv("KAGGLE_RAY_CACHE", "/somewhere")
    assert default_cache_dir() == Path("/somewhere")


def test_what_the_user_did_not_set_is_each_machines_own_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_variables() == {}
    monkeypatch.setenv("KAGGLE_RAY_CACHE", "/mine")
    adopt_variables({})
    assert default_cache_dir() == Path("/mine")


def test_what_the_user_set_holds_on_machines_that_set_nothing_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_RAY_CACHE", "relative")
    monkeypatch.setenv("KAGGLE_RAY_CACHE_GIB", "7")
    of_driver = cache_variables()
    assert of_driver == {"KAGGLE_RAY_CACHE": str(Path.cwd() / "relative"), "KAGGLE_RAY_CACHE_GIB": "7"}
    monkeypatch.delenv("KAGGLE_RAY_CACHE")
    monkeypatch.setenv("KAGGLE_RAY_CACHE_GIB", "9")
    adopt_variables(of_driver)
    assert cache_variables() == {**of_driver, "KAGGLE_RAY_CACHE_GIB": "9"}
