"""The contract of a sink: call ``check_sink`` in a test of each implementation."""

from __future__ import annotations

from collections.abc import Mapping

from kaggle_ray.errors import ConfigError
from kaggle_ray.reporters.sink import MakeSink, Sink
from kaggle_ray.testing.reporter_contract import sample_pictures, scenarios
from kaggle_ray.untrusted import is_path_part

_NO_SETTING = "colour_of_the_bikeshed"


def check_sink(make_sink: MakeSink, settings: Mapping[str, str] | None = None) -> None:
    """Check that the sinks of a service take what a run can bring: at once, one by one, and once more.

    Args:
        make_sink: makes a sink; each check begins with a new one.
        settings: of a server that is up.

    Raises:
        AssertionError: a sink has no name of a file, or an unknown setting is not refused by name.
        Exception: whatever a sink raised where it must not.
    """
    given = dict(settings or {})
    _check_unknown_setting(make_sink, given)
    pictures = sample_pictures()
    for name, scenario in scenarios().items():
        try:
            sink = _made(make_sink, given)
            sink.recall(scenario)  # of what an earlier process delivered
            sink.send(scenario)
            sink.close()
            sink = _made(make_sink, given, pictures)
            sink.recall([])
            for envelope in scenario:
                sink.send([envelope])
            sink.send([])
            sink.close()
        except Exception as error:
            error.add_note(f"in the scenario {name!r} of the sink contract")
            raise
    _made(make_sink, given).close()  # of a run that ends before anything is sent


def _made(make_sink: MakeSink, settings: Mapping[str, str], pictures: Mapping[str, bytes] | None = None) -> Sink:
    sink = make_sink(settings, (pictures or {}).get)  # the artifacts of a run may be gone
    assert is_path_part(sink.name), f"{sink.name!r}: expected a name without slashes that does not begin with a dot"
    return sink


def _check_unknown_setting(make_sink: MakeSink, settings: Mapping[str, str]) -> None:
    refusal = "no ConfigError"
    try:
        make_sink({**settings, _NO_SETTING: "red"}, lambda key: None)
    except ConfigError as error:
        refusal = str(error)
    assert _NO_SETTING in refusal, f"expected a ConfigError that names the setting {_NO_SETTING}, got {refusal}"
