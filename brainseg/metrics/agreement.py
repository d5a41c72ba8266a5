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


def disputed(votes: np.ndarray, count: int) -> np.ndarray:
    """In how many pixels of each slice ``count`` voters do not all say the same.

    votes: (slices, height, width), from ``votes``. Returns int64 (slices,).
    """
    return ((votes > 0) & (votes < count)).sum(axis=(1, 2), dtype=np.int64)


def most_different(masks: Sequence[np.ndarray]) -> np.ndarray:
    """In which slice each mask differs from each other by most pixels: int64 (n, n), symmetric,
    -1 where two masks are the same everywhere.

    masks: (slices, height, bytes), bits packed along the width.
    """
    table = np.full((len(masks), len(masks)), -1, np.int64)
    for i, j in combinations(range(len(masks)), 2):
        pixels = _BITS[masks[i] ^ masks[j]].sum(axis=(1, 2), dtype=np.int64)
        if pixels.any():
            table[i, j] = table[j, i] = pixels.argmax()
    return table


def _bits(packed: np.ndarray) -> int:
    return int(_BITS[packed].sum(dtype=np.int64))
