"""DICOM: series are ordered by position and whole."""

import numpy as np
import pytest
import SimpleITK as sitk

from brainseg.scans.masks import mask_suffix, write_mask
from brainseg.scans.reading import read_scan
from tests.scans.scan_files import dicom_series, noise, refused


def test_dicom_series_is_ordered_by_position(tmp_path):
    array = noise(4, 5, 6, dtype=np.int16, low=-50)
    folder = dicom_series(tmp_path / "s", array, names=["d.dcm", "a.dcm", "c.dcm", "b.dcm"])
    scan = read_scan(folder)
    assert np.array_equal(scan.pixels[..., 0], array)
    assert scan.spacing_mm == pytest.approx((3.0, 0.75, 0.5))
    assert (scan.source, scan.format, mask_suffix(scan)) == ("s", "dicom", ".nii.gz")
    mask = sitk.ReadImage(str(write_mask(array > 9, scan, tmp_path / "m.nii.gz")))
    assert np.array_equal(sitk.GetArrayFromImage(mask), array > 9)
    assert mask.GetSpacing() == pytest.approx((0.5, 0.75, 3.0))


def test_single_dicom_file_of_any_name(tmp_path):
    array = noise(1, 5, 6, dtype=np.uint16)
    dicom_series(tmp_path / "s", array, names=["IM0001"])
    scan = read_scan(tmp_path / "s" / "IM0001")
    assert np.array_equal(scan.pixels[..., 0], array) and scan.spacing_mm[0] == 3.0


def test_single_sagittal_slice_keeps_its_plane(tmp_path):
    array = noise(1, 5, 6, dtype=np.uint16)
    folder = dicom_series(
        tmp_path / "s", array, rows_columns=(0, 1, 0, 0, 0, -1), normal=(-1, 0, 0)
    )
    scan = read_scan(folder)
    assert np.array_equal(scan.pixels[..., 0], array)
    mask = sitk.ReadImage(str(write_mask(array > 9, scan, tmp_path / "m.nii.gz")))
    assert np.array_equal(sitk.GetArrayFromImage(mask), array > 9)


def test_dicom_rescale_and_monochrome1(tmp_path):
    array = np.array([[[0, 10], [400, 65535]]], np.uint16)
    folder = dicom_series(tmp_path / "m", array, patch=(b"MONOCHROME2 ", b"MONOCHROME1 "))
    assert np.array_equal(read_scan(folder).pixels[..., 0], 65535 - array)
    stored = 2 * (array // 4) - 10.0
    folder = dicom_series(
        tmp_path / "r", stored.astype(np.int32), tags={"0028|1053": "2", "0028|1052": "-10"}
    )
    assert np.array_equal(read_scan(folder).pixels[..., 0], stored)


def test_several_dicom_series_are_listed(tmp_path):
    folder = dicom_series(tmp_path / "s", noise(3, 4, 4, dtype=np.int16), description="T1 ax")
    dicom_series(
        folder, noise(2, 4, 4, dtype=np.int16), uid="1.2.4", description="FLAIR", names=["x1", "x2"]
    )
    refused(folder, "FLAIR (2 slices)", "T1 ax (3 slices)", "one series")


@pytest.mark.parametrize("heights", [[0, 3, 6, 12], [0, 3, 0, 3]])
def test_missing_or_repeated_dicom_slices(tmp_path, heights):
    folder = dicom_series(tmp_path / "s", noise(4, 5, 6, dtype=np.int16), heights=heights)
    refused(folder, "unevenly spaced", "complete series")
