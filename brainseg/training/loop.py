"""The training loop: one configuration in, one checkpoint folder out.

Every random choice is derived from (seed, epoch, step), never carried along, so that a run resumed
at an epoch's end continues as if it had not been interrupted.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from safetensors.torch import load_file
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from brainseg.checkpoints.folder import (
    Checkpoint,
    architecture_json,
    read_checkpoint,
    save_checkpoint,
    settings_of,
)
from brainseg.config import Config
from brainseg.data.cache import PreparedSet
from brainseg.data.splits import block_of, slice_roles
from brainseg.machine import keep_freed_memory, processor_has_bf16
from brainseg.models.building import CHANNELS_LAST, create_model
from brainseg.models.losses import create_loss
from brainseg.training.batches import Batches
from brainseg.training.resume import BEST, STATE, Progress, load_state, save_state, save_weights

THRESHOLDS = np.arange(1, 100) / 100
_BINS = 100


class TrainingError(RuntimeError):
    """Training can't start or go on; the message says why and what to do."""


class Interrupted(Exception):
    """Ctrl-C. ``checkpoint`` is what the finished epochs gave, None if there were none."""

    def __init__(self, checkpoint: Checkpoint | None) -> None:
        super().__init__("interrupted")
        self.checkpoint = checkpoint


def make_accelerator(precision: str = "auto", cpu: bool = False) -> Accelerator:
    """🤗 Accelerate for device, precision and processes. ``auto`` is bf16 where hardware has it."""
    if precision == "auto":
        precision = "bf16" if _has_bf16(cpu) else "no"
    keep_freed_memory()
    return Accelerator(mixed_precision=precision, cpu=cpu)


def _has_bf16(cpu: bool) -> bool:
    if torch.cuda.is_available() and not cpu:
        return torch.cuda.is_bf16_supported()
    return processor_has_bf16()


def train(
    config: Config,
    data: PreparedSet,
    folder: Path,
    *,
    accelerator: Accelerator,
    settings: dict | None = None,
    maps: np.ndarray | None = None,
    initial: dict[str, torch.Tensor] | None = None,
    resume: bool = False,
    track: Callable[[dict], None] = lambda row: None,
) -> Checkpoint:
    """Train one model and write its checkpoint into ``folder``.

    settings: further entries for the checkpoint's configuration.
    maps: base probabilities for a stack, float16 (n, bases, size, size), rows as in ``data``.
    initial: weights to start from; tensors that do not fit by name and shape are left out.
    resume: continue from the state in ``folder``, if there is one.

    Raises TrainingError for NaN losses or no usable slices, Interrupted on Ctrl-C.
    """
    roles = slice_roles(data.patients, config.fold, config.leak)
    rows = _training_rows(config, data, roles["train"])
    learner = make_learner(config, accelerator, initial)
    batches = Batches(config, data, maps, accelerator.device)

    progress = Progress()
    if resume and (folder / STATE).is_file() and (folder / BEST).is_file():
        progress = load_state(folder / STATE, config, learner)
        accelerator.print(f"resuming after epoch {progress.epochs_done}")

    steps = len(_epoch_rows(config, rows, data.tumour, 0)) // config.batch_size
    if steps == 0:
        raise TrainingError(
            f"One epoch has fewer slices than one batch of {config.batch_size}: lower --batch-size "
            "or give more patients."
        )
    share = slice(accelerator.process_index, None, accelerator.num_processes)
    try:
        for epoch in range(progress.epochs_done, config.epochs):
            if progress.validated_epoch - progress.best_epoch >= config.patience:
                accelerator.print(f"no better validation Dice for {config.patience} epochs: stop")
                break
            torch.manual_seed(_seed(config.seed, epoch, accelerator.process_index))  # dropout
            order, size = _epoch_rows(config, rows, data.tumour, epoch), _epoch_size(config, epoch)
            learner.model.train()
            losses: list[torch.Tensor] = []
            bar = tqdm(
                range(steps),
                desc=f"epoch {epoch + 1}/{config.epochs}",
                disable=None if accelerator.is_main_process else True,
                leave=False,
            )
            for step in bar:
                batch = order[step * config.batch_size : (step + 1) * config.batch_size][share]
                lr = _set_lr(learner.optimizer, config, epoch * steps + step, config.epochs * steps)
                x, y = batches.augmented(batch, _seed(config.seed, epoch, step, share.start), size)
                losses.append(learner.step(x, y))
                # Looking at a loss makes a GPU wait, so it is done every tenth step.
                if step % 10 == 0 or step == steps - 1:
                    _check_finite(losses, epoch, lr, folder)
                    dice = progress.history[-1]["val_dice"] if progress.history else math.nan
                    bar.set_postfix(loss=f"{losses[-1].item():.3f}", val_dice=f"{dice:.3f}")

            _agree_on_buffers(learner.average.module)
            threshold = val_dice = math.nan
            if epoch % config.val_every == 0 or epoch == config.epochs - 1:
                counts = validate(
                    learner.average.module, config, batches, roles["val"], accelerator
                )
                threshold, val_dice = _best_threshold(counts)
            row = {
                "epoch": epoch + 1,
                "lr": lr,
                "train_loss": float(accelerator.reduce(torch.stack(losses).mean(), "mean")),
                "val_dice": val_dice,
                "threshold": threshold,
            }
            progress.history.append(row)
            progress.epochs_done = epoch + 1
            if row["val_dice"] > progress.best_dice:
                progress.best_dice, progress.best_epoch = row["val_dice"], epoch + 1
                if accelerator.is_main_process:
                    save_weights(folder / BEST, learner.average.module)
            if accelerator.is_main_process:
                save_state(folder / STATE, config, progress, learner)
            accelerator.print("  ".join(f"{k} {v:.4g}" for k, v in row.items()), flush=True)
            track(row)
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        raise TrainingError(
            f"The memory does not suffice for batches of {config.batch_size} slices at "
            f"{config.size} px: lower --batch-size or --size. Finished epochs are kept in {folder}."
        ) from error
    except KeyboardInterrupt:
        done = None
        if progress.epochs_done and (folder / BEST).is_file():
            done = _finish(
                config, data, folder, learner, batches, roles, progress,
                {**(settings or {}), "interrupted": True},
            )  # fmt: skip
        raise Interrupted(done) from None
    accelerator.wait_for_everyone()
    return _finish(config, data, folder, learner, batches, roles, progress, settings or {})


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

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """One optimisation step on inputs and masks; the loss, detached, on the device."""
        with self.accelerator.autocast():
            logits = self.model(x)
        loss = self.loss(logits.float(), y)
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.average.update_parameters(self.bare)
        return loss.detach()


