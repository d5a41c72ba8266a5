"""DICOM files that hold no scan are called by their names."""

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from brainseg.scans.notes import noting
from brainseg.scans.reading import read_scan
from tests.scans.dicom_files import STORAGE, dicom_file, series, slice_file
from tests.scans.scan_files import noise, refused, says, volume

ARRAY = noise(4, 5, 6, dtype=np.uint16)
DIRECTORY = "1.2.840.10008.1.3.10"


def thing(path, sop_class, **values):
    return dicom_file(
        path, {"sop_class": sop_class, "series": "1.2.7", "patient": "Doe^Jane", **values}
    )


@pytest.mark.parametrize(
    "sop_class, words",
    [
        (DIRECTORY, "a DICOMDIR"),
        (f"{STORAGE}481.3", "an RTSTRUCT"),
        (f"{STORAGE}88.11", "a structured report (SR)"),
        (f"{STORAGE}88.59", "a key object selection (KO)"),
        (f"{STORAGE}11.1", "a presentation state (PR)"),
        (f"{STORAGE}104.1", "an encapsulated PDF"),
        (f"{STORAGE}4.2", "MR spectroscopy"),
        ("1.3.12.2.1107.5.9.1", "a DICOM object without an image (modality MR)"),
    ],
)
def test_objects_without_an_image(tmp_path, sop_class, words):
    path = thing(tmp_path / "x" / "x.dcm", sop_class, modality="MR")
    assert "Doe" not in refused(path, f"no image of the patient but {words}", "one MR series")
    refused(path.parent, words)
    thing(tmp_path / "x" / "y.dcm", sop_class, modality="MR")
    refused(path.parent, f"2 times {words}")
    series(path.parent, ARRAY)
    with noting() as notes:
        scan = read_scan(path.parent)
    assert np.array_equal(scan.pixels[..., 0], ARRAY)
    if sop_class == DIRECTORY:
        assert notes == []
        return
    (told,) = notes
    assert "x also holds what is no slice" in told and f"{words}" in told and "y.dcm" in told


def test_segmentations_and_doses_are_no_scans(tmp_path):
    for number, words in [("66.4", "a segmentation (DICOM SEG)"), ("481.2", "an RT dose")]:
        path = slice_file(tmp_path / number, ARRAY[0], sop_class=STORAGE + number)
        message = refused(path, words)
        assert ("by itself, as the true mask" in message) == (number == "66.4")


def test_dicomdir_beside_its_files(tmp_path):
    folder = series(tmp_path / "IMAGES", ARRAY).parent
    thing(folder / "DICOMDIR", DIRECTORY)
    with noting() as notes:
        scan = read_scan(folder)
    assert np.array_equal(scan.pixels[..., 0], ARRAY) and notes == []


def test_a_report_beside_another_format(tmp_path):
    (tmp_path / "p").mkdir()
    volume(tmp_path / "p" / "flair.nii.gz", ARRAY.astype(np.int16))
    thing(tmp_path / "p" / "report.dcm", f"{STORAGE}88.11")
    with noting() as notes:
        scan = read_scan(tmp_path / "p")
    assert np.array_equal(scan.pixels[..., 0], ARRAY)
    says(notes, "p also holds DICOM files without an image, left out: report.dcm")


def test_a_picture_above_the_folders_of_a_medium(tmp_path):
    folder = series(tmp_path / "cd" / "IMAGES", ARRAY).parent
    Image.fromarray(noise(9, 8)).save(folder / "splash.png")
    with noting() as notes:
        scan = read_scan(folder)
    assert np.array_equal(scan.pixels[..., 0], ARRAY)
    says(notes, "cd holds DICOM files, and pictures, which were left out: splash.png")


def test_mosaics_and_video(tmp_path):
    kind = "ORIGINAL\\PRIMARY\\M\\ND\\MOSAIC"
    refused(slice_file(tmp_path / "m", ARRAY[0], image_type=kind), "mosaic", "dcm2niix")
    path = slice_file(tmp_path / "v", ARRAY[0], syntax="1.2.840.10008.1.2.4.102")
    refused(path, "MPEG video", "uncompressed")
    path = slice_file(tmp_path / "j", ARRAY[0], syntax="1.2.840.10008.1.2.4.90", pixels=b"")
    refused(path, "cannot be decoded", "its JPEG 2000 compression")


def test_compressed_pixels_that_are_cut_off_are_not_tried(tmp_path):
    path = tmp_path / "j.dcm"
    image = sitk.GetImageFromArray(noise(1, 64, 64))
    sitk.WriteImage(image, str(path), useCompression=True)
    assert read_scan(path).pixels.shape == (1, 64, 64, 1)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(0.9 * len(whole))])
    refused(path, "ends within its compressed pixels")


def test_a_header_without_pixels(tmp_path):
    refused(slice_file(tmp_path / "h", ARRAY[0], pixels=None), "holds no pixels")
