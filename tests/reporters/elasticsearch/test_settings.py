"""Settings of Elasticsearch are checked before a run, and show no secret."""

from __future__ import annotations

import pytest

from kaggle_ray.errors import ConfigError
from kaggle_ray.reporters.elasticsearch.server import Server
from kaggle_ray.reporters.elasticsearch.settings import ElasticsearchSettings


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ulr": "http://127.0.0.1:9200"}, "there is no setting 'ulr'. Did you mean 'url'?"),
        ({"url": "http://ann:sesame@127.0.0.1:9200"}, "url: expected no user in it"),
        ({"url": "localhost"}, "URL must include a 'scheme', 'host', and 'port'"),
        ({"prefix": "Kaggle"}, "prefix: expected lower-case letters"),
        ({"prefix": "_all"}, "prefix: expected lower-case letters"),
        ({"timeout_s": "soon"}, "timeout_s: expected seconds, got 'soon'"),
        ({"timeout_s": "0"}, "timeout_s: expected seconds above 0, got 0.0"),
        ({"username": "ann"}, "expected both username and password"),
        (
            {"username": "ann", "password": "sesame", "api_key": "c2VzYW1l"},
            "Can only set one of 'api_key', 'basic_auth'",
        ),
    ],
)
def test_what_elasticsearch_would_not_take_is_refused_by_name_without_secrets(given: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        Server(ElasticsearchSettings.of(given))
    assert said in str(error.value)
    assert "sesame" not in str(error.value)


def test_secrets_are_not_shown() -> None:
    shown = repr(ElasticsearchSettings.of({"username": "ann", "password": "sesame"}))
    assert "ann" in shown
    assert "sesame" not in shown
