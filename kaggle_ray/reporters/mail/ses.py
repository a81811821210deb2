"""Mail by Amazon's Simple Email Service, version 2 of its interface."""

from __future__ import annotations

from email.message import EmailMessage

from kaggle_ray.errors import ConfigError


class SesTransport:
    """A client of boto3's own configuration: environment, ~/.aws, or the machine's role."""

    def __init__(self, *, region: str = "") -> None:
        """Make the client, which asks nobody yet.

        Args:
            region: of the service; boto3's own where it is empty.

        Raises:
            ConfigError: boto3 is not installed, or knows no region.
        """
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import NoRegionError
        except ImportError as error:
            raise ConfigError("mail by SES needs the extra: pip install 'kaggle-ray[mail]'.") from error
        config = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2})
        try:
            self._client = boto3.Session().client("sesv2", region_name=region or None, config=config)
        except NoRegionError:
            raise ConfigError("mail: SES needs a region. Set KAGGLE_RAY_MAIL_REGION or AWS_REGION.") from None

    def deliver(self, mail: EmailMessage) -> None:
        """Send a mail. Raises botocore's errors where the service did not take it, as for an unverified sender."""
        self._client.send_email(Content={"Raw": {"Data": mail.as_bytes()}})
