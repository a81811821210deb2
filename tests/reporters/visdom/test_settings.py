from __future__ import annotations

import pytest

from kaggle_ray.errors import ConfigError
from kaggle_ray.reporters.visdom.settings import VisdomSettings


def test_a_server_is_on_this_machine_by_default() -> None:
    assert VisdomSettings.of({}).url == "http://127.0.0.1:8097"


def test_settings_name_another_server() -> None:
    settings = VisdomSettings.of({"server": "https://plots.example", "port": "443", "base_url": "/visdom"})
    assert settings.url == "https://plots.example:443/visdom"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sevrer": "http://here"}, "Did you mean 'server'"),
        ({"server": "file:///etc"}, "http://HOST"),
        ({"server": "http://here:8097"}, "http://HOST"),
        ({"server": "http://me:secret@here"}, "not in the address"),
        ({"password": "secret"}, "both or neither"),
        ({"port": "70000"}, "from 1 to 65535"),
        ({"base_url": "visdom/"}, "such as /visdom"),
    ],
)
def test_what_no_server_is_reached_by_is_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        VisdomSettings.of(settings)
    assert "secret" not in str(refused.value)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(VisdomSettings.of({"username": "me", "password": "secret"}))


def test_an_environment_has_no_letter_that_means_something_to_a_path_or_a_page() -> None:
    settings = VisdomSettings.of({"env": "team "})
    name = settings.environment_of("dogs_vs_cats", "../<script>.json")
    assert name == "team-dogs-vs-cats_-script-json"
