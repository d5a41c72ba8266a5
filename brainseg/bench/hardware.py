"""The hardware that a bench runs on: its name, the peaks that a step is measured against, and a
clock."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch


def synchronise(device: torch.device) -> None:
    """Wait for a GPU; nothing to wait for on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work: Callable[[], object], device: torch.device, repeats: int = 5) -> float:
    """Median wall time of ``work`` in seconds, after one unmeasured call."""
    work()
    return statistics.median(_elapsed(work, device) for _ in range(repeats))


def _elapsed(work: Callable[[], object], device: torch.device) -> float:
    synchronise(device)
    began = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - began


def step_seconds(steps: Iterator, device: torch.device, count: int = 2) -> list[float]:
    """Wall time in seconds of each of the next ``count`` steps, after one unmeasured."""
    return [_elapsed(lambda: next(steps), device) for _ in range(count + 1)][1:]


def matrix_product_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a large square matrix product."""
    side = 8192 if device.type == "cuda" else 3072
    a = torch.randn(side, side, device=device).to(dtype)
    b = torch.randn(side, side, device=device).to(dtype)
    return 2 * side**3 / seconds(lambda: a @ b, device)


def copy_bytes(device: torch.device) -> float:
    """Bytes per second of a large copy in memory, read and written bytes both counted."""
    a = torch.ones(2**28, dtype=torch.uint8, device=device)
    b = torch.empty_like(a)
    return 2 * a.numel() / seconds(lambda: b.copy_(a), device)


def describe(device: torch.device) -> str:
    """The machine in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    features = torch.backends.cpu.get_cpu_capability()
    return f"{name}, {torch.get_num_threads()} threads, {features}, torch {torch.__version__}"
