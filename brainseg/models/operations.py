"""How much arithmetic a network does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def operations(module: torch.nn.Module, planes: torch.Tensor) -> int:
    """Additions and multiplications of one forward pass, each of them one operation.

    Convolutions and matrix products are counted; the rest is small beside them.

    planes: what the network reads, floats (n, channels, height, width) on its device; all n are
        counted. The values don't matter.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(planes)
    return counter.get_total_flops()
