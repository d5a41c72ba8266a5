"""What a checkpoint costs: parameters and operations, a stack's bases included."""

from __future__ import annotations

from brainseg.inference.predictor import Predictor


def cost(predictor: Predictor) -> dict:
    """``parameters`` and ``gflop`` of one slice's forward pass at the checkpoint's own size.

    A multiplication and an addition count as two operations; convolutions and matrix products
    are counted, the rest is small beside them.
    """
    own = _own_cost(predictor)
    parts = [own, *(cost(base) for base in predictor.bases)]
    return {key: sum(part[key] for part in parts) for key in own}


def _own_cost(predictor: Predictor) -> dict:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    channels = predictor.checkpoint.settings.channels
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        predictor.module(torch.zeros(1, channels, predictor.size, predictor.size))
    return {
        "parameters": sum(p.numel() for p in predictor.module.parameters()),
        "gflop": counter.get_total_flops() / 1e9,
    }
