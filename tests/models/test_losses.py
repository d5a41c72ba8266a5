"""Losses against values worked by hand."""

import numpy as np
import pytest
import torch

from brainseg.models.losses import LOSSES, create_loss

P = np.array([0.9, 0.2, 0.6, 0.1])
Y = np.array([1.0, 0.0, 0.0, 1.0])
BCE = -np.mean(Y * np.log(P) + (1 - Y) * np.log(1 - P))
DICE = 1 - 2 * (P * Y).sum() / (P.sum() + Y.sum())


@pytest.mark.parametrize(
    ("name", "expected"), [("bce", BCE), ("dice", DICE), ("hybrid", 0.7 * BCE + 0.3 * DICE)]
)
def test_value(name, expected):
    logits = torch.tensor(np.log(P / (1 - P))).float().view(2, 1, 2, 1)
    mask = torch.tensor(Y).float().view(2, 1, 2, 1)
    assert create_loss(name)(logits, mask).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", list(LOSSES))
def test_a_step_down_the_gradient_lowers_it(name):
    logits = torch.zeros(1, 1, 8, 8, requires_grad=True)
    mask = (torch.arange(64).view(1, 1, 8, 8) < 20).float()
    loss = create_loss(name)(logits, mask)
    loss.backward()
    better = create_loss(name)(logits.detach() - 10 * logits.grad, mask)
    assert better < loss


def test_unknown_loss_lists_the_known():
    with pytest.raises(ValueError, match="'focal': expected one of bce, dice, hybrid"):
        create_loss("focal")
