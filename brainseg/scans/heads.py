"""The head in a slice: its outline, its rim, and what stands out in it.

All of a slice as uint8 (side, side) in its true proportions, about 128 pixels a side; the limits
were chosen on volumes of LGG, on figshare's slices, with skulls and without, and on one of BraTS.
"""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np

from brainseg.scans.geometry import pixel_sides
from brainseg.scans.preprocessing import Spacing, shown_size, stretch, to_bytes

SIDE = 128  # slices are looked at in this size
_RIM = 14  # pixels below the skin within which scalp and skull lie
_DEEP = 12  # pixels below the skin where the brain has begun


def planes(pixels: np.ndarray, spacing_mm: Spacing) -> np.ndarray:
    """Some slices (n, height, width, channels) as uint8 (n, SIDE, SIDE, 3), each channel and slice
    from its darkest to its brightest."""
    return np.stack(
        [
            np.stack([plane(image[..., c], spacing_mm) for c in range(image.shape[-1])], -1)
            for image in to_bytes(pixels)
        ]
    )


def plane(values: np.ndarray, spacing_mm: Spacing) -> np.ndarray:
    """Any real (height, width) as uint8 (SIDE, SIDE), in its true proportions."""
    values = values.astype(np.float32)
    low, high = values.min(), np.percentile(values, 99.5)
    if not high > low:
        return np.zeros((SIDE, SIDE), np.uint8)
    scaled = ((values - low) * (255 / (high - low))).clip(0, 255)
    high, wide = shown_size(*scaled.shape, SIDE, spacing_mm)
    if pixel_sides(spacing_mm) == (1, 1):
        small = cv2.resize(scaled, (wide, high), interpolation=cv2.INTER_AREA)
    else:
        small = stretch(scaled, high, wide)
    square = np.full((SIDE, SIDE), float(np.median(border(small))), np.float32)
    top, left = (SIDE - high) // 2, (SIDE - wide) // 2
    square[top : top + high, left : left + wide] = small
    return square.astype(np.uint8)


def border(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])


def foreground(values: np.ndarray) -> np.ndarray:
    """Where a slice is clearly brighter than its border, uint8 0 or 1."""
    background = float(np.median(border(values)))
    level = background + 0.12 * max(float(np.percentile(values, 98)) - background, 1.0)
    return (values > level).astype(np.uint8)


def outline(values: np.ndarray) -> np.ndarray:
    """The largest shape in a slice with all it encloses, uint8 0 or 1."""
    closed = cv2.morphologyEx(foreground(values), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    inside = np.zeros(values.shape, np.uint8)
    if contours:
        cv2.drawContours(inside, [max(contours, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    return inside


def box(values: np.ndarray) -> tuple[int, int, int, int]:
    """Top, left, bottom and right, the latter two exclusive, of the largest shape in a slice, or
    in the brightest values of several; the whole of it where there is none."""
    left, top, width, height = cv2.boundingRect(outline(values))
    return (top, left, top + height, left + width) if width else (0, 0, *values.shape)


def depth(inside: np.ndarray) -> np.ndarray:
    """How many pixels each pixel of an outline lies below its edge; 0 outside."""
    return cv2.distanceTransform(np.pad(inside, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]


def rim(values: np.ndarray) -> float:
    """How dark the ring between a bright skin and the brain is, as a share of the brain: that is
    the skull. About 0.5 in a head and 0.02 in a brain alone."""
    below = depth(outline(values))
    rings = [values[(below > d) & (below <= d + 1)] for d in range(_RIM + 9)]
    level = np.array([np.median(ring) if ring.size else 0.0 for ring in rings])
    deep = values[below > _RIM]
    brain = float(np.median(deep)) if deep.size else float(level.max())
    dips = [min(level[:d].max(), level[d + 1 : d + 10].max()) - level[d] for d in range(1, _RIM)]
    return max(*dips, 0.0) / max(brain, 1.0)


def standing_out(values: np.ndarray) -> float:
    """How far the brightest 3 % inside a head lie above its middle, in its usual deviations
    (of the median); 0 where there is hardly an inside."""
    inside = depth(outline(values)) > _DEEP
    if inside.sum() < 200:
        return 0.0
    deep = cv2.GaussianBlur(values, (5, 5), 0).astype(np.float32)[inside]
    middle = np.median(deep)
    return float((np.percentile(deep, 97) - middle) / (1.48 * np.median(np.abs(deep - middle)) + 1))


def overlap(shown: np.ndarray) -> float:
    """The least Dice of the heads that two channels of ``planes`` show, over the slices' median."""
    heads = [[outline(image[..., c]) for image in shown] for c in range(shown.shape[-1])]
    return min(
        float(np.median([_dice(a, b) for a, b in zip(one, other, strict=True)]))
        for one, other in combinations(heads, 2)
    )


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2.0 * float((one & other).sum()) / max(float(one.sum() + other.sum()), 1.0)
