"""Networks that tell several classes apart: n + 1 logits, the first of them for no tumour.

Networks of one logit, tumour or not, go the same ways.
"""

from __future__ import annotations

import torch


def to_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """From logits (n, 1, height, width) the probability of tumour, of that shape; from logits
    (n, classes + 1, height, width) that of each class, (n, classes, height, width), whose sum is
    that of tumour."""
    if logits.shape[1] == 1:
        return torch.sigmoid(logits)
    return torch.softmax(logits, 1)[:, 1:]


class Probabilities(torch.nn.Module):
    """``to_probabilities`` as the last layer of a graph."""

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        return to_probabilities(logits)


def tumour_logits(logits: torch.Tensor) -> torch.Tensor:
    """The logit of tumour, (n, 1, height, width), from either."""
    if logits.shape[1] == 1:
        return logits
    return torch.logsumexp(logits[:, 1:], 1, keepdim=True) - logits[:, :1]


def with_background(logits: torch.Tensor) -> torch.Tensor:
    """Logits whose softmax sums to 1, (n, classes + 1, height, width): those of several classes as
    they are, and beside the one of tumour a 0 for no tumour."""
    if logits.shape[1] > 1:
        return logits
    return torch.cat([torch.zeros_like(logits), logits], 1)
