"""What a user calls the cluster to run on. Whether it is there, ``ray_address`` finds out."""

from __future__ import annotations

import os
import socket

ADDRESS_VARIABLE = "RAY_ADDRESS"
LOCAL, AUTO = "local", "auto"
"""Addresses of no cluster, and of the one that was started on this machine."""


def named_address(given: str | None) -> str:
    """Return what a user calls the cluster to run on: what is given, else RAY_ADDRESS, which Ray sets for its jobs."""
    return given or os.environ.get(ADDRESS_VARIABLE) or LOCAL


def listens(address: str, *, timeout_s: float) -> bool:
    """Return whether anyone listens at a host and port within ``timeout_s``; nobody does at what is neither."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s).close()
    except (OSError, ValueError):
        return False
    return True
