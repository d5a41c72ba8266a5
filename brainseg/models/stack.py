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

    With ``classes`` it reads those of each class, (n, bases * classes, height, width), and returns
    logits (n, classes + 1, height, width), the first for no tumour.
    """

    bases: int
    classes: int

    def begin_at_the_mean(self, bases: int, classes: int = 0) -> None:
        self.bases, self.classes = bases, classes
        head = next(layer for layer in self.segmentation_head if isinstance(layer, nn.Conv2d))
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.classes:
            return self._forward_classes(x)
        p = x[:, : self.bases].clamp(_SURE, 1 - _SURE)
        logits = torch.log(p) - torch.log(1 - p)  # OpenVINO does not convert torch.logit
        planes = torch.cat([logits * _SCALE, x[:, self.bases :]], 1)
        return logits.mean(1, keepdim=True) + super().forward(planes)

    def _forward_classes(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.bases * self.classes
        p = x[:, :maps].unflatten(1, (self.bases, self.classes))
        none = (1 - p.sum(2, keepdim=True)).clamp(_SURE, 1)
        logits = torch.log(p.clamp(_SURE, 1)) - torch.log(none)
        planes = torch.cat([logits.flatten(1, 2) * _SCALE, x[:, maps:]], 1)
        mean = logits.mean(1)
        return torch.cat([torch.zeros_like(mean[:, :1]), mean], 1) + super().forward(planes)
