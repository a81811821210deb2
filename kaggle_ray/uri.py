"""Places named by URIs, as people write them: a ``#`` or ``?`` is a letter of a name, as it is for S3 and a disk."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from kaggle_ray.errors import ConfigError

_HERE = ("", "localhost")


def path_of_uri(uri: str) -> Path:
    """Return the path of ``file:///path``: as it stands where there is such a file or folder, else with %20 and so on.

    >>> path_of_uri("file:///data#2/my%20dogs")
    PosixPath('/data#2/my dogs')

    Raises:
        ConfigError: it names another machine.
    """
    host, slash, path = uri.partition("://")[2].partition("/")
    if host not in _HERE or not slash:
        raise ConfigError(f"{uri}: expected file:///folder, a folder that this machine reaches, got host {host!r}.")
    as_it_stands = Path(f"/{path}")
    return as_it_stands if as_it_stands.exists() else Path(f"/{unquote(path)}")


def bucket_of_uri(uri: str) -> tuple[str, str]:
    """Return the bucket of ``s3://bucket/prefix``, and the prefix without slashes at its ends.

    >>> bucket_of_uri("s3://team/dogs #2/")
    ('team', 'dogs #2')

    Raises:
        ConfigError: no bucket is named.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise ConfigError(f"{uri}: expected s3://bucket/prefix.")
    return bucket, prefix.strip("/")
