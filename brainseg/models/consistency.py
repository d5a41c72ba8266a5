"""The ways to learn from slices without a mask: a row for each.

In all of them a teacher, the running average of the weights, sees a slice as it is, and the network
in training, the student, a strongly augmented view of the same slice, moved alike. The student is
asked to agree where the teacher is sure. The rows say how disagreement is measured, and whether
strong views are cut and mixed. Importing this imports no torch, so that ``--help`` can read the
names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    Disagreement = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class SemiSpec:
    """title: for readers. cutmix: whether strong views get a box out of one another.
    disagreement: of the student's and the teacher's logits, float (n, classes + 1, height, width)
    with that of no tumour first, at each pixel, float (n, height, width), 0 or more."""

    title: str
    disagreement: Disagreement
    cutmix: bool


def _squared(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    return (student.softmax(1) - teacher.softmax(1)).square().mean(1)


def _from_pseudo_labels(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    from torch.nn.functional import cross_entropy

    return cross_entropy(student, teacher.argmax(1), reduction="none")


SEMI: dict[str, SemiSpec] = {
    # Tarvainen and Valpola 2017: the squared difference of the probabilities.
    "mean-teacher": SemiSpec("mean teacher", _squared, cutmix=False),
    # Sohn et al. 2020, with the averaged teacher and CutMix that UniMatch V2 (Yang et al. 2025)
    # gives it for segmentation: cross-entropy against what the teacher takes each pixel for.
    "fixmatch": SemiSpec("FixMatch with an averaged teacher and CutMix", _from_pseudo_labels, True),
}
