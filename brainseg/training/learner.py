"""A network in training: on its device, with its optimiser, its loss and its running average."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from torch.optim.swa_utils import AveragedModel

from brainseg.config import Config, ConfigError
from brainseg.machine import keep_freed_memory, processor_has_bf16
from brainseg.models.building import create_model
from brainseg.models.losses import create_loss
from brainseg.training.convolutions import quicken
from brainseg.training.teacher import Lesson


class TrainingError(ValueError):
    """Training can't start or go on; the message says why and what to do."""


def make_accelerator(
    precision: str = "auto",
    cpu: bool = False,
    tracker: str | None = None,
    compiler: str | None = None,
) -> Accelerator:
    """🤗 Accelerate for device, precision, processes, compilation and tracking of figures.

    precision: ``bf16``, ``fp16``, ``no`` (float32), or ``auto``: bf16 where hardware has it.
    tracker: ``tensorboard`` or ``trackio``. Raises ConfigError if it isn't installed.
    compiler: a backend of ``torch.compile``, for the network in training; None for none, or for
        what ``accelerate launch --dynamo_backend`` says.
    """
    if precision == "auto":
        precision = "bf16" if _has_bf16(cpu) else "no"
    keep_freed_memory()
    accelerator = Accelerator(
        mixed_precision=precision,
        cpu=cpu,
        log_with=tracker,
        project_dir="." if tracker else None,
        dynamo_backend=compiler,
        # While the first process prepares data or scores, others wait for longer than the default.
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(days=1))],
    )
    if tracker and not accelerator.log_with:
        raise ConfigError(f"--track {tracker} needs it: pip install {tracker}")
    return accelerator


def _has_bf16(cpu: bool) -> bool:
    if torch.cuda.is_available() and not cpu:
        return torch.cuda.is_bf16_supported()
    return processor_has_bf16()


@dataclass(frozen=True, eq=False)
class Learner:
    """A network in training: the model as Accelerate wraps it and bare, its average, and what
    changes them."""

    model: torch.nn.Module
    bare: torch.nn.Module
    average: AveragedModel
    optimizer: torch.optim.Optimizer
    loss: Callable
    accelerator: Accelerator

    def step(self, x: torch.Tensor, y: torch.Tensor, lesson: Lesson | None = None) -> torch.Tensor:
        """One optimisation step on inputs and masks, and on a lesson without masks if there is one;
        the loss, detached, on the device."""
        with self.accelerator.autocast():
            loss = self.loss(self.model(x).float(), y)
        if lesson is not None:
            with self.accelerator.autocast(), _statistics_kept(self.bare):
                logits = self.model(lesson.x)
            loss = loss + lesson.loss(logits)
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.average.update_parameters(self.bare)
        return loss.detach()


def make_learner(
    config: Config,
    accelerator: Accelerator,
    initial: dict[str, torch.Tensor] | None = None,
    class_weights: torch.Tensor | None = None,
) -> Learner:
    """A network with seeded weights, or with those of ``initial`` that fit, ready to be trained;
    ``class_weights`` as ``create_loss`` takes them."""
    torch.manual_seed(config.seed)
    model = create_model(
        config.model,
        encoder=config.encoder,
        encoder_weights=config.encoder_weights,
        stack_inputs=config.stack_inputs,
        bases=config.bases,
        stack_output=config.stack_output,
        atrous_rates=config.atrous_rates,
        classes=len(config.classes),
    )
    if initial is not None:
        _load_matching(model, initial)
    # oneDNN's bf16 kernels run U-Nets up to several times faster on channels-last tensors.
    model = model.to(memory_format=torch.channels_last)
    if accelerator.device.type == "cpu":
        quicken(model, is_mixed=accelerator.mixed_precision != "no")
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
    )
    model, optimizer = accelerator.prepare(model, optimizer)
    bare = accelerator.unwrap_model(model, keep_torch_compile=False)
    average = AveragedModel(bare, multi_avg_fn=_running_average(config.ema), use_buffers=True)
    if class_weights is not None:
        class_weights = class_weights.to(accelerator.device)
    loss = create_loss(config.loss, class_weights)
    return Learner(model, bare, average, optimizer, loss, accelerator)


@contextmanager
def _statistics_kept(model: torch.nn.Module) -> Iterator[None]:
    """Normalise by the batch at hand, and leave the running statistics as they are: those of strong
    views would not be those of slices as they are."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def _running_average(decay: float):
    """Exponential moving average that follows closely at first, when the weights move fast."""

    def update(averages: list, values: list, updates: torch.Tensor) -> None:
        weight = 1 - min(decay, (1 + updates.item()) / (10 + updates.item()))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, values, weight)
        else:  # counters of the normalisation layers
            for average, value in zip(averages, values, strict=True):
                average.copy_(value)

    return update


def _load_matching(model, initial: dict[str, torch.Tensor]) -> None:
    own = model.state_dict()
    fitting = {k: v for k, v in initial.items() if k in own and own[k].shape == v.shape}
    if not fitting:
        raise TrainingError("--init-from has no tensor that fits this model: choose a kindred one.")
    model.load_state_dict(fitting, strict=False)
