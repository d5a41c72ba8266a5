"""Cases whose slices and masks lie in one picture file each; shared by the picture data sets."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from brainseg.data.case import Case, CaseRef, DataError, check_channels, naming
from brainseg.scans.masks import read_mask
from brainseg.scans.reading import read_stored
from brainseg.scans.scan import Scan


def slices_ref(
    patient_id: str, dataset: str, pairs: list[tuple[Path, Path]], name: str = ""
) -> CaseRef:
    """A reference to one case of (image, mask) files. A missing mask is reported at once."""
    for image, mask in pairs:
        if not mask.is_file():
            raise DataError(f"{image} has no mask: expected {mask}.")
    files = tuple(file for pair in pairs for file in pair)
    read = partial(read_slices, patient_id, dataset, tuple(pairs))
    return CaseRef(patient_id, name or patient_id, files, read)


def read_slices(patient_id: str, dataset: str, pairs: tuple[tuple[Path, Path], ...]) -> Case:
    """Stack (image, mask) picture pairs, in the order given, into one case.

    Where grey slices lie among coloured ones, these get three equal channels. Raises DataError
    naming the file when a file can't be read, has other than one or three channels, a mask is of
    another size or not binary, or the slices differ in size or depth.
    """
    images, masks = [], []
    for image_path, mask_path in pairs:
        with naming(image_path):
            scan = read_stored(image_path)  # the order of channels is the data set's
        with naming(mask_path):
            mask = read_mask(mask_path, scan)
        check_channels(image_path, scan)
        if images and scan.pixels.dtype != images[0].dtype:
            raise DataError(
                f"{image_path} holds {scan.pixels.dtype}, but the patient's first slice "
                f"{images[0].dtype}: all slices of one patient must be of one depth."
            )
        if images and scan.pixels.shape[1:3] != images[0].shape[1:3]:
            raise DataError(
                f"{image_path} is {scan.pixels.shape[1:3]} (height, width), but the patient's "
                f"first slice is {images[0].shape[1:3]}: all slices of one patient must agree."
            )
        images.append(scan.pixels)
        masks.append(mask)
    source = str(pairs[0][0].parent)
    channels = max(image.shape[-1] for image in images)
    images = [np.broadcast_to(image, (*image.shape[:3], channels)) for image in images]
    pixels = np.concatenate(images)
    return Case(patient_id, dataset, Scan(pixels, None, None, source), np.concatenate(masks))
