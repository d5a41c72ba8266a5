"""Which pixels of a picture are tumour, and its labels: grey, coloured, or with a palette."""

from pathlib import Path

import numpy as np

from brainseg.scans.formats.pictures import read_picture
from brainseg.scans.notes import listed, note
from brainseg.scans.scan import ScanError, check_values
from brainseg.scans.truth.values import (
    MOST_LABELS,
    border_of,
    even_patches,
    labels_of,
    tumour_of,
    tumour_of_channels,
)

_REMEDY = "Save it with tumour white and the rest black."


def tumour_of_picture(file: Path, name: str, kind: str) -> np.ndarray:
    """Tumour, bool (pages, height, width), of a mask that is a picture.

    The brighter of two values is tumour, give or take compression noise and soft edges; so is
    every label of a picture that holds whole numbers up to 20, every index of a palette but the
    background's, and every colour on black. What was assumed is noted. Raises ScanError for
    whatever else there is, and as `read_picture` does.
    """
    pixels = read_picture(file, name, kind)
    check_values(pixels, name)
    # Opening a TIFF twice costs more than all else here; plain grey that varies has no palette.
    if kind != "tiff" or pixels.shape[-1] > 1 or pixels.min() == pixels.max():
        tumour = _of_palette(file, name, kind)
        if tumour is not None:
            return tumour
    is_lossy = kind in ("jpeg", "webp")
    if pixels.shape[-1] == 1 or (pixels == pixels[..., :1]).all():
        return _of_grey(pixels[..., 0], name, is_lossy)
    return _of_colours(pixels, name, is_lossy)


def labels_of_picture(file: Path, name: str, kind: str) -> np.ndarray:
    """The labels of a picture, uint8 (pages, height, width): its grey values, or the indices of a
    palette in colours. Raises ScanError for colours without one and where compression is lossy."""
    if kind in ("jpeg", "webp"):
        raise ScanError(
            f"{name} is compressed as photographs are, which mixes labels. Save it as PNG."
        )
    found = _palette_of(file, kind)
    if found is not None:
        indices, palette = found
        used = np.unique(indices)
        if used[-1] < len(palette) and (palette[used] != palette[used, :1]).any():
            return indices.astype(np.uint8)
    pixels = read_picture(file, name, kind)
    check_values(pixels, name)
    return labels_of(pixels, name)


