"""A U-Net++ that corrects the mean of other models' predictions."""

from __future__ import annotations

import segmentation_models_pytorch as smp
import torch
from torch import nn

_SURE = 1e-3  # probabilities are taken to be at least this far from 0 and 1
_SCALE = 0.25  # logits, up to 6.9, brought to the range of z-scores


class CorrectingUnetPlusPlus(smp.UnetPlusPlus):
    """smp's U-Net++, whose output is added to the mean of the bases' logits.

    It reads what the plain one reads, probabilities (n, bases, height, width) and perhaps three
    image channels behind them, and returns logits (n, 1, height, width). Its last layer begins at
    zero, so that untrained it is the mean of its bases, and has nothing to learn but where that is
    wrong. ``bases`` is their number.
    """

    bases: int

    def begin_at_the_mean(self, bases: int) -> None:
        self.bases = bases
        head = next(layer for layer in self.segmentation_head if isinstance(layer, nn.Conv2d))
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        p = x[:, : self.bases].clamp(_SURE, 1 - _SURE)
        logits = torch.log(p) - torch.log(1 - p)  # OpenVINO does not convert torch.logit
        planes = torch.cat([logits * _SCALE, x[:, self.bases :]], 1)
        return logits.mean(1, keepdim=True) + super().forward(planes)
