"""One setting of the C library that makes training and inference on a CPU steady."""

from __future__ import annotations

import ctypes
import sys


def keep_freed_memory() -> None:
    """Tell glibc to keep what is freed instead of giving it back to the system.

    PyTorch frees and asks for activations of many megabytes at every step. By default each goes
    back to the kernel and comes back page by page: 290,000 page faults and a quarter of the time
    of a U-Net step, and far more on a busy virtual machine. Does nothing elsewhere than on glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    m_trim_threshold, m_top_pad, m_mmap_max, m_arena_max = -1, -2, -4, -8
    mallopt(m_arena_max, 1)  # the backward pass runs in a thread of its own
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, 2**31 - 1)
    mallopt(m_top_pad, 64 * 2**20)
