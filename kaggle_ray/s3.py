"""The one client of S3: how it is made, and what a refusal means. boto3 and botocore are imported here alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from kaggle_ray.errors import ConfigError, KaggleRayError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_s3 import S3Client

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
"""Variables that say who is asking: secret."""
_NUM_TRIES = 8
"""Times that a request is made which S3 answers with 503 or not at all: with botocore's pauses, about a minute."""
_RENEW = "Renew them and run the same command again; nothing committed is lost"
_WRONG_REGION = "the bucket lies in another region{region}. Name its region in AWS_REGION"
_INVALID = "the credentials are not known to S3. Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_PROFILE"
_OVERLOADED = f"S3 refused {_NUM_TRIES} times, as it was asked too much. Run the same command again; nothing is lost"

_REASONS = {
    "NoSuchBucket": "there is no such bucket. Create it, or name another one",
    "AccessDenied": "access is denied. The credentials have to allow to list, read, write and remove objects",
    "ExpiredToken": f"the credentials have expired. {_RENEW}",
    "ExpiredTokenException": f"the credentials have expired. {_RENEW}",
    "RequestExpired": f"the credentials have expired. {_RENEW}",
    "InvalidToken": _INVALID,
    "InvalidAccessKeyId": _INVALID,
    "SignatureDoesNotMatch": _INVALID,
    "PermanentRedirect": _WRONG_REGION,
    "AuthorizationHeaderMalformed": _WRONG_REGION,
    "IllegalLocationConstraintException": _WRONG_REGION,
    "SlowDown": _OVERLOADED,
    "ServiceUnavailable": _OVERLOADED,
}
"""S3's code of an error -> what it means, and the next step."""


def credentials() -> dict[str, str]:
    """Return the credentials that the environment names: see ``adopt_credentials``."""
    return {name: os.environ[name] for name in CREDENTIALS if os.environ.get(name)}


def adopt_credentials(given: Mapping[str, str]) -> None:
    """Set credentials that another process was given, where this one's environment has none: they belong together."""
    if not credentials():
        os.environ.update(given)


def s3_client() -> S3Client:
    """Return this process's client, of boto3's own configuration: environment, ~/.aws, or the machine's role.

    Raises:
        ConfigError: boto3 is not installed.
    """
    return _client_of(os.getpid())  # connections do not outlive a fork


@cache
def _client_of(process_id: int) -> S3Client:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise ConfigError("S3 needs the extra: pip install 'kaggle-ray[s3]'.") from error
    config = Config(
        retries={"mode": "standard", "total_max_attempts": _NUM_TRIES},
        max_pool_connections=32,
        connect_timeout=10,
        read_timeout=60,
    )
    return boto3.Session().client("s3", config=config)  # the default session keeps the first credentials it has seen


def forget_client() -> None:
    """Make the next client anew, of the environment as it is then."""
    _client_of.cache_clear()


class Refused(Exception):
    """S3 has not done what it was asked to; the text is the reason, and the next step."""

    def __init__(self, reason: str, *, code: str = "") -> None:
        """Give the reason, and S3's code of it, such as ``NoSuchKey``: empty where there was no answer."""
        super().__init__(reason)
        self.code = code


@contextmanager
def asking() -> Iterator[None]:
    """Turn what botocore raises within the context into Refused."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield
    except NoCredentialsError as error:
        raise Refused(
            "no credentials for S3 were found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of "
            "~/.aws in AWS_PROFILE, or run on a machine that has a role"
        ) from error
    except ClientError as error:
        raise Refused(_reason_of(error), code=_code_of(error)) from error
    except BotoCoreError as error:
        reason = str(error).rstrip(".")
        raise Refused(f"{reason}. Check the connection, AWS_REGION and AWS_ENDPOINT_URL") from error


@contextmanager
def refusals_as(kind: type[KaggleRayError], where: str) -> Iterator[None]:
    """Turn what S3 refuses within the context into an error that names where, the reason and the next step."""
    try:
        with asking():
            yield
    except Refused as refused:
        raise kind(f"{where}: {refused}.") from refused


def _code_of(error: ClientError) -> str:
    """Return S3's code of an error; of an answer without a body its status, such as ``404``."""
    return error.response.get("Error", {}).get("Code", "")


def _reason_of(error: ClientError) -> str:
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region")
    reason = _REASONS.get(_code_of(error), str(error).rstrip("."))
    return reason.format(region=f", {region}" if region else "") if reason == _WRONG_REGION else reason
