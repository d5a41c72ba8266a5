"""From scans and masks to pictures: numpy in, numpy out.

Colours are from the palette of Okabe and Ito, which the colour-blind can tell apart.
"""

from __future__ import annotations

import cv2
import numpy as np

from brainseg.scans.geometry import pixel_sides
from brainseg.scans.preprocessing import Spacing, stretch
from brainseg.scans.scan import Scan

MASK_COLOUR = (213, 94, 0)  # vermilion
TRUTH_COLOUR = (86, 180, 233)  # sky blue
# Of the classes 1, 2 and so on, as ``class_colour`` gives them; the truth's is not among them.
CLASS_COLOURS = (
    (230, 159, 0),  # orange
    (0, 158, 115),  # bluish green
    (204, 121, 167),  # reddish purple
    (240, 228, 66),  # yellow
    (0, 114, 178),  # blue
    MASK_COLOUR,
)
_FLAIR = 1
_MAX_SIDE = 4096
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def class_colour(number: int) -> tuple[int, int, int]:
    """The colour of a class, from 1: red, green, blue. They begin anew after the sixth."""
    return CLASS_COLOURS[(number - 1) % len(CLASS_COLOURS)]


def display_volume(scan: Scan) -> np.ndarray:
    """The channel in which tumours show best, as grey levels: uint8 (slices, height, width).

    That is FLAIR, or the only channel. The whole volume's 1st to 99th percentile spans 0 to 255,
    so that slices can be compared by eye.
    """
    return display_channel(scan, shown_channel(scan))[0]


def shown_channel(scan: Scan) -> int:
    """The channel of FLAIR, or the only one."""
    return _FLAIR if scan.pixels.shape[-1] == 3 else 0


def display_channel(scan: Scan, channel: int) -> tuple[np.ndarray, float, float]:
    """One channel as ``display_volume`` shows it, and the values at grey levels 0 and 255."""
    values = scan.pixels[..., channel]
    low, high = np.percentile(values, (1, 99)).astype(float).tolist()
    if high == low:  # nearly all one value: show what sticks out, if anything does
        low, high = float(values.min()), float(values.max())
    scale = 255 / (high - low) if high > low else 0.0
    volume = np.empty(values.shape, np.uint8)
    for plane, out in zip(values, volume, strict=True):
        out[:] = ((plane.astype(float) - low) * scale + 0.5).clip(0, 255)
    return volume, low, high


def overlay(
    image: np.ndarray, mask: np.ndarray, truth: np.ndarray | None = None, alpha: float = 0.35
) -> np.ndarray:
    """A mask over one slice, filled and outlined, and the outline of the truth.

    image: uint8 (height, width).
    mask, truth: bool (height, width).
    alpha: share of the mask's colour in its fill, from 0 (none) to 1 (opaque).

    Returns uint8 (height, width, 3), red, green, blue. Outlines are the outermost pixels of what
    they enclose; the truth's lies on top.
    """
    for other in (mask, truth):
        if other is not None and other.shape != image.shape:
            raise ValueError(f"The image is {image.shape}, a mask {other.shape}: expected equal.")
    picture = np.repeat(image[..., None], 3, axis=-1)
    fill = picture[mask] * (1 - alpha) + np.array(MASK_COLOUR) * alpha
    picture[mask] = (fill + 0.5).astype(np.uint8)
    picture[outline(mask)] = MASK_COLOUR
    if truth is not None:
        picture[outline(truth)] = TRUTH_COLOUR
    return picture


def outline(mask: np.ndarray) -> np.ndarray:
    """The pixels of a mask that touch, by an edge, one outside it or the border of the picture.

    bool (height, width) to the same.
    """
    inner = cv2.erode(mask.astype(np.uint8), _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return mask & (inner == 0)


def in_proportion(picture: np.ndarray, spacing_mm: Spacing) -> np.ndarray:
    """A picture of one slice, uint8 (height, width, ...), enlarged along one axis so that its
    pixels are square; as it is where they are."""
    sides = np.array(pixel_sides(spacing_mm))
    if sides[0] == sides[1]:
        return picture
    high, wide = (picture.shape[:2] * sides / sides.min()).clip(1, _MAX_SIDE).round().astype(int)
    return stretch(picture, int(high), int(wide))


def largest_slice(mask: np.ndarray) -> int:
    """Index of the slice with most tumour; the middle one if there is none.

    mask: (slices, height, width), bool, or counts of how often a pixel is marked.
    """
    areas = mask.sum(axis=(1, 2))
    return int(areas.argmax()) if areas.any() else len(areas) // 2


def png(picture: np.ndarray) -> bytes:
    """A picture, uint8 (height, width, 3) in red, green, blue, as a PNG file."""
    return cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
