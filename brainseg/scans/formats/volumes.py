"""Decoding NIfTI, DICOM, MHA and NRRD, all but the first through SimpleITK.

The size that the header states is checked before anything is decoded.
"""

import math
from pathlib import Path

import numpy as np

from brainseg.scans.formats.dicom import read_series, series_slices
from brainseg.scans.formats.nifti import read_nifti
from brainseg.scans.formats.sniffing import VOLUMES
from brainseg.scans.formats.text_headers import check_compressed, stated_place
from brainseg.scans.geometry import to_patient_axes
from brainseg.scans.scan import ScanError, check_size


def read_volume(
    files: list[Path], name: str, kind: str
) -> tuple[np.ndarray, np.ndarray | None, dict]:
    """Pixels (slices, height, width, channels), affine and source grid of a medical image.

    `files` is one file, or those among which the files of one DICOM series are. The affine (4, 4)
    takes (column, row, slice, 1) to LPS mm and is None where the file states no place; the source
    grid (a dict) is what `restore_grid` needs. Raises what `read_image` does.
    """
    image, stated = read_image(files, name, kind)
    return to_patient_axes(image, **stated)


def read_image(files: list[Path], name: str, kind: str, most: int | None = 4) -> tuple:
    """SimpleITK image, as stored, of one file or the files of a DICOM series, and what it states of
    its place: a dict for `to_patient_axes`.

    most: of a fourth axis, the length up to which its volumes are channels; None for any.

    Raises ScanError for too many voxels, a time series, complex values, missing voxels, a detached
    header and whatever keeps DICOM files from being one stack; SimpleITK's errors for damage.
    """
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    if kind == "dicom":
        slices, grid = series_slices(files, name)
        stated = {"is_placed": grid.is_placed, "counts_down": grid.counts_down}
        return read_series(slices, grid, name), {"name": name, **stated}
    if kind == "nifti":
        return read_nifti(files[0], name, most)
    stated = stated_place(files[0], name, kind)
    reader = sitk.ImageFileReader()
    reader.SetImageIO(VOLUMES[kind])
    reader.SetFileName(str(files[0]))
    reader.ReadImageInformation()
    _check_header(reader, name, most)
    image = reader.Execute()
    check_compressed(files[0], name, kind, sitk.GetArrayViewFromImage(image).nbytes)
    unit_mm = stated.pop("unit_mm", 1.0)
    image.SetSpacing([side * unit_mm for side in image.GetSpacing()])
    image.SetOrigin([place * unit_mm for place in image.GetOrigin()])
    return image, stated


def _check_header(reader, name: str, most: int | None) -> None:
    """Raise ScanError for what a header states and nobody could read as a scan."""
    import SimpleITK as sitk

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
    if not all(reader.GetSpacing()):
        raise ScanError(
            f"{name} states a voxel size of 0. State the true one in its header, in mm."
        )
    direction = np.reshape(reader.GetDirection(), (len(size), len(size)))
    if abs(np.linalg.det(direction)) < 1e-6:
        raise ScanError(
            f"{name} states axes that fall together, expected right angles. Mend its header, or "
            "export it again."
        )
