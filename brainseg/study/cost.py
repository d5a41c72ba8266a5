"""What a checkpoint costs: parameters and operations, a stack's bases included."""

from __future__ import annotations

from brainseg.inference.predictor import Predictor
from brainseg.models.operations import operations


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

    channels, module = predictor.checkpoint.settings.channels, predictor.module
    device = next(module.parameters()).device  # it may have moved to where it runs
    planes = torch.zeros(1, channels, predictor.size, predictor.size, device=device)
    return {
        "parameters": sum(p.numel() for p in module.parameters()),
        "gflop": operations(module, planes) / 1e9,
    }
