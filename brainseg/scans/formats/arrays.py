"""Decoding numpy arrays."""

from pathlib import Path

import numpy as np

from brainseg.scans.scan import ScanError, check_size


def read_npy(file: Path, name: str) -> np.ndarray:
    """Pixels (slices, height, width, channels) of a .npy array, by the rule in `read_scan`.

    Raises ScanError for another number of axes, and as `read_array` does.
    """
    stored = read_array(file, name)
    if stored.ndim == 2:
        return stored[None, ..., None]
    if stored.ndim == 3:
        return stored[None] if stored.shape[-1] in (3, 4) else stored[..., None]
    if stored.ndim == 4:
        return stored
    raise ScanError(
        f"{name} holds an array of shape {stored.shape}, expected (height, width), "
        "(slices, height, width) or (slices, height, width, channels). Reshape it."
    )


def read_array(file: Path, name: str) -> np.ndarray:
    """The array of a .npy file, as it is.

    Raises ScanError for Python objects and more than MAX_PIXELS samples.
    """
    try:
        stored = np.load(file, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        if "Python objects" in str(error):
            raise ScanError(
                f"{name} holds Python objects, expected numbers. "
                "Save a plain numeric array with numpy.save."
            ) from error
        raise
    check_size(stored.size, name)
    return np.array(stored)
