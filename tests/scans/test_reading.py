"""Reading a scan: content decides what a file is, and what is bad is refused in words."""

import errno
import gzip
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from brainseg.scans import scan as scan_module
from brainseg.scans.formats import pictures, volumes
from brainseg.scans.masks import mask_suffix
from brainseg.scans.reading import read_scan
from brainseg.scans.scan import ScanError, natural_key
from tests.scans.scan_files import VOLUME_SUFFIXES, dicom_series, noise, refused, volume


def test_content_decides_under_a_foreign_suffix(tmp_path):
    array = noise(3, 4, 5)
    for suffix in (".nii", ".nii.gz", ".mha", ".nrrd"):
        volume(tmp_path / f"a{suffix}", array)
        odd = tmp_path / f"odd{suffix[1:].replace('.', '')}.png"
        odd.write_bytes((tmp_path / f"a{suffix}").read_bytes())
        assert np.array_equal(read_scan(odd).pixels[..., 0], array)
    Image.fromarray(array[0]).save(tmp_path / "b.png")
    (tmp_path / "b.nii.gz").write_bytes((tmp_path / "b.png").read_bytes())
    assert read_scan(tmp_path / "b.nii.gz").format == "png"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device. Make room"),
        (MemoryError(), "no memory"),
        (ImportError("No module named 'SimpleITK'"), "SimpleITK"),
    ],
)
def test_what_the_machine_lacks_is_no_fault_of_the_file(tmp_path, error, words):
    with pytest.raises(ScanError, match=words) as caught, scan_module.decoding(tmp_path / "a.png"):
        raise error
    assert "damaged" not in str(caught.value) and "a.png" in str(caught.value)


def test_folder_of_pictures_in_natural_order(tmp_path):
    folder = tmp_path / "patient"
    folder.mkdir()
    pages = noise(11, 4, 5)
    for number, page in enumerate(pages, start=1):
        Image.fromarray(page).save(folder / f"p_{number}.tif")
        Image.fromarray((page > 100).astype(np.uint8) * 255).save(folder / f"p_{number}_mask.tif")
    (folder / "notes.txt").write_text("not a scan")
    scan = read_scan(folder)
    assert np.array_equal(scan.pixels[..., 0], pages) and mask_suffix(scan) == ".tif"
    Image.fromarray(noise(3, 3)).save(folder / "p_12.tif")
    refused(folder, "different sizes", "p_12.tif", "(3, 3, 1)")


def test_natural_key():
    names = ["a_10", "a_2", "A_1", "2", "10", "b"]
    assert sorted(names, key=natural_key) == ["2", "10", "A_1", "a_2", "a_10", "b"]
    signed = ["z_5", "z_-5", "z_-10", "z-7", "z-30"]  # between words a dash is no sign
    assert sorted(signed, key=natural_key) == ["z-7", "z-30", "z_-10", "z_-5", "z_5"]


def test_what_is_no_scan(tmp_path):
    refused(tmp_path / "none.png", "does not exist", "Check the path")
    for name, content, words in [
        ("a.png", b"hello", "plain text"),
        ("b.nii.gz", b"", "empty (0 bytes)"),
        ("c.png", bytes(range(9, 60)), "unknown data"),
        ("d.nii.gz", gzip.compress(b"hello"), "gzip data that is not NIfTI"),
        ("e.dcm", b"<html>", "plain text"),
    ]:
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, words, "expected PNG", "Give the scan itself")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "no scan among its 0 files", "Give the folder")


@pytest.mark.parametrize("share", [0.2, 0.6, 0.99])
def test_truncated_files(tmp_path, share):
    array = noise(30, 40, 3)
    for suffix in (".png", ".jpg", ".tif", ".bmp", ".webp"):
        Image.fromarray(array).save(tmp_path / f"p{suffix}")
    for suffix in (".png", ".tif"):
        cv2.imwrite(str(tmp_path / f"deep{suffix}"), array.astype(np.uint16) * 200)
    cv2.imwritemulti(str(tmp_path / "pages.tif"), list(noise(6, 30, 40, dtype=np.uint16)))
    np.save(tmp_path / "a.npy", array)
    for suffix in VOLUME_SUFFIXES:
        volume(tmp_path / f"v{suffix}", noise(8, 9, 10, dtype=np.int16))
    dicom_series(tmp_path, noise(1, 30, 40, dtype=np.int16), names=["s.dcm"])
    for file in sorted(tmp_path.iterdir()):
        whole = file.read_bytes()
        assert read_scan(file).pixels.size
        file.write_bytes(whole[: int(len(whole) * share)])
        refused(file)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite(tmp_path, value):
    array = np.ones((3, 4, 5), np.float32)
    array[1, 2, 3] = array[0, 0, 0] = value
    np.save(tmp_path / "a.npy", array)
    volume(tmp_path / "a.nii.gz", array)
    for name in ("a.npy", "a.nii.gz"):
        refused(tmp_path / name, "2 values", "NaN or infinite", "Replace")


def test_constant_images_are_allowed(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    assert not read_scan(tmp_path / "a.png").pixels.any()


def test_size_is_refused_before_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr(scan_module, "MAX_PIXELS", 100)
    Image.fromarray(noise(20, 20)).save(tmp_path / "a.png")
    Image.fromarray(noise(20, 20)).save(tmp_path / "a.jpg")
    cv2.imwritemulti(str(tmp_path / "a.tif"), [noise(9, 9)] * 2)
    np.save(tmp_path / "a.npy", noise(20, 20))
    for suffix in VOLUME_SUFFIXES:
        volume(tmp_path / f"a{suffix}", noise(5, 5, 5))
    dicom_series(tmp_path / "s", noise(3, 6, 6, dtype=np.int16))
    for module, name in [
        (pictures, "_pillow_array"),
        (pictures, "_opencv_frames"),
        (volumes, "read_series"),
        (volumes, "to_patient_axes"),
    ]:
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("decoded"))
    for path in tmp_path.iterdir():
        refused(path, "more than the 100", "Crop")


def test_reading_a_png_stays_light(tmp_path):
    Image.fromarray(noise(4, 4)).save(tmp_path / "a.png")
    code = (
        "import sys; from brainseg.scans.reading import read_scan; read_scan(sys.argv[1]); "
        "print([m for m in ('SimpleITK', 'cv2', 'torch', 'scipy') if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.png")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == "[]" and out.stderr == ""