def make_learner(
    config: Config, accelerator: Accelerator, initial: dict[str, torch.Tensor] | None = None
) -> Learner:
    """A network with seeded weights, or with those of ``initial`` that fit, ready to be trained."""
    torch.manual_seed(config.seed)
    model = create_model(
        config.model,
        encoder=config.encoder,
        encoder_weights=config.encoder_weights,
        stack_inputs=config.stack_inputs,
        bases=config.bases,
    )
    if initial is not None:
        _load_matching(model, initial)
    if CHANNELS_LAST[config.model]:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
    )
    model, optimizer = accelerator.prepare(model, optimizer)
    bare = accelerator.unwrap_model(model)
    average = AveragedModel(bare, multi_avg_fn=_running_average(config.ema), use_buffers=True)
    return Learner(model, bare, average, optimizer, create_loss(config.loss), accelerator)


@torch.inference_mode()
def validate(
    model, config: Config, batches: Batches, rows: np.ndarray, accelerator: Accelerator
) -> np.ndarray:
    """Histograms of the predicted probabilities on slices ``rows``, int64 (patients, 2, 100): of
    the pixels without and with tumour. Sums over all processes, so that their number does not
    matter."""
    model.eval()
    patients, owners = np.unique(batches.data.patients[rows], return_inverse=True)
    share = slice(accelerator.process_index, None, accelerator.num_processes)
    rows, owners = rows[share], torch.from_numpy(owners[share])
    counts = torch.zeros(len(patients) * 2 * _BINS, dtype=torch.int64, device=accelerator.device)
    for start in range(0, len(rows), config.batch_size):
        batch = rows[start : start + config.batch_size]
        x, y = batches.plain(batch)
        with accelerator.autocast():
            logits = model(x)
        bins = (torch.sigmoid(logits.float()) * _BINS).long().clamp_max(_BINS - 1)
        owner = owners[start : start + config.batch_size].to(bins.device)
        flat = (owner[:, None, None, None] * 2 + y.long()) * _BINS + bins
        counts += torch.bincount(flat.flatten(), minlength=len(counts))
    return accelerator.reduce(counts).cpu().numpy().reshape(len(patients), 2, _BINS)


def _mean_dice(counts: np.ndarray) -> np.ndarray:
    """Mean Dice over patients with tumour, at each of THRESHOLDS, from ``validate``'s counts."""
    above = counts[:, :, ::-1].cumsum(-1)[:, :, ::-1][:, :, 1:]  # pixels at or above a threshold
    fp, tp = above[:, 0], above[:, 1]
    truth = counts[:, 1].sum(-1)
    sick = truth > 0
    if not sick.any():
        return np.zeros(len(THRESHOLDS))
    return (2 * tp[sick] / (tp[sick] + fp[sick] + truth[sick, None])).mean(0)