def _palette_of(file: Path, kind: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Indices (pages, height, width) and colours (n, 3) of a picture with a palette."""
    from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

    try:
        with Image.open(file) as picture:
            if picture.mode != "P":
                return None
            frames = ImageSequence.Iterator(picture) if kind == "tiff" else [picture]
            arrays = [np.asarray(ImageOps.exif_transpose(frame)) for frame in frames]
            return np.stack(arrays), np.reshape(picture.getpalette("RGB"), (-1, 3))
    except (UnidentifiedImageError, ValueError):  # one that only OpenCV reads; pages that differ
        return None


def _of_palette(file: Path, name: str, kind: str) -> np.ndarray | None:
    """Tumour of palette indices, or None where the colours tell more: in grey, or in many."""
    found = _palette_of(file, kind)
    if found is None:
        return None
    indices, palette = found
    used = np.unique(indices)
    if len(used) > MOST_LABELS or used[-1] >= len(palette):
        return None
    colours = palette[used]
    are_distinct = len(np.unique(colours, axis=0)) == len(used)
    if are_distinct and (colours == colours[:, :1]).all():
        return None
    border = border_of(indices)
    grounds = [index for index in used if index == 0 or not palette[index].any()] or [0]
    ground = max(grounds, key=lambda index: (border == index).sum())
    labels = [int(index) for index in used if index != ground]
    if len(labels) > 1 or not are_distinct or palette[ground].any():
        note(
            f"{name} has a palette: its index {ground} is taken for background, and "
            f"{listed(labels)} for tumour. If that is wrong, save it with tumour white and the "
            "rest black."
        )
    return indices != ground


def _of_grey(values: np.ndarray, name: str, is_lossy: bool) -> np.ndarray:
    if values.dtype.kind not in "bu":  # TIFF with signed numbers or floats
        return tumour_of(values, name)
    top = values.max()
    if is_lossy and 0 < top < 64:
        raise ScanError(
            f"{name} is not a mask: its brightest value is {top} of 255, which is noise, or "
            "labels that compression has mixed. Save it as PNG, tumour white and the rest black."
        )
    levels = _levels(values)
    if not is_lossy and top <= MOST_LABELS:
        if len(levels) > 2:
            note(
                f"{name} holds the labels {listed(levels[levels > 0])}, which are all taken for "
                "tumour. If only some are, save those white and the rest black."
            )
        return values > 0
    if len(levels) <= 2:
        return values > top / 2
    if _looks_grey(values, has_few_levels=not is_lossy and len(levels) <= 8):
        if not is_lossy and _are_even_steps(levels) and (border_of(values) == 0).mean() > 0.5:
            note(
                f"{name} holds the grey values {listed(levels)}, which are taken for labels, and "
                "all but 0 for tumour. If only some are, save those white and the rest black."
            )
            return values > 0
        raise ScanError(
            f"{name} is not a mask: it holds {len(levels)} grey values, expected 0 and one other. "
            f"{_REMEDY}"
        )
    _note_soft(name)
    return values > top / 2


def _of_colours(pixels: np.ndarray, name: str, is_lossy: bool) -> np.ndarray:
    values = pixels.max(axis=-1)
    if not is_lossy and pixels.dtype.kind == "u" and pixels.shape[-1] == 3:
        high = pixels > values.max() / 2
        if (high.sum(axis=-1) == 1).all() and not (pixels * ~high).any():
            return tumour_of_channels(high, name)
        codes = pixels.astype(np.uint64) @ np.array([2**32, 2**16, 1], np.uint64)
        colours = np.unique(codes)
        if len(colours) == 2 and not _is_grey_among(pixels):
            return _of_two_colours(codes, colours, name)
        labels = np.unique(codes[even_patches(codes) & (codes > 0)])
        on_black = (border_of(values) == 0).mean() > 0.5
        if on_black and len(colours) <= MOST_LABELS and len(labels) > 1:
            note(
                f"{name} holds {len(colours) - 1} colours on black, which are all taken for "
                "tumour. If only some are, save those white and the rest black."
            )
            return values > 0
    if _looks_grey(values):
        raise ScanError(
            f"{name} is not a mask: it holds {len(_levels(values))} grey values in colours, such "
            "as a scan on which an outline is drawn. Give the mask alone, with tumour white and "
            "the rest black."
        )
    if len(_levels(values)) > 2:
        _note_soft(name)
    return values > values.max() / 2


def _of_two_colours(codes: np.ndarray, colours: np.ndarray, name: str) -> np.ndarray:
    """Tumour of a picture in two colours, of which that of most of the border is background."""
    one, other = colours
    border = border_of(codes)
    ground = one if (border == one).mean() > 0.5 else other
    note(
        f"{name} is drawn in two colours, of which that of its border is taken for background. If "
        "that is wrong, save it with tumour white and the rest black."
    )
    return codes != ground


def _is_grey_among(pixels: np.ndarray) -> bool:
    """Whether a coloured picture has grey pixels too, black and white included."""
    return bool((pixels == pixels[..., :1]).all(axis=-1).any())


def _are_even_steps(levels: np.ndarray) -> bool:
    """Whether grey values are two to four labels, spread evenly from 0 to the brightest."""
    even = np.linspace(0, levels[-1], len(levels))
    return 3 <= len(levels) <= 5 and bool(np.abs(levels - even).max() <= 1)


def _levels(values: np.ndarray) -> np.ndarray:
    if values.dtype.itemsize <= 2:
        return np.flatnonzero(np.bincount(values.ravel()))
    return np.unique(values)


def _looks_grey(values: np.ndarray, has_few_levels: bool = False) -> bool:
    """Whether a picture has in-between values that noise and soft edges do not explain."""
    top = float(values.max())
    between = (values > 0.15 * top) & (values < 0.85 * top)
    label = (values > 0) & (values < 0.85 * top) if has_few_levels else between
    is_much = between.mean() > 0.02 and between.sum() > (values >= 0.85 * top).sum() / 2
    return bool(is_much or (label & even_patches(values)).any())


def _note_soft(name: str) -> None:
    note(
        f"{name} holds greys between black and white, as compression and smoothing leave them: "
        "what is brighter than half is taken for tumour. Save masks as PNG in black and white."
    )
