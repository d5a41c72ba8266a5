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
    Weights = torch.Tensor | None


@dataclass(frozen=True)
class LossSpec:
    """title: for readers. build: gives the function, see ``create_loss``."""

    title: str
    build: Callable[[Weights], Loss]


def _bce(weights: Weights) -> Loss:
    if weights is not None:
        from torch.nn import CrossEntropyLoss

        return CrossEntropyLoss(weight=weights)
    from segmentation_models_pytorch.losses import SoftBCEWithLogitsLoss

    return SoftBCEWithLogitsLoss()


def _dice(weights: Weights) -> Loss:
    from segmentation_models_pytorch.losses import DiceLoss

    if weights is not None:  # of tumours: no tumour is nearly everywhere, and easy
        return DiceLoss("multiclass", classes=list(range(1, len(weights))), from_logits=True)
    return DiceLoss(mode="binary", from_logits=True)


def _hybrid(weights: Weights) -> Loss:
    bce, dice = _bce(weights), _dice(weights)
    return lambda logits, mask: 0.7 * bce(logits, mask) + 0.3 * dice(logits, mask)


LOSSES: dict[str, LossSpec] = {
    "bce": LossSpec("BCE", _bce),
    "dice": LossSpec("Dice", _dice),
    "hybrid": LossSpec("hybrid (70 % BCE + 30 % Dice)", _hybrid),
}


def create_loss(name: str, weights: Weights = None) -> Loss:
    """A function of logits and mask, both float (batch, 1, height, width), giving a scalar.

    ``bce``: mean binary cross-entropy. ``dice``: 1 - soft Dice over the whole batch.
    ``hybrid``: 70 % of the first and 30 % of the second. Raises ValueError for another name.

    weights: float (classes + 1,), what a pixel of no tumour and of each class counts. Then it is a
        function of logits (batch, classes + 1, height, width) and labels, int64 (batch, height,
        width): ``bce`` is cross-entropy so weighted, ``dice`` the mean over the classes, no
        tumour left out, of which those that the batch has not count 0.
    """
    if name not in LOSSES:
        raise ValueError(f"Unknown loss {name!r}: expected one of {', '.join(LOSSES)}.")
    return LOSSES[name].build(weights)
