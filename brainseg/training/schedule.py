"""What each epoch and step of a run uses: slices, picture size, learning rate, random seed.

All of it follows from the configuration and the number of the epoch and step.
"""

from __future__ import annotations

import math

import numpy as np

from brainseg.config import Config
from brainseg.data.cache import PreparedSet


def epoch_rows(config: Config, data: PreparedSet, rows: np.ndarray, epoch: int) -> np.ndarray:
    """Of each data set every tumour slice once, or the share of them that ``shares`` says, and in
    proportion empty ones; both drawn anew each epoch, and all shuffled."""
    rng = np.random.default_rng([config.seed, epoch])
    chosen = []
    shares = config.shares or (1.0,) * len(config.datasets)
    for name, share in zip(config.datasets, shares, strict=True):
        own = rows if len(config.datasets) == 1 else rows[data.datasets[rows] == name]
        sick, empty = own[data.tumour[own]], own[~data.tumour[own]]
        if share < 1:
            sick = rng.permutation(sick)[: round(share * len(sick))]
        chosen += [sick, rng.permutation(empty)[: round(config.empty_share * len(sick))]]
    return rng.permutation(np.concatenate(chosen))


def epoch_size(config: Config, epoch: int) -> int:
    """Side in pixels of what an epoch trains on. Small pictures first: they cost less than half
    and teach the coarse things as well (progressive resizing, Howard 2018; Tan and Le 2021)."""
    return config.small_size if epoch < config.small_epochs else config.size


def set_lr(optimizer, config: Config, step: int, steps: int) -> float:
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


def seed_of(*parts: int) -> int:
    return int(np.random.SeedSequence([int(p) for p in parts]).generate_state(1, np.uint64)[0] >> 1)
