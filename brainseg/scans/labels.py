"""Classes of a tumour written back where the scan came from, as ``masks.py`` does its mask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from brainseg.scans.masks import (
    PICTURE_SUFFIXES,
    suffix_for,
    whole_file,
    write_pages,
    write_values,
)
from brainseg.scans.rendering import CLASS_COLOURS, class_colour
from brainseg.scans.scan import Scan, ScanError
from brainseg.scans.segments import SUFFIX, write_segments

LABELS = "-labels"  # behind the name of the mask that they divide


def write_labels(labels: np.ndarray, classes: Sequence[str], scan: Scan, path) -> Path:
    """Write the classes of each pixel so that they overlay the scan's source; returns the path.

    labels: uint8 (slices, height, width), on the grid of ``scan.pixels``: 0, or 1 to the number of
        ``classes``, which are their names. ``Result.labels`` are such.
    path: its suffix sets the format, as with ``write_mask``. Volumes and .npy hold the labels
        themselves; .png, .tif and .tiff hold them as the indices of a palette, whose colours the
        colour-blind can tell apart (``rendering.CLASS_COLOURS``); .seg.nrrd holds a named segment
        for each class, of volumes alone. The file appears whole or not at all.

    Raises ScanError for another dtype, a label without a class, and as ``write_mask`` and
    ``write_segments`` do.
    """
    labels, path = np.asarray(labels), Path(path)
    if labels.dtype != np.uint8 or not 1 <= len(classes) <= 255:
        raise ScanError(
            f"The labels for {path.name} are {labels.dtype} of {len(classes)} classes: expected "
            "uint8 of 1 to 255 classes."
        )
    if labels.max(initial=0) > len(classes):
        raise ScanError(
            f"A label for {path.name} is {labels.max()}, and there are {len(classes)} classes: "
            "give the name of each."
        )
    if path.name.lower().endswith(SUFFIX):
        masks = ((name, labels == number) for number, name in enumerate(classes, start=1))
        return write_segments(masks, scan, path, CLASS_COLOURS)
    suffix = suffix_for(labels, scan, path)
    with whole_file(path, suffix) as aside:
        if suffix in PICTURE_SUFFIXES:
            write_pages([_coloured(page, len(classes)) for page in labels], scan, aside)
        else:
            write_values(labels, scan, aside, suffix)
    return path


def _coloured(page: np.ndarray, classes: int):
    """Pillow's picture of one slice, with a palette: black, and a colour for each class."""
    from PIL import Image

    picture = Image.fromarray(page)
    picture.putpalette([0, 0, 0, *(c for i in range(1, classes + 1) for c in class_colour(i))])
    return picture
