from __future__ import annotations

import os
from pathlib import Path

import pytest

from kaggle_ray.errors import ConfigError
from kaggle_ray.registry import registrations_undone
from kaggle_ray.reporters import by_name
from kaggle_ray.reporters.by_name import BuiltIn, check_name, make_sink, register_reporter, settings_for
from kaggle_ray.reporters.settings import secrets_hidden, secrets_in
from kaggle_ray.testing.fake_service import FakeService


@pytest.fixture(autouse=True)
def _in_a_folder_with_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, where another package is installed that adds a reporter named ``fake``."""
    monkeypatch.chdir(tmp_path)
    installed = tmp_path / "site" / "others-1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[kaggle_ray.reporters]\nfake = others:make_fake\n")
    (tmp_path / "site" / "others.py").write_text(
        "from kaggle_ray.testing.fake_service import FakeService\n"
        "def make_fake(settings, read_artifact):\n    return FakeService().make_sink(settings, read_artifact)\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "site")


def made(name: str) -> FakeService:
    sink = make_sink(name, settings_for(name), lambda key: None)
    assert type(sink).__name__ == "FakeService"
    return sink  # type: ignore[return-value]


def test_a_reporter_of_another_package_is_found_by_its_entry_point_and_gets_its_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("kaggle_ray.toml").write_text('[reporters.fake]\nserver = "in the file"\n')
    assert made("fake").settings == {"server": "in the file"}
    monkeypatch.setenv("KAGGLE_RAY_FAKE_SERVER", "in the environment")
    monkeypatch.setenv("KAGGLE_RAY_FAKE_PASSWORD", "hunter2")
    assert made("fake").settings == {"server": "in the environment", "password": "hunter2"}


def test_a_reporter_that_is_registered_is_found_like_the_others() -> None:
    service = FakeService()
    with registrations_undone():
        register_reporter("mine")(service.make_sink)
        assert made("mine") is service.make_sink({}, lambda key: None)
        with pytest.raises(ConfigError, match="built in"):
            register_reporter("mail")(service.make_sink)


def test_an_unknown_reporter_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"--reporter: there is no 'fak'\. Did you mean 'fake'\?"):
        check_name("fak")


def test_a_reporter_whose_client_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(by_name.BUILT_IN, "plots", BuiltIn(target="plots:make_sink", client="no_such_client"))
    with pytest.raises(ConfigError, match=r"--reporter plots needs the extra: pip install 'kaggle-ray\[plots\]'"):
        make_sink("plots", {}, lambda key: None)


def test_what_comes_with_the_package_is_where_its_name_says() -> None:
    for built_in in by_name.BUILT_IN.values():
        module, _, function = built_in.target.partition(":")
        assert callable(getattr(__import__(module, fromlist=[function]), function))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[reporters.fake]\npassword = 'x'\n", "fake.password: is secret. .* as KAGGLE_RAY_FAKE_PASSWORD"),
        ("[reporters.fake]\nserver = 'http://me:x@host'\n", "fake.server: is secret"),
        ("[reporters.fak]\n", r"there is no reporter 'fak'\. Did you mean 'fake'\?"),
        ("[reporter.fake]\n", "unknown key 'reporter'. Known: reporters"),
        ("[reporters]\nfake = 3\n", "expected a table such as"),
        ("[reporters.fake]\nserver = [1]\n", r"fake\.server: expected a text, a number, true or false, got \[1\]"),
        ("reporters = [", "is no TOML"),
    ],
)
def test_a_file_of_settings_is_refused_by_what_is_wrong_with_it(text: str, told: str) -> None:
    Path("kaggle_ray.toml").write_text(text)
    with pytest.raises(ConfigError, match=rf"kaggle_ray\.toml: {told}"):
        settings_for("fake")


def test_an_unknown_setting_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_RAY_FAKE_SERVR", "host")
    with pytest.raises(ConfigError, match=r"there is no setting 'servr'\. Did you mean 'server'\?"):
        made("fake")


def test_secrets_are_those_of_secret_names_and_passwords_in_addresses() -> None:
    settings = {"server": "https://me:hunter2@host", "auth_token": "abc", "password": "", "port": "80"}
    assert secrets_in(settings) == ["abc", "hunter2"]


def test_secrets_are_hidden_from_what_is_started_and_back_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = {"KAGGLE_RAY_FAKE_PASSWORD": "hunter2", "KAGGLE_RAY_FAKE_SERVER": "https://me:hunter2@host"}
    for name, text in {**secret, "KAGGLE_RAY_RUNS": "runs"}.items():
        monkeypatch.setenv(name, text)
    with secrets_hidden():
        assert not secret.keys() & os.environ.keys()
        assert os.environ["KAGGLE_RAY_RUNS"] == "runs"
    assert secret.items() <= os.environ.items()
