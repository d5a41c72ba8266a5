"""What a student is asked on slices without a mask, by the running average of its own weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from accelerate import Accelerator

from brainseg.config import Config
from brainseg.models.classes import with_background
from brainseg.models.consistency import SEMI, SemiSpec
from brainseg.training.augmentation import cutmix
from brainseg.training.batches import Views


@dataclass(frozen=True, eq=False)
class Lesson:
    """The slices without a mask of one step, as the student sees them, and what it is asked.

    x: inputs, float32 (n, c, size, size). answers: the teacher's logits, float32
    (n, classes + 1, size, size), no tumour first. asked: where agreement is asked for, float32 0 or
    1 (n, size, size). weight: of the disagreement in the loss.
    """

    x: torch.Tensor
    answers: torch.Tensor
    asked: torch.Tensor
    spec: SemiSpec
    weight: float

    def loss(self, logits: torch.Tensor) -> torch.Tensor:
        """Weight times the mean disagreement over all pixels, 0 where agreement isn't asked for; so
        a teacher who is sure of little teaches little. logits: the student's on ``x``."""
        apart = self.spec.disagreement(with_background(logits.float()), self.answers)
        return self.weight * (apart * self.asked).mean()


@torch.no_grad()
def lesson(
    config: Config, teacher: torch.nn.Module, views: Views, weight: float, seed: int,
    accelerator: Accelerator,
) -> Lesson:  # fmt: skip
    """Ask the teacher, who sees the plain view, and is sure of a pixel from a probability of
    ``config.sure`` on, of tumour or of none. Nothing is asked where the student sees nothing."""
    teacher.eval()
    with accelerator.autocast():
        logits = teacher(views.plain)
    answers = with_background(logits.float())
    is_sure = answers.softmax(1).amax(1) >= config.sure
    x, asked = views.strong, (is_sure & views.seen).float()
    spec = SEMI[config.semi]
    if spec.cutmix:
        # Not the numbers that the strong view was drawn by, or looks and mixing would go together.
        generator = torch.Generator().manual_seed(seed + 1)
        x, answers, asked = cutmix([x, answers, asked[:, None]], generator)
        asked = asked[:, 0]
    x = x.contiguous(memory_format=torch.channels_last)
    return Lesson(x, answers, asked, spec, weight)
