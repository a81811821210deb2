"""Whether all machines of a cluster reach the place of a run."""

from __future__ import annotations

from collections.abc import Collection

from kaggle_ray.errors import ConfigError
from kaggle_ray.store.opening import is_uri


def check_reach(location: str, hosts: Collection[str]) -> None:
    """Refuse a run in a plain folder on several machines: each would write to a folder of its own.

    A folder on a disk that all of them share is named as such, ``file:///folder``.

    Args:
        location: of the run.
        hosts: names of the machines whose processes run trials; several nodes may be of one machine.

    Raises:
        ConfigError: there are several, and the place is not known to be the same on all of them.
    """
    names = sorted(set(hosts))
    if len(names) > 1 and not is_uri(location):
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise ConfigError(
            f"{location}: is a folder of one machine, and the cluster has {len(names)} ({shown}). Name a place that "
            f"all of them reach: --runs s3://bucket/prefix, or --runs file:///folder of a disk that they share."
        )
