"""Is this picture one the models can say anything about? Plain rules on grey levels and shapes.

A finding is a hint, not a verdict: the rules know a head from a holiday photo, not one scanner from
another. What stops a comparison is that nothing like one head on a plain background is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from brainseg.scans.geometry import pixel_sides
from brainseg.scans.preprocessing import Spacing, shown_size, stretch
from brainseg.scans.scan import Scan

_SIDE = 128  # slices are looked at in this size
_SLICES = 9  # so many, evenly spaced, from the middle half of a volume
_SMALLEST = 16  # pixels along an edge; no head can be told from anything else in fewer


@dataclass(frozen=True)
class Finding:
    """``code`` names the rule; ``stops`` says that the models' masks would mean nothing;
    ``text`` is a sentence for whoever gave the scan."""

    code: str
    stops: bool
    text: str


def inspect(scan: Scan) -> list[Finding]:
    """What speaks against a scan, the gravest first; an empty list if nothing does."""
    height, width = scan.pixels.shape[1:3]
    if min(height, width) < _SMALLEST:
        return [_too_small(height, width)]
    planes = [_plane(scan.pixels[index], scan.spacing_mm) for index in _chosen(len(scan.pixels))]
    if all(np.ptp(plane) < 8 for plane in planes):
        return [_BLANK]
    if _half(planes, _is_inverted):
        return [_INVERTED]
    findings = []
    if not _half(planes, _is_head):
        findings.append(_NOT_A_HEAD)
    if _is_colourful(scan.pixels):
        findings.append(_COLOUR)
    if _half(planes, _has_text):
        findings.append(_TEXT)
    if not findings and _is_one_sequence(scan.pixels):
        findings.append(_ONE_SEQUENCE)
    return findings


def findings(scan: Scan, notes: Sequence[str]) -> tuple[Finding, ...]:
    """What ``inspect`` finds and what reading the scan assumed, which speaks of colours itself."""
    seen = [finding for finding in inspect(scan) if finding.code != "colour"]
    return (*seen, *(Finding("assumed", False, text) for text in notes))


_BLANK = Finding(
    "blank",
    True,
    "This picture is nearly one shade of grey: there is nothing to segment. Check the export, or "
    "pick another slice.",
)
_INVERTED = Finding(
    "inverted",
    True,
    "This picture seems to be inverted: its background is brighter than what lies in front. The "
    "models know dark backgrounds only. Invert it, then compare again.",
)
_NOT_A_HEAD = Finding(
    "not a brain MRI",
    True,
    "This is probably not a brain MRI: no single head on a dark background was found. The models "
    "mark something in any picture, so their masks would mean nothing here.",
)
_COLOUR = Finding(
    "colour",
    False,
    "This looks like a colour picture. Its red, green and blue are read as T1, FLAIR and T1c; if "
    "they are not, save it in grey.",
)
_TEXT = Finding(
    "text",
    False,
    "There seems to be writing in this picture. The models may mark it; crop it away if you can, "
    "and check that it names nobody.",
)
_ONE_SEQUENCE = Finding(
    "one sequence",
    False,
    "One sequence stands for all three that the models were trained on (T1, FLAIR, T1c). Expect "
    "less, least of all from anything but FLAIR.",
)


def _too_small(height: int, width: int) -> Finding:
    return Finding(
        "too small",
        True,
        f"This picture has {width} x {height} pixels: a head cannot be seen in fewer than "
        f"{_SMALLEST} x {_SMALLEST}. Give the scan in its full size.",
    )


def _chosen(count: int) -> list[int]:
    if count == 1:
        return [0]
    first, last = count // 4, max(count // 4, 3 * count // 4 - 1)
    return sorted({round(x) for x in np.linspace(first, last, _SLICES)})


def _plane(image: np.ndarray, spacing_mm: Spacing) -> np.ndarray:
    """The brightest channel of a slice as uint8 (_SIDE, _SIDE), in its true proportions."""
    values = image.astype(np.float32).max(axis=-1)
    low, high = values.min(), np.percentile(values, 99.5)
    if not high > low:
        return np.zeros((_SIDE, _SIDE), np.uint8)
    scaled = ((values - low) * (255 / (high - low))).clip(0, 255)
    high, wide = shown_size(*scaled.shape, _SIDE, spacing_mm)
    if pixel_sides(spacing_mm) == (1, 1):
        small = cv2.resize(scaled, (wide, high), interpolation=cv2.INTER_AREA)
    else:
        small = stretch(scaled, high, wide)
    plane = np.full((_SIDE, _SIDE), float(np.median(_border(small))), np.float32)
    top, left = (_SIDE - high) // 2, (_SIDE - wide) // 2
    plane[top : top + high, left : left + wide] = small
    return plane.astype(np.uint8)


def _border(plane: np.ndarray) -> np.ndarray:
    return np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]])


def _half(planes: list[np.ndarray], rule) -> bool:
    return 2 * sum(map(rule, planes)) > len(planes)


def _foreground(plane: np.ndarray) -> np.ndarray:
    """Where a slice is clearly brighter than its border, uint8 0 or 1."""
    background = float(np.median(_border(plane)))
    level = background + 0.12 * max(float(np.percentile(plane, 98)) - background, 1.0)
    return (plane > level).astype(np.uint8)


def _is_inverted(plane: np.ndarray) -> bool:
    border = _border(plane)
    even = np.percentile(border, 75) - np.percentile(border, 25) < 25
    return bool(np.median(border) > 150 and even and plane.mean() < np.median(border) - 15)


def _is_head(plane: np.ndarray) -> bool:
    """One filled, rounded shape that covers a good part of the picture, textured inside, on an
    even background."""
    foreground = _foreground(plane)
    closed = cv2.morphologyEx(foreground, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return False
    largest = max(contours, key=cv2.contourArea)
    area, hull = cv2.contourArea(largest), cv2.contourArea(cv2.convexHull(largest))
    share = area / plane.size
    (_, (one, other), _) = cv2.minAreaRect(largest)
    roundness = area / max(one * other, 1.0)  # an ellipse fills pi / 4 of its box, a square all
    inside = np.zeros(plane.shape, np.uint8)
    cv2.drawContours(inside, [largest], -1, 1, cv2.FILLED)
    outside = (foreground & (inside == 0)).sum() / plane.size
    levels = np.unique(plane[inside > 0] // 8).size
    border = np.percentile(np.abs(_border(plane).astype(int) - np.median(_border(plane))), 70)
    return bool(
        0.08 < share < 0.9
        and area > 0.82 * hull
        and max(one, other) < 2.2 * max(min(one, other), 1.0)
        and 0.55 < roundness < 0.95
        and outside < 0.06
        and levels >= 8
        and border < 30
    )


def _is_colourful(pixels: np.ndarray) -> bool:
    """Strong hues in one picture of three channels; the three sequences of a head share their
    outline and most of their greys."""
    if pixels.shape[-1] != 3 or len(pixels) > 1:
        return False
    image = pixels[0].astype(np.float32)
    spread = np.ptp(image, axis=-1)
    bright = image.max(axis=-1) > 0.2 * image.max()
    return bool(bright.any() and np.mean(spread[bright] > 0.6 * image.max()) > 0.15)


def _is_one_sequence(pixels: np.ndarray) -> bool:
    return pixels.shape[-1] == 1 or bool(
        (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all()
    )


def _has_text(plane: np.ndarray) -> bool:
    """Several small bright shapes in a row, away from the largest one."""
    level = np.percentile(plane, 99) * 0.5
    marks = (plane > max(level, 60)).astype(np.uint8)
    joined = cv2.morphologyEx(_foreground(plane), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    if count < 2:
        return False
    head = 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
    near = cv2.dilate((labels == head).astype(np.uint8), np.ones((5, 5), np.uint8))
    marks &= near == 0
    count, _, statistics, centres = cv2.connectedComponentsWithStats(marks, connectivity=8)
    small = [
        centres[i][1]
        for i in range(1, count)
        if 1 <= statistics[i, cv2.CC_STAT_AREA] <= 120 and statistics[i, cv2.CC_STAT_HEIGHT] <= 14
    ]
    return any(sum(abs(row - other) < 4 for other in small) >= 3 for row in small)
