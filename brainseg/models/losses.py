"""Losses by name, from ``segmentation_models_pytorch.losses``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from segmentation_models_pytorch.losses import DiceLoss, SoftBCEWithLogitsLoss

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

_bce = SoftBCEWithLogitsLoss()
_dice = DiceLoss(mode="binary", from_logits=True)


def _hybrid(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return 0.7 * _bce(logits, mask) + 0.3 * _dice(logits, mask)


LOSSES: dict[str, Loss] = {"bce": _bce, "dice": _dice, "hybrid": _hybrid}


def create_loss(name: str) -> Loss:
    """A function of logits and mask, both float (batch, 1, height, width), giving a scalar.

    ``bce``: mean binary cross-entropy. ``dice``: 1 - soft Dice over the whole batch.
    ``hybrid``: 70 % of the first and 30 % of the second.
    """
    if name not in LOSSES:
        raise ValueError(f"Unknown loss {name!r}: expected one of {', '.join(LOSSES)}.")
    return LOSSES[name]
