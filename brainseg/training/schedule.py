"""What each epoch and step of a run uses: slices, picture size, learning rate, random seed.

All of it follows from the configuration and the number of the epoch and step.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from brainseg.config import Config
from brainseg.data import regions_of
from brainseg.data.cache import PreparedSet


def epoch_rows(config: Config, data: PreparedSet, rows: np.ndarray, epoch: int) -> np.ndarray:
    """One round through the slices, see ``_round``; or, where ``steps_per_epoch`` says how many
    batches there are, as many rounds as these take, of which the last is broken off."""
    rng = np.random.default_rng([config.seed, epoch])
    found = _round(config, data, rows, rng)
    if config.steps_per_epoch is None or not len(found):
        return found
    wanted = config.steps_per_epoch * config.batch_size
    while len(found) < wanted:
        found = np.concatenate([found, _round(config, data, rows, rng)])
    return found[:wanted]


def unlabelled_rows(config: Config, rows: np.ndarray, epoch: int, count: int) -> np.ndarray:
    """``count`` rows in round after round through slices without a mask, each in an order of its
    own. Which of them have tumour nobody knows, so all are alike."""
    rng = np.random.default_rng([config.seed, epoch, 1])
    found = rows[:0]
    while len(found) < count:
        found = np.concatenate([found, rng.permutation(rows)])
    return found[:count]


def _round(
    config: Config, data: PreparedSet, rows: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Of each data set every tumour slice once, or the share of them that ``shares`` says, and in
    proportion empty ones; both drawn anew each time, and all shuffled. Where classes are told
    apart there are as many tumour slices in all, but of kinds of tumour equally many of each;
    regions of one lie in the same slices, and only ``class_weights`` makes up for rare ones."""
    chosen = []
    shares = config.shares or (1.0,) * len(config.datasets)
    for name, share in zip(config.datasets, shares, strict=True):
        own = rows if len(config.datasets) == 1 else rows[data.datasets[rows] == name]
        sick, empty = own[data.tumour[own]], own[~data.tumour[own]]
        if config.classes and not regions_of(config.classes):
            sick = _balanced(sick, main_classes(data)[sick], rng)
        if share < 1:
            sick = rng.permutation(sick)[: round(share * len(sick))]
        chosen += [sick, rng.permutation(empty)[: round(config.empty_share * len(sick))]]
    return rng.permutation(np.concatenate(chosen))


def _balanced(rows: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many rows, of each class equally many: some of a large one are left out, and those of a
    rare one come again once all of them have."""
    there = np.unique(classes)
    drawn = []
    for value in there:
        own = rows[classes == value]
        count = -(-len(rows) // len(there))
        rounds = [rng.permutation(own) for _ in range(-(-count // len(own)))]
        drawn.append(np.concatenate(rounds)[:count])
    return rng.permutation(np.concatenate(drawn)) if drawn else rows


@functools.lru_cache(maxsize=2)
def main_classes(data: PreparedSet) -> np.ndarray:
    """The class that has most pixels in each slice, uint8 (n,); 0 where there is no tumour."""
    return np.array([_main(plane) for plane in data.classes], np.uint8)


def class_weights(data: PreparedSet, rows: np.ndarray, classes: int) -> np.ndarray:
    """What a pixel of no tumour and of each class counts in the loss, float32 (classes + 1,): 1,
    and the root of how much rarer its class is than the mean of them, between a half and 2."""
    pixels = sum(np.bincount(data.classes[row].ravel(), minlength=classes + 1) for row in rows)
    own = np.maximum(pixels[1:], 1)
    weights = np.sqrt(own.mean() / own).clip(0.5, 2)
    return np.concatenate([[1], weights]).astype(np.float32)


def _main(plane: np.ndarray) -> int:
    counts = np.bincount(plane.ravel())
    counts[0] = 0
    return int(counts.argmax())


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


def semi_weight(config: Config, step: int, steps: int) -> float:
    """Of the disagreement at one of ``steps`` steps: up as exp(-5 (1 - t)^2) over the first of them
    (Laine and Aila 2017), since at first the teacher knows nothing."""
    t = min(1.0, (step + 1) / max(1, config.semi_ramp * steps))
    return config.semi_weight * math.exp(-5 * (1 - t) ** 2)


def seed_of(*parts: int) -> int:
    return int(np.random.SeedSequence([int(p) for p in parts]).generate_state(1, np.uint64)[0] >> 1)
