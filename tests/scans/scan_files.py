"""Files of every format to read, made on the spot, and how a refusal must look."""

import numpy as np
import pytest
import SimpleITK as sitk

from brainseg.scans.reading import read_scan
from brainseg.scans.scan import ScanError

VOLUME_SUFFIXES = [".nii", ".nii.gz", ".mha", ".nrrd"]


def noise(*shape, dtype=np.uint8, low=0, high=250):
    return np.random.default_rng(0).integers(low, high, shape).astype(dtype)


def direction_of(code):
    return sitk.DICOMOrientImageFilter.GetDirectionCosinesFromOrientation(code)


def volume(
    path,
    array,
    code="LPS",
    spacing=(1.0, 1.0, 1.0),
    origin=(0.0, 0.0, 0.0),
    direction=None,
    vector=False,
):
    image = sitk.GetImageFromArray(array, isVector=vector)
    if image.GetDimension() == 3:
        image.SetSpacing(spacing)
        image.SetOrigin(origin)
        image.SetDirection(direction or direction_of(code))
    sitk.WriteImage(image, str(path))
    return image


def dicom_series(
    folder,
    slices,
    uid="1.2.3",
    heights=None,
    description="T1",
    names=None,
    rows_columns=(1, 0, 0, 0, 1, 0),
    normal=(0, 0, 1),
    patch=None,
    tags=None,
):
    folder.mkdir(exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.KeepOriginalImageUIDOn()
    for number, pixels in enumerate(slices):
        height = number * 3.0 if heights is None else heights[number]
        image = sitk.GetImageFromArray(pixels[None])
        image.SetSpacing((0.5, 0.75, 3.0))
        image.SetOrigin([height * n for n in normal])
        across, down = np.reshape(rows_columns, (2, 3))
        image.SetDirection(np.array([across, down, normal], float).T.ravel().tolist())
        for key, value in {
            "0008|0018": f"{uid}.{number + 1}",
            "0008|0060": "MR",
            "0008|103e": description,
            "0018|0050": "3",
            "0020|000d": "1.2",
            "0020|000e": uid,
            **(tags or {}),
        }.items():
            image.SetMetaData(key, value)
        file = folder / (names[number] if names else f"IM{number}.dcm")
        writer.SetFileName(str(file))
        writer.Execute(image)
        if patch:
            file.write_bytes(file.read_bytes().replace(*patch))
    return folder


def refused(path, *words, read=read_scan):
    """Assert that reading raises one ScanError naming the file, of at most three sentences."""
    with pytest.raises(ScanError) as error:
        read(path)
    message = str(error.value)
    for word in (path.name, *words):
        assert word in message, message
    assert message.endswith(".") and "\n" not in message
    return message


def ball(*shape, radius=0.3, centre=0.5):
    """A tumour, bool: the pixels within a share of each side from a point (a share as well)."""
    axes = np.ogrid[tuple(slice(n) for n in shape)]
    away = [
        (axis - centre * (side - 1)) / max(radius * side, 0.6)
        for axis, side in zip(axes, shape, strict=True)
    ]
    return sum(axis**2 for axis in away) <= 1


def says(notes, *words):
    """Assert that exactly one note was made, a sentence with these words."""
    assert len(notes) == 1, notes
    for word in words:
        assert word in notes[0], notes[0]
    assert notes[0].endswith(".") and "\n" not in notes[0]
