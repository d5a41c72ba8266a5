"""Decoding NIfTI, DICOM, MHA and NRRD through SimpleITK.

The size that the header states is checked before anything is decoded.
"""

import math
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from brainseg.scans.formats.detached import check_attached
from brainseg.scans.formats.dicom import read_series, series_slices
from brainseg.scans.formats.nifti import check_nifti, openable
from brainseg.scans.formats.sniffing import VOLUMES
from brainseg.scans.geometry import to_patient_axes
from brainseg.scans.scan import ScanError, check_size


def read_volume(files: list[Path], name: str, kind: str) -> tuple[np.ndarray, np.ndarray, dict]:
    """Pixels (slices, height, width, channels), affine and source grid of a medical image.

    `files` is one file, or those among which the files of one DICOM series are. The affine (4, 4)
    takes (column, row, slice, 1) to LPS mm; the source grid (a dict) is what `restore_grid` needs.

    Raises what `read_image` does.
    """
    return to_patient_axes(read_image(files, name, kind))


def read_image(files: list[Path], name: str, kind: str, most: int | None = 4):
    """SimpleITK image, as stored, of one file or the ordered files of a DICOM series.

    most: of a fourth axis, the length up to which its volumes are channels; None for any.

    Raises ScanError for too many voxels, a time series, complex values, missing voxels, a detached
    header and whatever keeps DICOM files from being one stack; SimpleITK's errors for damage.
    """
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    if kind == "dicom":
        slices, grid = series_slices(files, name)
        return read_series(slices, grid, name)
    with openable(files[0]) if kind == "nifti" else nullcontext(files[0]) as first:
        reader = sitk.ImageFileReader()
        reader.SetImageIO(VOLUMES[kind])
        reader.SetFileName(str(first))
        reader.ReadImageInformation()
        size = reader.GetSize()
        check_size(math.prod(size) * reader.GetNumberOfComponents(), name)
        if len(size) > 4 or (most and len(size) == 4 and size[3] > most):
            raise ScanError(
                f"{name} has size {size}: it looks like a time series, expected one "
                "volume. Save a single time point as 3-D."
            )
        pixel_type = sitk.GetPixelIDValueAsString(reader.GetPixelID())
        if "complex" in pixel_type:
            raise ScanError(
                f"{name} holds {pixel_type} values, expected real numbers. Save its magnitude."
            )
        if kind == "nifti":
            check_nifti(first, name)
        elif kind in ("mha", "nrrd"):
            check_attached(first, name, kind)
        return reader.Execute()
