"""Decoding numpy arrays."""

from pathlib import Path

import numpy as np

from brainseg.scans.notes import note
from brainseg.scans.scan import ScanError, check_size

_CHANNELS = (1, 3, 4)
_SIDE = 16  # what is shorter than this is no edge of a picture


def read_npy(file: Path, name: str) -> np.ndarray:
    """Pixels (slices, height, width, channels) of a .npy array, by the rule in `read_scan`.

    A note says which of several plausible readings was taken. Raises ScanError for another number
    of axes, and as `read_array` does.
    """
    stored = read_array(file, name)
    if stored.ndim == 2:
        return stored[None, ..., None]
    if stored.ndim == 3:
        if stored.shape[-1] in (*_CHANNELS, 2):  # two channels are refused as such
            return stored[None]
        note_slices(stored.shape, name)
        return stored[..., None]
    if stored.ndim == 4:
        return _with_channels(stored, name)
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


def _with_channels(stored: np.ndarray, name: str) -> np.ndarray:
    """Four axes, with the channels moved to the end where they must lie elsewhere."""
    shape = stored.shape
    if shape[-1] in _CHANNELS or min(shape[2:]) < _SIDE:
        note_slices(shape, name)
        return stored
    axis = next((axis for axis in (1, 0) if shape[axis] in _CHANNELS), None)
    if axis is None:
        return stored
    if shape[axis] > 1:
        note(
            f"{name} has shape {shape} and was read as {shape[1 - axis]} slices of {shape[axis]} "
            "channels. If that is wrong, save it as (slices, height, width, channels)."
        )
    return np.moveaxis(stored, axis, -1)


def note_slices(shape: tuple, name: str) -> None:
    """Say how an array of (slices, height, width) or (slices, height, width, channels) was read,
    where its shape suggests that the axes may be others."""
    slices, height, width = shape[:3]
    found = f"{name} has shape {shape} and was read as {slices} slices of {height} x {width}."
    are_thin = width < _SIDE <= min(slices, height)  # no head is so narrow
    if min(height, width) < _SIDE and not are_thin:
        return
    if slices in (3, 4) and len(shape) == 3:
        note(f"{found} If the first axis holds channels, save it as (height, width, channels).")
    elif slices == height != width or width < min(slices, height):
        note(
            f"{found} If the slices lie along another axis, which the shape suggests, save it with "
            "them first, for example numpy.moveaxis(array, 2, 0)."
        )
