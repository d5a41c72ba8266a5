"""What a stack is fitted on: base predictions for patients the predicting base never saw.

For patients whom the bases have not seen, the bases predict, which the stack reads in use. For its
training patients helpers do: each is trained like its base, but has left out the stack's test fold
and one other, and predicts that other one. So neither the stack nor what it reads has seen the fold
that it is tested on. Of a stack fitted on the maps of singles the helpers left out the fold alone
that they predict: the maps it was fitted on come from networks that know its test fold.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from filelock import FileLock
from tqdm import tqdm

from brainseg.checkpoints.folder import Checkpoint, load_module
from brainseg.config import Config
from brainseg.data.cache import PreparedSet
from brainseg.data.splits import FOLDS, fold_of
from brainseg.files import replacing
from brainseg.models.classes import to_probabilities
from brainseg.training.batches import Batches

_FORMAT = "1"  # change it with what the maps hold
_FORGOTTEN_S = 7 * 24 * 3600


def base_maps(
    config: Config,
    bases: list[Checkpoint],
    helpers: list[list[Checkpoint]],
    data: PreparedSet,
    accelerator: Accelerator,
) -> np.ndarray:
    """Base probabilities for all slices, float16 (n, maps, size, size): one map of each base or,
    where it tells classes apart, one for each class. They are kept beside the prepared slices, for
    every stack that is fitted on the same; those that none has read for a week are removed.

    helpers: of each base, as in ``planning.Planned``.
    """
    by_fold = [_experts(config, *own) for own in zip(bases, helpers, strict=True)]
    made_by = [[expert.sha256() for expert in experts.values()] for experts in by_fold]
    told = f"{_FORMAT} {data.key} {accelerator.mixed_precision} {made_by}"
    path = data.folder.parent / f"maps-{hashlib.sha256(told.encode()).hexdigest()[:16]}.npy"
    if accelerator.is_local_main_process:  # each machine may have a cache of its own
        with FileLock(path.with_suffix(".lock")):  # stacks that are trained at once share them
            if not _touched(path):
                _sweep(path.parent)
                _build(path, config, by_fold, data, accelerator)
    accelerator.wait_for_everyone()
    return np.load(path, mmap_mode="r")


def _experts(config: Config, base: Checkpoint, helpers: list[Checkpoint]) -> dict[int, Checkpoint]:
    """Which network predicts the patients of each fold, in the place of one base."""
    experts = dict.fromkeys(range(FOLDS), base)
    if helpers:  # else a leak made on purpose: the bases predict what they were trained on
        experts |= dict(zip(config.training_folds, helpers, strict=True))
    return experts


def _touched(path: Path) -> bool:
    """Is it there? Then it is as new again, so that no sweep takes it."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    except OSError:  # a cache that others may only read
        return path.is_file()
    return True


def _sweep(cache: Path) -> None:
    """Remove what nobody has read for a week, and what killed processes had begun."""
    for left in (*cache.glob("maps-*"), *cache.glob(".maps-*")):
        with suppress(OSError):  # another process was faster, or it is somebody else's
            if time.time() - left.stat().st_mtime > _FORGOTTEN_S:
                left.unlink()


def _build(
    path: Path,
    config: Config,
    by_fold: list[dict[int, Checkpoint]],
    data: PreparedSet,
    accelerator: Accelerator,
) -> None:
    folds = np.array([fold_of(patient) for patient in data.patients])
    ends = np.cumsum([len(experts[0].settings.classes) or 1 for experts in by_fold]).tolist()
    with replacing(path) as aside:
        maps = np.lib.format.open_memmap(
            aside, "w+", np.float16, (len(data.images), ends[-1], *data.images.shape[1:3])
        )
        for experts, start, end in zip(by_fold, [0, *ends], ends, strict=False):
            for fold, expert in experts.items():
                rows = np.flatnonzero(folds == fold)
                _predict(expert, config, data, rows, maps[:, start:end], accelerator)
        maps.flush()
        del maps


@torch.inference_mode()
def _predict(
    checkpoint: Checkpoint,
    config: Config,
    data: PreparedSet,
    rows: np.ndarray,
    out: np.ndarray,
    accelerator: Accelerator,
) -> None:
    model = load_module(checkpoint).to(accelerator.device)
    batches = Batches(checkpoint.settings.run, data, None, accelerator.device)
    for start in tqdm(
        range(0, len(rows), config.batch_size),
        desc=f"{checkpoint.name} predicts",
        leave=False,
        disable=None,
    ):
        batch = rows[start : start + config.batch_size]
        with accelerator.autocast():
            logits = model(batches.plain(batch)[0])
        out[batch] = to_probabilities(logits.float()).half().cpu().numpy()
