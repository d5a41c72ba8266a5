"""What a scan is in memory, and what every reader of one holds it to.

Volumes are axial slices in LPS: rows run front to back, columns from the patient's right to the
left, slices from the feet to the head. A picture is a scan of one slice, as stored.
"""

import errno
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Of errors of the system: no room, no memory, too many files open, a quota.
_OF_THE_MACHINE = {errno.ENOSPC, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EDQUOT}
MAX_PIXELS = 512 * 512 * 1024
"""Largest number of samples (slices x height x width x channels) that is read from one source."""


class ScanError(ValueError):
    """A scan or mask that cannot be used: says what was found, what was expected, what to do."""


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan in memory; a 2-D image is a scan of one slice.

    pixels: (slices, height, width, channels), 1 or 3 channels (up to 4 as a file stores them),
        numeric dtype of the source (bool becomes uint8), finite, C-contiguous.
    spacing_mm: (slice, row, column) in mm, or None where the file states none.
    affine: (4, 4) float64, index (column, row, slice, 1) of `pixels` to LPS position in mm; None
        where the file states no place.
    source: file name, for messages.
    format: kind of the source: "png", "jpeg", "tiff", "bmp", "webp", "npy", "nifti", "dicom",
        "mha" or "nrrd".
    geometry: the source's own voxel grid, opaque; lets `write_mask` give a mask back on it.
    """

    pixels: np.ndarray
    spacing_mm: tuple[float, float, float] | None = None
    affine: np.ndarray | None = None
    source: str = ""
    format: str = "npy"
    geometry: dict | None = None


NUMBER = re.compile(r"((?:(?<=[_ ])-)?\d+)")
"""A number in a name: of `slice_-5` it is -5, of `slice-5` 5."""


def natural_key(name) -> list:
    """Sort key that puts `slice_2` before `slice_10`, and `slice_-5` before both."""
    texts_and_numbers = NUMBER.split(str(name).lower())  # in turn
    return [int(part) if i % 2 else part for i, part in enumerate(texts_and_numbers)]


def check_size(samples: int, name: str) -> None:
    """Raise ScanError when a source states more samples than MAX_PIXELS."""
    if samples > MAX_PIXELS:
        raise ScanError(
            f"{name} states {samples:,} samples, more than the {MAX_PIXELS:,} that are "
            "read. Crop it or reduce its resolution."
        )


def check_values(pixels: np.ndarray, name: str) -> None:
    """Raise ScanError for pixels that are no real numbers, for none at all, and for NaN or Inf."""
    if pixels.dtype.kind not in "biuf":
        raise ScanError(
            f"{name} holds values of type {pixels.dtype}, expected real numbers. "
            "Save its magnitude as integers or floats."
        )
    if pixels.size == 0:
        raise ScanError(f"{name} has no pixels (size {pixels.shape}). Export it again.")
    bad = pixels.size - np.count_nonzero(np.isfinite(pixels)) if pixels.dtype.kind == "f" else 0
    if bad:
        raise ScanError(
            f"{name} holds {bad} values that are NaN or infinite. Replace them, for "
            "example by 0, and save it again."
        )


@contextmanager
def decoding(path: Path):
    """Turn whatever a decoder raises on damaged input into a ScanError."""
    name = path.name
    try:
        yield
    except ScanError:
        raise
    except FileNotFoundError as error:
        raise ScanError(f"{path} does not exist. Check the path.") from error
    except PermissionError as error:
        raise ScanError(f"{name} may not be read by this user. Check its rights.") from error
    except (ImportError, MemoryError) as error:  # no fault of the file
        raise ScanError(
            f"{name} can't be read on this machine: {str(error) or 'no memory'}."
        ) from error
    except OSError as error:
        if error.errno in _OF_THE_MACHINE:
            raise ScanError(
                f"{name} can't be read on this machine now: {error.strerror}. Make room, and try "
                "again."
            ) from error
        raise _damaged(name) from error
    except Exception as error:  # Pillow, SimpleITK, zlib and numpy raise nearly every type
        raise _damaged(name) from error


def _damaged(name: str) -> ScanError:
    return ScanError(
        f"{name} cannot be decoded: it is truncated, damaged or of a variant that is not "
        "supported. Copy, download or export it again."
    )
