"""From a scan to what a network reads, and back. Training and inference share this one road.

Two steps, both numpy:

1. ``prepare`` gives each slice square pixels, pads it to a square, resizes it and stores it as
   uint8. This is what the training cache holds.
2. ``normalise`` subtracts a mean and divides by a standard deviation per channel, taken over the
   head (not the background) of the whole volume, or of each slice alone. A picture uploaded alone
   is a volume of one slice, for which the two are the same.

z-scores ignore any linear change of the intensities, so it makes little difference whether a file
stores 0-255, 0-4095 or values around zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from brainseg.scans.geometry import pixel_sides

VERSION = "1"  # part of the cache key: raise it when prepared pixels or statistics change
VOLUME_VERSION = "3"  # the same for volumes, which depend on their geometry too
SIZE = 192
CLIP = 5.0  # z-scores beyond this are artefacts; clipping keeps them from ruling a convolution
Spacing = tuple[float, float, float] | None  # as in `Scan.spacing_mm`
_BACKGROUND_MARGIN = 12  # grey levels of 255 that separate the head from the background
_DARK = 64  # brightest grey level below which a picture is dark, and the two limits shrink with it
_MIN_STD = 8.0  # a nearly empty slice must not have its noise blown up to tissue


@dataclass(frozen=True, eq=False)
class Prepared:
    """A scan ready for a network.

    images: uint8, (slices, size, size, 3), channels (T1, FLAIR, T1c).
    statistics: float32, (slices, 3, 2): mean and standard deviation of each slice's volume.
    slice_statistics: float32, (slices, 3, 2): the same of each slice alone.
    """

    images: np.ndarray
    statistics: np.ndarray
    slice_statistics: np.ndarray


def prepare(
    pixels: np.ndarray, size: int = SIZE, spacing_mm: Spacing = None, *, slicewise: bool = False
) -> Prepared:
    """Pad, resize and quantise ``pixels`` (slices, height, width, 1 or 3), any real dtype.

    ``spacing_mm``, (slice, row, column), says how large a pixel is: where its sides differ by 2 %
    or more, slices are stretched to their true proportions. None stands for square pixels.
    ``slicewise`` treats every slice as if it had been uploaded alone.
    """
    if slicewise and len(pixels) > 1:
        alone = [prepare(pixels[i : i + 1], size, spacing_mm) for i in range(len(pixels))]
        parts = [(one.images, one.statistics, one.slice_statistics) for one in alone]
        return Prepared(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    stored = to_bytes(pixels)
    images = np.stack([_fit(image, size, spacing_mm) for image in stored])
    histograms = np.stack([_histograms(image) for image in images])
    borders = np.stack([_histograms(_border(image)) for image in images])
    volume = _statistics(histograms.sum(0), borders.sum(0))
    alone = np.stack([_statistics(h, b) for h, b in zip(histograms, borders, strict=True)])
    return Prepared(images, np.broadcast_to(volume, alone.shape).copy(), alone)


def normalise(images: np.ndarray, statistics: np.ndarray) -> np.ndarray:
    """uint8 (n, size, size, 3) and (n, 3, 2) to float32 z-scores (n, 3, size, size)."""
    planes = images.transpose(0, 3, 1, 2).astype(np.float32, order="C")
    return z_scores(planes, statistics)


def z_scores(planes, statistics):
    """Grey levels (n, 3, size, size) less the mean and divided by the standard deviation of
    (n, 3, 2), clipped; float32 numpy arrays or torch tensors alike."""
    mean, std = statistics[:, :, 0, None, None], statistics[:, :, 1, None, None]
    return ((planes - mean) / std).clip(-CLIP, CLIP)


def prepare_mask(mask: np.ndarray, size: int = SIZE, spacing_mm: Spacing = None) -> np.ndarray:
    """bool (slices, height, width) to uint8 0/1 (slices, size, size), as ``prepare``."""
    resized = [_fit(m.astype(np.uint8) * 255, size, spacing_mm) for m in mask]
    return (np.stack(resized) > 127).astype(np.uint8)


def prepare_classes(classes: np.ndarray, size: int = SIZE, spacing_mm: Spacing = None):
    """uint8 (slices, height, width), 0 where there is no tumour, to uint8 (slices, size, size).

    Above 0 exactly where ``prepare_mask`` has tumour: there it is the class that fills most of the
    pixel, of several equal ones the lowest.
    """
    resized = prepare_mask(classes > 0, size, spacing_mm)
    for drawn, out in zip(classes, resized, strict=True):
        values = np.flatnonzero(np.bincount(drawn.ravel())[1:]) + 1
        if values.size and out.any():
            shares = [_fit((drawn == v).astype(np.float32), size, spacing_mm) for v in values]
            out *= values[np.argmax(shares, axis=0)].astype(np.uint8)
    return resized


def restore(
    probabilities: np.ndarray, height: int, width: int, spacing_mm: Spacing = None
) -> np.ndarray:
    """Undo padding and resizing: float32 (slices, size, size) to (slices, height, width)."""
    maps = probabilities.astype(np.float32)
    if pixel_sides(spacing_mm) == (1, 1):
        square = np.stack([_resize(p, max(height, width)) for p in maps])
        return np.ascontiguousarray(_middle(square, height, width))
    inner = _middle(maps, *shown_size(height, width, maps.shape[1], spacing_mm))
    return np.stack([stretch(np.ascontiguousarray(p), height, width) for p in inner])


def shown_size(height: int, width: int, side: int, spacing_mm: Spacing) -> tuple[int, int]:
    """Height and width in square pixels of a slice, its longer side as given."""
    high, wide = pixel_sides(spacing_mm)
    high, wide = height * high, width * wide
    factor = side / max(high, wide)
    return max(1, round(high * factor)), max(1, round(wide * factor))


def stretch(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """(height, width) or (height, width, c), resized along each axis on its own: averaged where
    that shrinks it, interpolated where it grows."""
    for size in ((image.shape[1], height), (width, height)):
        shrinks = size[0] < image.shape[1] or size[1] < image.shape[0]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        image = cv2.resize(image, size, interpolation=how)
    return image


def _fit(image: np.ndarray, size: int, spacing_mm: Spacing) -> np.ndarray:
    """A slice in its true proportions, padded with 0 to a square of this size."""
    if pixel_sides(spacing_mm) == (1, 1):
        return _resize(_pad_square(image), size)
    return _pad_square(stretch(image, *shown_size(*image.shape[:2], size, spacing_mm)))


def to_bytes(pixels: np.ndarray) -> np.ndarray:
    """(slices, height, width, c) to uint8 with three channels; uint8 stays as it is."""
    if pixels.dtype != np.uint8:
        channels = [_window(pixels[..., c]) for c in range(pixels.shape[-1])]
        pixels = np.stack(channels, -1)
    return np.repeat(pixels, 3, -1) if pixels.shape[-1] == 1 else pixels


def _window(values: np.ndarray) -> np.ndarray:
    """One channel of a volume to uint8, from its minimum to its 99.9th percentile."""
    values = values.astype(np.float32)
    low, background = values.min(), np.median(_border(values[..., None]))
    # Standardised volumes put their background at 0, in the middle of the tissue's range. One
    # constant that fills a fifth of the volume, its edges included, is background: make it dark.
    if background > low and (same := values == background).mean() > 0.2:
        values = np.where(same, low, values)
    elif background == low < 0:
        values, low = _without_padding(values, low)
    high = np.percentile(values[:: max(1, len(values) // 40)], 99.9)
    high = max(high, low + (values.max() - low) * 0.05)  # a few bright pixels on black
    scale = 255 / (high - low) if high > low else 0.0
    return ((values - low) * scale + 0.5).clip(0, 255).astype(np.uint8)


def _without_padding(values: np.ndarray, low: float) -> tuple[np.ndarray, float]:
    """Values and their minimum; a constant around the head that lies farther below it than its own
    values differ (-2000, as scanners pad with) becomes as dark as the darkest of the rest."""
    same = values == low
    rest = values[~same]
    if same.mean() <= 0.2 or not rest.size or not 0 < np.ptp(rest) < rest.min() - low:
        return values, low
    return np.where(same, rest.min(), values), rest.min()


def _pad_square(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    if height == width:
        return image
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    padded = np.zeros((side, side, *image.shape[2:]), image.dtype)
    padded[top : top + height, left : left + width] = image
    return padded


def _middle(squares: np.ndarray, height: int, width: int) -> np.ndarray:
    """What `_pad_square` had put into (n, side, side)."""
    side = squares.shape[1]
    top, left = (side - height) // 2, (side - width) // 2
    return squares[:, top : top + height, left : left + width]


def _resize(image: np.ndarray, size: int) -> np.ndarray:
    if image.shape[0] == size:
        return image
    shrink = image.shape[0] > size
    return cv2.resize(
        image, (size, size), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
    )


def _border(images: np.ndarray) -> np.ndarray:
    """The outermost pixels of (..., height, width, c), as (n, c)."""
    edges = (images[..., [0, -1], :, :], images[..., :, [0, -1], :])
    return np.concatenate([edge.reshape(-1, images.shape[-1]) for edge in edges])


def _histograms(image: np.ndarray) -> np.ndarray:
    """Counts of the 256 grey levels per channel of uint8 (..., 3), as (3, 256)."""
    flat = image.reshape(-1, 3)
    return np.stack([np.bincount(flat[:, c], minlength=256) for c in range(3)])


def _statistics(histograms: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of the head, (3, 2), from (3, 256) counts."""
    levels = np.arange(256)
    scale = _brightness(histograms)
    result = np.empty((3, 2), np.float32)
    for channel, (counts, border) in enumerate(zip(histograms, borders, strict=True)):
        background = int(np.searchsorted(border.cumsum(), border.sum() / 2))
        head = np.where(np.abs(levels - background) > _BACKGROUND_MARGIN * scale, counts, 0)
        if head.sum() < 0.01 * counts.sum():
            head = counts
        share = head.cumsum() / head.sum()
        values = levels.clip(np.searchsorted(share, 0.01), np.searchsorted(share, 0.99))
        mean = np.average(values, weights=head)
        std = np.sqrt(np.average((values - mean) ** 2, weights=head))
        result[channel] = mean, max(std, _MIN_STD * scale)
    return result


def _brightness(histograms: np.ndarray) -> float:
    """1, or the share of the grey levels that a dark picture uses; one with so few that it may be
    all noise counts as bright, so that its noise is not blown up."""
    share = histograms.sum(0).cumsum() / histograms.sum()
    low, high = np.searchsorted(share, 1e-9), np.searchsorted(share, 0.999)
    is_dark = high < _DARK and high - low > 2 * _BACKGROUND_MARGIN
    return high / 255 if is_dark else 1.0
