"""Keeps a Ray of one machine to the processes that its trials need: each of the others takes seconds of a core."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray._private import parameter, services, utils


@contextmanager
def few_processes() -> Iterator[None]:
    """Let ``ray.init`` start a Ray without dashboard, within the context, and nothing that is of use beside one alone.

    What stays out, for none of which ``ray.init`` has an argument:

    - the dashboard's server, which Ray starts without a dashboard, too, to tell its makers how it is used;
    - the autoscaler's monitor, of which this machine has nothing to launch;
    - the log monitor, which sends what workers print to a driver that wants none of it;
    - the greater part of each node's agent, as where the dashboard's packages are not installed.
    """
    before = parameter.RayParams, services.start_api_server, utils.get_dashboard_dependency_error
    parameter.RayParams = functools.partial(parameter.RayParams, no_monitor=True, include_log_monitor=False)
    services.start_api_server = _start_no_server
    utils.get_dashboard_dependency_error = _no_dashboard
    try:
        yield
    finally:
        parameter.RayParams, services.start_api_server, utils.get_dashboard_dependency_error = before


def _start_no_server(*arguments: Any, **options: Any) -> tuple[None, None]:
    """Return no address of a server and no process of one, as Ray's own does where none came up."""
    return None, None


def _no_dashboard() -> ImportError:
    """Return what keeps Ray from loading the dashboard's parts."""
    return ImportError("this Ray has no dashboard")
