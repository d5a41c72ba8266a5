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
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from safetensors.torch import load_file
from tqdm import tqdm

from brainseg.checkpoints.folder import (
    HISTORY,
    METRICS,
    Checkpoint,
    architecture_json,
    read_checkpoint,
    save_checkpoint,
)
from brainseg.checkpoints.patients import role_hashes
from brainseg.checkpoints.settings import Settings, settings_of
from brainseg.config import Config
from brainseg.data.cache import PreparedSet
from brainseg.scans.notes import note
from brainseg.training.batches import Batches
from brainseg.training.learner import Learner, TrainingError, make_learner
from brainseg.training.resume import BEST, STATE, Progress, load_state, save_state, save_weights
from brainseg.training.roles import roles_of
from brainseg.training.schedule import (
    class_weights,
    epoch_rows,
    epoch_size,
    seed_of,
    semi_weight,
    set_lr,
    unlabelled_rows,
)
from brainseg.training.teacher import Lesson, lesson
from brainseg.training.validation import (
    COUNTS,
    Choice,
    best_threshold,
    datasets_of_patients,
    save_counts,
    validate,
)


class Interrupted(Exception):
    """Ctrl-C. ``checkpoint`` is what the finished epochs gave, None if there were none."""

    def __init__(self, checkpoint: Checkpoint | None) -> None:
        super().__init__("interrupted")
        self.checkpoint = checkpoint


@dataclass(eq=False)
class _Run:
    """What the parts of the loop share. roles: see ``roles_of``; share: this process's part of a
    batch."""

    config: Config
    folder: Path
    data: PreparedSet
    learner: Learner
    batches: Batches
    roles: dict[str, np.ndarray]
    progress: Progress

    @property
    def accelerator(self) -> Accelerator:
        return self.learner.accelerator

    @property
    def share(self) -> slice:
        return slice(self.accelerator.process_index, None, self.accelerator.num_processes)

    @cached_property
    def steps(self) -> int:
        """Of one epoch, as many in each."""
        rows = epoch_rows(self.config, self.data, self.roles["train"], 0)
        return len(rows) // self.config.batch_size


def train(
    config: Config,
    data: PreparedSet,
    folder: Path,
    *,
    accelerator: Accelerator,
    settings: Settings | None = None,
    maps: np.ndarray | None = None,
    initial: dict[str, torch.Tensor] | None = None,
    resume: bool = False,
    track: Callable[[dict], None] = lambda row: None,
) -> Checkpoint:
    """Train one model and write its checkpoint into ``folder``.

    settings: what the checkpoint says of itself besides what training finds out.
    maps: base probabilities for a stack, float16 (n, bases, size, size), rows as in ``data``.
    initial: weights to start from; tensors that do not fit by name and shape are left out.
    resume: continue from the state in ``folder``, if there is one.
    track: called with a row of figures after each epoch.

    Raises TrainingError for NaN losses, no usable slices or nobody to validate on; Interrupted on
    Ctrl-C.
    """
    settings = settings or settings_of(config)
    roles = roles_of(config, data)
    if accelerator.is_main_process and not len(roles["test"]):
        note(
            f"No patient is in fold {config.test_fold}, which this run leaves out to be tested on: "
            "it will have no test scores. Give more patients, or leave out another fold."
        )
    weights = None
    if config.classes:
        weights = torch.from_numpy(class_weights(data, roles["train"], len(config.classes)))
    learner = make_learner(config, accelerator, initial, weights)
    batches = Batches(config, data, maps, accelerator.device)
    progress = Progress(learner.bare.encoder_source)
    run = _Run(config, folder, data, learner, batches, roles, progress)
    if resume and (folder / STATE).is_file() and (folder / BEST).is_file():
        run.progress = load_state(folder / STATE, config, learner)
        if accelerator.is_main_process and run.progress.data_key not in (None, data.key):
            note(
                f"The data set has changed since {folder} was begun: it goes on with the "
                f"{len(set(data.owners))} patients that are there now. --overwrite starts it anew."
            )
        accelerator.print(f"resuming after epoch {run.progress.epochs_done}")
    elif learner.bare.encoder_source:
        accelerator.print(f"encoder weights: {learner.bare.encoder_source}")
    run.progress.data_key = data.key
    _check_batches(run)
    try:
        for epoch in range(run.progress.epochs_done, config.epochs):
            if config.watch and run.progress.unimproved >= config.patience:
                accelerator.print(
                    f"no better validation Dice in {config.patience} validated epochs: stop"
                )
                break
            trained = _train_epoch(run, epoch)
            row = {"epoch": epoch + 1, **trained, **_validate_epoch(run, epoch)}
            _keep(run, row)
            accelerator.print("  ".join(f"{k} {v:.4g}" for k, v in row.items()), flush=True)
            track(row)
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        raise TrainingError(
            f"The memory does not suffice for batches of {config.batch_size} slices at "
            f"{config.size} px: free some and go on by --resume, or lower --batch-size or --size "
            f"and begin anew by --overwrite. Finished epochs are kept in {folder}."
        ) from error
    except KeyboardInterrupt:
        done = None
        if run.progress.epochs_done and (folder / BEST).is_file():
            done = _finish(run, replace(settings, interrupted=True))
        raise Interrupted(done) from None
    accelerator.wait_for_everyone()
    return _finish(run, settings)


