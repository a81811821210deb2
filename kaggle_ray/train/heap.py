"""Keeps the memory that a step frees for the next one, instead of giving it back to the kernel.

glibc maps each large block anew and unmaps it when it is freed, so that in every step the kernel hands out zeroed pages
for the same activations: of a U-Net's step on a CPU that was three tenths of the time. No number changes.

Source: mallopt(3), https://man7.org/linux/man-pages/man3/mallopt.3.html.
"""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""What malloc.h calls M_TRIM_THRESHOLD and M_MMAP_THRESHOLD."""
_LARGEST_BLOCKS = (2**30, 2**25)
"""Sizes in bytes from which on blocks are mapped by themselves; glibc before 2.35 takes no more than the second."""
_NEVER = 2**31 - 1
_DEFAULT = 2**17


def keep_freed_memory() -> None:
    """Let this process keep freed memory. Nothing is changed where libc is another or MALLOC_* variables set it."""
    libc = _glibc()
    if libc is None:
        return
    libc.mallopt(_TRIM_THRESHOLD, _NEVER)
    for num_bytes in _LARGEST_BLOCKS:
        if libc.mallopt(_MMAP_THRESHOLD, num_bytes):
            return


def return_freed_memory() -> None:
    """Give back what ``keep_freed_memory`` has kept, and keep no more."""
    libc = _glibc()
    if libc is None:
        return
    libc.mallopt(_MMAP_THRESHOLD, _DEFAULT)
    libc.mallopt(_TRIM_THRESHOLD, _DEFAULT)
    libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None)
    is_set = any(name.startswith("MALLOC_") for name in os.environ)
    return libc if hasattr(libc, "gnu_get_libc_version") and not is_set else None
