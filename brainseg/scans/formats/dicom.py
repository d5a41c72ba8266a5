"""DICOM: which files of a folder are one series, and whether that series is whole."""

from pathlib import Path

import numpy as np

from brainseg.scans.formats.sniffing import VOLUMES
from brainseg.scans.scan import ScanError


def series_files(folder: Path, name: str) -> list[Path]:
    """Files of the one DICOM series in a folder, ordered by position in the patient.

    Raises ScanError for no series, or several, which it lists.
    """
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageSeriesReader
    series = [
        reader.GetGDCMSeriesFileNames(str(folder), uid)
        for uid in reader.GetGDCMSeriesIDs(str(folder))
    ]
    if not series:
        raise ScanError(
            f"{name} holds DICOM files without an image series. Give the files of one MR series."
        )
    if len(series) > 1:
        found = "; ".join(
            sorted(f"{_description(files[0])} ({len(files)} slices)" for files in series)
        )
        raise ScanError(
            f"{name} holds {len(series)} DICOM series, expected one: {found}. "
            "Give the files of one series only."
        )
    return [Path(file) for file in series[0]]


def read_series(files: list[Path], name: str):
    """SimpleITK image, 3-D, of the ordered files of a series.

    Raises ScanError when its slices are not evenly spaced.
    """
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader()
    reader.SetImageIO(VOLUMES["dicom"])
    reader.SetFileNames([str(file) for file in files])
    reader.MetaDataDictionaryArrayUpdateOn()
    image = reader.Execute()
    key = "0020|0032"  # position of each slice in the patient
    if all(reader.HasMetaDataKey(number, key) for number in range(len(files))):
        places = [reader.GetMetaData(number, key).split("\\") for number in range(len(files))]
        normal = np.reshape(image.GetDirection(), (3, 3))[:, 2]
        steps_mm = np.diff(np.array(places, float) @ normal)
        if np.ptp(steps_mm) > 0.1 * abs(steps_mm.mean()) or not steps_mm.all():
            raise ScanError(
                f"{name} has unevenly spaced slices (steps of {steps_mm.min():.3g} to "
                f"{steps_mm.max():.3g} mm): slices are missing or several time "
                "points are mixed. Give one complete series."
            )
    return image


def _description(file: str) -> str:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO(VOLUMES["dicom"])
    reader.SetFileName(file)
    reader.ReadImageInformation()
    key = "0008|103e"
    text = reader.GetMetaData(key).strip() if reader.HasMetaDataKey(key) else ""
    return text or "no description"