def _check_batches(run: _Run) -> None:
    config, processes = run.config, run.accelerator.num_processes
    if run.steps == 0:
        raise TrainingError(
            f"One epoch has fewer slices than one batch of {config.batch_size}: lower --batch-size "
            "or give more patients."
        )
    if processes > 1 and config.batch_size < 2 * processes:
        raise TrainingError(
            f"A batch of {config.batch_size} slices leaves {processes} processes less than two "
            f"each: raise --batch-size to {2 * processes} or more, or take fewer processes."
        )
    if config.semi and processes > config.unlabelled_slices:
        raise TrainingError(
            f"A batch has {config.unlabelled_slices} slices without a mask, and there are "
            f"{processes} processes: raise unlabelled_ratio or --batch-size, or take fewer."
        )


def _train_epoch(run: _Run, epoch: int) -> dict[str, float]:
    """All steps of one epoch; returns the last learning rate, the mean loss and, of a
    semi-supervised run, the share of pixels without a mask on which agreement was asked for."""
    config, accelerator, share, steps = run.config, run.accelerator, run.share, run.steps
    torch.manual_seed(seed_of(config.seed, epoch, accelerator.process_index))  # dropout
    order = epoch_rows(config, run.data, run.roles["train"], epoch)
    others = _others(run, epoch) if config.semi else None
    size, total = epoch_size(config, epoch), config.epochs * steps
    run.learner.model.train()
    losses: list[torch.Tensor] = []
    rates: list[float] = []
    asked: list[torch.Tensor] = []
    bar = tqdm(
        range(steps),
        desc=f"epoch {epoch + 1}/{config.epochs}",
        disable=None if accelerator.is_main_process else True,
        leave=False,
    )
    for step in bar:
        batch = order[step * config.batch_size : (step + 1) * config.batch_size][share]
        taught = _lesson(run, others, epoch, step) if config.semi else None
        rates.append(set_lr(run.learner.optimizer, config, epoch * steps + step, total))
        x, y = run.batches.augmented(batch, seed_of(config.seed, epoch, step, share.start), size)
        losses.append(run.learner.step(x, y, taught))
        asked += [taught.asked.mean()] if taught else []
        # Looking at a loss makes a GPU wait, so it is done every tenth step.
        if step % 10 == 0 or step == steps - 1:
            _check_finite(losses, epoch, rates, run.folder)
            history = run.progress.history
            dice = history[-1]["val_dice"] if history else math.nan
            bar.set_postfix(loss=f"{losses[-1].item():.3f}", val_dice=f"{dice:.3f}")
    means = {"train_loss": losses, **({"asked": asked} if asked else {})}
    means = {k: accelerator.reduce(torch.stack(v).mean(), "mean") for k, v in means.items()}
    return {"lr": rates[-1], **{key: float(mean) for key, mean in means.items()}}


def _others(run: _Run, epoch: int) -> np.ndarray:
    """The slices without a mask of one epoch of a semi-supervised run, (steps, of a batch)."""
    shape = (run.steps, run.config.unlabelled_slices)
    rows = run.roles["unlabelled"]
    return unlabelled_rows(run.config, rows, epoch, shape[0] * shape[1]).reshape(shape)


def _lesson(run: _Run, others: np.ndarray, epoch: int, step: int) -> Lesson:
    """What this process's part of one step's slices without a mask has to teach."""
    config, steps = run.config, len(others)
    # Not the seed of the slices with a mask, so that the two are not moved alike.
    seed = seed_of(config.seed, epoch, step, run.share.start, 1)
    views = run.batches.views(others[step][run.share], seed, epoch_size(config, epoch))
    weight = semi_weight(config, epoch * steps + step, config.epochs * steps)
    teacher = run.learner.average.module
    return lesson(config, teacher, views, weight, seed, run.accelerator)


