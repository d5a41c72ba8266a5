"""What the machine offers: cores this process may really use, another device, bf16, int8, and how
memory is kept."""

from __future__ import annotations

import ctypes
import functools
import math
import os
import sys
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_CPUINFO = Path("/proc/cpuinfo")


@functools.cache
def usable_cores() -> int:
    """Cores to compute on: ``$OMP_NUM_THREADS``, or else what the scheduler and a container's
    quota grant. A container sees all cores of its host, and threads beyond its quota only wait."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    granted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, math.ceil(min(granted or 1, _quota(_CGROUP))))


def processor_has_bf16() -> bool:
    """Does it compute in bf16? Elsewhere that type is emulated, and slow."""
    import torch

    return (
        not bf16_is_barred()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    )


def processor_has_int8() -> bool:
    """Does it multiply int8 in one instruction (VNNI, AMX, or ARM's dot products)? Without, sums of
    products overflow 16 bits, and masks change. False where the system does not tell."""
    flags = set(_CPUINFO.read_text().split()) if _CPUINFO.is_file() else set()
    return not flags.isdisjoint({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})


def device() -> str:
    """Where networks predict: ``$BRAINSEG_DEVICE`` (``cuda``), or else the CPU."""
    return os.environ.get("BRAINSEG_DEVICE") or "cpu"


def bf16_is_barred() -> bool:
    """``$BRAINSEG_WITHOUT_BF16``, to measure here what a processor without it would do."""
    return bool(os.environ.get("BRAINSEG_WITHOUT_BF16"))


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


def _quota(root: Path) -> float:
    """Cores' worth of time that a control group grants; infinite if none is set."""
    try:
        if (root / "cpu.max").is_file():
            quota, period = (root / "cpu.max").read_text().split()
        else:
            quota, period = (
                (root / "cpu" / f"cpu.cfs_{key}_us").read_text() for key in ("quota", "period")
            )
        return float(quota) / float(period) if float(quota) > 0 else math.inf
    except (OSError, ValueError):  # not Linux, or "max"
        return math.inf
