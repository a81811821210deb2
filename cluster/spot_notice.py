"""Watches for the notice that this spot machine goes, and tells Ray: its trials save a checkpoint and go on elsewhere.

Nothing else tells Ray: two minutes after the notice the machine would be gone from under it. `cluster/aws.yaml` starts
this on every node as a service; it needs Python and the ``ray`` command beside it, nothing more.
"""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

METADATA = os.environ.get("KAGGLE_RAY_METADATA", "http://169.254.169.254")
"""Instance metadata service of the machine; tests have one of their own."""
POLL_S = float(os.environ.get("KAGGLE_RAY_POLL_S", "5"))
"""As often as AWS advises."""
TIMEOUT_S = 2.0
MARGIN_S = 10
"""Seconds before the end by which the node is to be empty."""


def seconds_left() -> int | None:
    """Return in how many seconds this machine goes, None while nobody says so."""
    token = _ask("/latest/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"})
    try:
        notice = _ask("/latest/meta-data/spot/instance-action", headers={"X-aws-ec2-metadata-token": token})
    except urllib.error.HTTPError as error:
        if error.code == 404:  # no notice so far
            return None
        raise
    end = datetime.strptime(json.loads(notice)["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return max(0, int((end - datetime.now(UTC)).total_seconds()))


def drain(seconds: int) -> None:
    """Tell Ray that its node on this machine goes: no further trial is placed on it, and running ones are moved."""
    ray = Path(sys.executable).with_name("ray")
    subprocess.run(
        [ray, "drain-node", "--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot notice",
         "--deadline-remaining-seconds", str(max(0, seconds - MARGIN_S))],
        env={"RAY_ADDRESS": "auto", **os.environ},  # without a node's id it means the one that it finds itself on
        check=True,
    )  # fmt: skip


def main() -> None:
    """Poll until there is a notice, drain, and end; an error ends it too, and the service starts it again."""
    while (seconds := seconds_left()) is None:
        time.sleep(POLL_S)
    print(f"this machine goes in {seconds} s: draining its Ray node", flush=True)
    drain(seconds)


def _ask(path: str, *, headers: dict[str, str], method: str = "GET") -> str:
    request = urllib.request.Request(METADATA + path, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        text: str = answer.read().decode()
    return text


if __name__ == "__main__":
    main()
