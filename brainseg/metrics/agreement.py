"""How far several masks of one scan agree: pure functions, no truth needed.

Agreement is not correctness: models that were trained alike are wrong alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from brainseg.metrics import overlap

_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=np.uint8)


def votes(masks: Sequence[np.ndarray]) -> np.ndarray:
    """How many of the bool masks, all of one shape, mark each pixel: uint8 of that shape."""
    total = np.zeros(np.shape(masks[0]), np.uint8)
    for mask in masks:
        total += mask
    return total


def entropy(votes: np.ndarray, count: int) -> np.ndarray:
    """Disagreement in bits per pixel, float32 in [0, 1]: 0 where all ``count`` voters say the
    same, 1 where half of them mark the pixel."""
    share = np.asarray(votes, np.float32) / count
    bits = np.zeros(share.shape, np.float32)
    for part in (share, 1 - share):
        inner = part > 0
        bits[inner] -= part[inner] * np.log2(part[inner])
    return bits


def pairwise_dice(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Dice of each mask with each other, (n, n), symmetric; NaN where both are empty.

    masks: bool, or bits packed by ``numpy.packbits``, which take an eighth of the memory.
    """
    packed = [np.packbits(mask) if mask.dtype == bool else mask.ravel() for mask in masks]
    sizes = [_bits(mask) for mask in packed]
    table = np.full((len(packed), len(packed)), np.nan)
    for i, size in enumerate(sizes):
        table[i, i] = 1.0 if size else np.nan
    for i, j in combinations(range(len(packed)), 2):
        both = _bits(packed[i] & packed[j])
        counts = overlap.Counts(both, sizes[i] - both, sizes[j] - both)
        table[i, j] = table[j, i] = overlap.dice(counts)
    return table


def mean_agreement(table: np.ndarray, one: int, others: Sequence[int]) -> float:
    """Mean Dice of one mask with others, from ``pairwise_dice``; NaN where none is defined."""
    values = table[one, [other for other in others if other != one]]
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def _bits(packed: np.ndarray) -> int:
    return int(_BITS[packed].sum(dtype=np.int64))
