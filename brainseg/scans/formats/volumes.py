"""Decoding NIfTI, DICOM, MHA and NRRD, all but the first through SimpleITK.

The size that the header states is checked before anything is decoded.
"""

import math
from pathlib import Path

import numpy as np

from brainseg.scans.formats.detached import check_attached
from brainseg.scans.formats.dicom import read_series
from brainseg.scans.formats.nifti import read_nifti
from brainseg.scans.formats.sniffing import VOLUMES
from brainseg.scans.formats.text_headers import stated_place
from brainseg.scans.geometry import to_patient_axes
from brainseg.scans.scan import ScanError, check_size


def read_volume(
    files: list[Path], name: str, kind: str
) -> tuple[np.ndarray, np.ndarray | None, dict]:
    """Pixels (slices, height, width, channels), affine and source grid of a medical image.

    `files` is one file, or the ordered files of a DICOM series. The affine (4, 4) takes (column,
    row, slice, 1) to LPS mm and is None where the file states no place; the source grid (a dict)
    is what `restore_grid` needs.

    Raises ScanError for too many voxels, a time series, complex values, missing voxels, a detached
    header and unevenly spaced DICOM slices; SimpleITK's errors for damage.
    """
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    if kind == "nifti":
        image, stated = read_nifti(files[0], name)
        return to_patient_axes(image, **stated)
    reader = sitk.ImageFileReader()
    reader.SetImageIO(VOLUMES[kind])
    reader.SetFileName(str(files[0]))
    reader.ReadImageInformation()
    _check_header(reader, name, len(files))
    stated = {"name": name}
    if kind in ("mha", "nrrd"):
        check_attached(files[0], name, kind)
        stated = stated_place(files[0], name, kind)
    image = reader.Execute() if len(files) == 1 else read_series(files, name)
    unit_mm = stated.pop("unit_mm", 1.0)
    image.SetSpacing([side * unit_mm for side in image.GetSpacing()])
    image.SetOrigin([place * unit_mm for place in image.GetOrigin()])
    return to_patient_axes(image, **stated)


def _check_header(reader, name: str, files: int) -> None:
    """Raise ScanError for what a header states and nobody could read as a scan."""
    import SimpleITK as sitk

    size = reader.GetSize()
    check_size(math.prod(size) * reader.GetNumberOfComponents() * files, name)
    if len(size) > 4 or (len(size) == 4 and size[3] > 4):
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