def _best_threshold(counts: np.ndarray) -> tuple[float, float]:
    """The threshold from 0.1 to 0.9 with the best mean Dice over patients, and that Dice."""
    dice = np.where((THRESHOLDS >= 0.1) & (THRESHOLDS <= 0.9), _mean_dice(counts), -1)
    chosen = int(np.argmax(dice))
    return float(THRESHOLDS[chosen]), float(dice[chosen])


def _training_rows(config: Config, data: PreparedSet, rows: np.ndarray) -> np.ndarray:
    if config.held_out_block:
        block, blocks = config.held_out_block
        dealt = block_of(data.patients[rows], blocks)
        rows = np.array([row for row in rows if dealt[data.patients[row]] != block], int)
    if not data.tumour[rows].any():
        raise TrainingError(
            f"No training patient of fold {config.fold} has tumour: give more patients."
        )
    return rows


def _epoch_rows(config: Config, rows: np.ndarray, tumour: np.ndarray, epoch: int) -> np.ndarray:
    """Every tumour slice once, and a share of empty ones drawn anew each epoch, shuffled."""
    rng = np.random.default_rng([config.seed, epoch])
    sick, empty = rows[tumour[rows]], rows[~tumour[rows]]
    chosen = rng.permutation(empty)[: round(config.empty_share * len(sick))]
    return rng.permutation(np.concatenate([sick, chosen]))


def _epoch_size(config: Config, epoch: int) -> int:
    """Side in pixels of what an epoch trains on. Small pictures first: they cost less than half
    and teach the coarse things as well (progressive resizing, Howard 2018; Tan and Le 2021)."""
    return config.small_size if epoch < config.small_epochs else config.size


def _set_lr(optimizer, config: Config, step: int, steps: int) -> float:
    """One cycle: up linearly over the first tenth, then down to almost nothing as a cosine."""
    warmup = max(1, steps // 10)
    if step < warmup:
        factor = (step + 1) / warmup
    else:
        factor = 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
    lr = config.lr * max(factor, 1e-3)
    for group in optimizer.param_groups:
        group["lr"] = lr
    return lr


def _check_finite(losses: list[torch.Tensor], epoch: int, lr: float, folder: Path) -> None:
    bad = (~torch.isfinite(torch.stack(losses))).nonzero()
    if len(bad):
        step = int(bad[0])
        raise TrainingError(
            f"The loss became {losses[step].item()} in epoch {epoch + 1}, step {step + 1}, at "
            f"learning rate {lr:.2g}: lower --lr. The last good epoch is kept in {folder}; "
            "--resume continues from there."
        )


def _agree_on_buffers(model) -> None:
    """Normalisation statistics come from each process's own batches: all take the first one's."""
    for buffer in model.buffers():
        broadcast(buffer, from_process=0)


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


def _is_out_of_memory(error: RuntimeError) -> bool:
    # On the CPU torch raises a plain RuntimeError of its allocator.
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence([int(p) for p in parts]).generate_state(1, np.uint64)[0] >> 1)


def _load_matching(model, initial: dict[str, torch.Tensor]) -> None:
    own = model.state_dict()
    fitting = {k: v for k, v in initial.items() if k in own and own[k].shape == v.shape}
    if not fitting:
        raise TrainingError("--init-from has no tensor that fits this model: choose a kindred one.")
    model.load_state_dict(fitting, strict=False)


def _finish(
    config: Config,
    data: PreparedSet,
    folder: Path,
    learner: Learner,
    batches: Batches,
    roles: dict[str, np.ndarray],
    progress: Progress,
    settings: dict,
) -> Checkpoint:
    """Choose the threshold on the validation fold with the weights as stored, and save."""
    accelerator, model = learner.accelerator, learner.bare
    accelerator.wait_for_everyone()
    best = load_file(folder / BEST)
    # What is shipped is fp16, so that is what the threshold is chosen for.
    best = {k: v.half().float() if v.is_floating_point() else v for k, v in best.items()}
    model.load_state_dict(best)
    threshold, val_dice = _best_threshold(
        validate(model, config, batches, roles["val"], accelerator)
    )
    settings = {
        **settings_of(config),
        "threshold": threshold,
        "data_key": data.folder.name,
        "patients": {role: len(set(data.patients[rows])) for role, rows in roles.items()},
        "epochs_done": progress.epochs_done,
        "best_epoch": progress.best_epoch,
        **settings,
    }
    metrics = {
        "validation": {
            "fold": (config.fold + 1) % 5,
            "patients": settings["patients"]["val"],
            "mean_dice": val_dice,
            "threshold": threshold,
        }
    }
    texts = {"metrics.json": json.dumps(metrics, indent=2), "history.csv": _csv(progress.history)}
    if accelerator.is_main_process:
        save_checkpoint(folder, best, architecture_json(model), settings, texts)
    accelerator.wait_for_everyone()
    return read_checkpoint(folder)


def _csv(rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else ["epoch"])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