def _validate_epoch(run: _Run, epoch: int) -> dict[str, float]:
    """Dice on the watched patients at the best threshold, that threshold and, of several data
    sets, the Dice of each; NaN in epochs that aren't validated, and where nobody is watched."""
    average = run.learner.average.module
    _agree_on_buffers(average)
    choice = Choice(math.nan, math.nan, {}, 0, math.nan)
    is_due = epoch % run.config.val_every == 0 or epoch == run.config.epochs - 1
    if run.config.watch and is_due:
        choice = _choose(run, average)
    several = run.config.datasets if len(run.config.datasets) > 1 else ()
    dices = {f"val_dice_{name}": choice.by_dataset.get(name, math.nan) for name in several}
    return {"val_dice": choice.dice, "threshold": choice.threshold, **dices}


def _choose(run: _Run, model: torch.nn.Module) -> Choice:
    """The best threshold of a model on the watched patients, and its temperature."""
    rows = run.roles["val"]
    counts = validate(model, run.config, run.batches, rows, run.accelerator)
    return best_threshold(counts, datasets_of_patients(run.data, rows))


def _keep(run: _Run, row: dict) -> None:
    """Write what is needed to go on from a finished epoch, and count it once its weights are
    there: Ctrl-C may come in between."""
    progress, is_main = run.progress, run.accelerator.is_main_process
    is_best = row["val_dice"] > progress.best_dice or not run.config.watch
    if is_best and is_main:
        save_weights(run.folder / BEST, run.learner.average.module)
    progress.history.append(row)
    progress.epochs_done = row["epoch"]
    if is_best:
        progress.best_dice, progress.best_epoch = row["val_dice"], row["epoch"]
    if is_main:
        save_state(run.folder / STATE, run.config, progress, run.learner)


def _finish(run: _Run, settings: Settings) -> Checkpoint:
    """With the weights as stored, choose the threshold on the watched fold, or count on those left
    out for other runs to choose theirs by; and save."""
    config, accelerator, model = run.config, run.accelerator, run.learner.bare
    accelerator.wait_for_everyone()
    best = load_file(run.folder / BEST)
    # What is shipped is fp16, so that is what the threshold is chosen for.
    best = {k: v.half().float() if v.is_floating_point() else v for k, v in best.items()}
    model.load_state_dict(best)
    patients = {role: len(set(run.data.owners[rows])) for role, rows in run.roles.items()}
    hashes = role_hashes(run.data.owners, run.roles, watch=config.watch)
    settings = replace(
        settings,
        encoder_source=run.progress.encoder_source,
        data_key=run.data.key,
        patients=patients,
        patient_hashes={**settings.patient_hashes, **hashes},
        epochs_done=run.progress.epochs_done,
        best_epoch=run.progress.best_epoch,
        precision=accelerator.mixed_precision,
    )
    metrics = {}
    if config.watch:
        choice = _choose(run, model)
        settings = replace(settings, threshold=choice.threshold)
        fold = {} if config.leak == "slices" else {"fold": config.watched_fold}
        metrics["validation"] = {**fold, **choice.to_json()}
    else:
        rows = np.concatenate([run.roles["val"], run.roles["test"]])
        counts = validate(model, config, run.batches, rows, accelerator)
        if accelerator.is_main_process:
            save_counts(run.folder / COUNTS, counts, run.data, rows)
    texts = {METRICS: json.dumps(metrics, indent=2), HISTORY: _csv(run.progress.history)}
    if accelerator.is_main_process:
        save_checkpoint(run.folder, best, architecture_json(model), settings, texts)
    accelerator.wait_for_everyone()
    return read_checkpoint(run.folder)


def _check_finite(losses: list[torch.Tensor], epoch: int, rates: list[float], folder: Path) -> None:
    bad = (~torch.isfinite(torch.stack(losses))).nonzero()
    if len(bad):
        step = int(bad[0])
        raise TrainingError(
            f"The loss became {losses[step].item()} in epoch {epoch + 1}, step {step + 1}, at "
            f"learning rate {rates[step]:.2g}: lower --lr, and begin anew by --overwrite or in "
            f"another --runs. Finished epochs are kept in {folder}."
        )


def _agree_on_buffers(model) -> None:
    """Normalisation statistics come from each process's own batches: all take the first one's."""
    for buffer in model.buffers():
        broadcast(buffer, from_process=0)


def _is_out_of_memory(error: RuntimeError) -> bool:
    # On the CPU torch raises a plain RuntimeError of its allocator.
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def _csv(rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
