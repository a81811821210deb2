"""What a user calls the cluster to run on. Whether it is there, ``ray_address`` finds out."""

from __future__ import annotations

import os

ADDRESS_VARIABLE = "RAY_ADDRESS"
LOCAL, AUTO = "local", "auto"
"""Addresses of no cluster, and of the one that was started on this machine."""


def named_address(given: str | None) -> str:
    """Return what a user calls the cluster to run on: what is given, else RAY_ADDRESS, which Ray sets for its jobs."""
    return given or os.environ.get(ADDRESS_VARIABLE) or LOCAL
