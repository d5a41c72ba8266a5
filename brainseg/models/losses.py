"""The losses there are: one row each, from ``segmentation_models_pytorch.losses``.

Importing this imports no torch, so that ``--help`` and cards can read the names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class LossSpec:
    """title: for readers. build: gives the function, see ``create_loss``."""

    title: str
    build: Callable[[], Loss]


def _bce() -> Loss:
    from segmentation_models_pytorch.losses import SoftBCEWithLogitsLoss

    return SoftBCEWithLogitsLoss()


def _dice() -> Loss:
    from segmentation_models_pytorch.losses import DiceLoss

    return DiceLoss(mode="binary", from_logits=True)


def _hybrid() -> Loss:
    bce, dice = _bce(), _dice()
    return lambda logits, mask: 0.7 * bce(logits, mask) + 0.3 * dice(logits, mask)


LOSSES: dict[str, LossSpec] = {
    "bce": LossSpec("BCE", _bce),
    "dice": LossSpec("Dice", _dice),
    "hybrid": LossSpec("hybrid (70 % BCE + 30 % Dice)", _hybrid),
}


def create_loss(name: str) -> Loss:
    """A function of logits and mask, both float (batch, 1, height, width), giving a scalar.

    ``bce``: mean binary cross-entropy. ``dice``: 1 - soft Dice over the whole batch.
    ``hybrid``: 70 % of the first and 30 % of the second. Raises ValueError for another name.
    """
    if name not in LOSSES:
        raise ValueError(f"Unknown loss {name!r}: expected one of {', '.join(LOSSES)}.")
    return LOSSES[name].build()
