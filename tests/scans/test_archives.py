"""Scans in a .zip, and archives that are not to be trusted."""

import io
import stat
import zipfile

import cv2
import numpy as np
import pytest

from brainseg.scans import archives
from brainseg.scans.masks import read_mask
from brainseg.scans.notes import noting
from brainseg.scans.reading import read_scan
from brainseg.scans.scan import ScanError
from tests.scans.scan_files import dicom_series, noise, refused, volume


def archive(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in files.items():
            out.writestr(name, data)
    return path


def test_zip_of_a_series_or_of_one_file(tmp_path):
    array = noise(3, 5, 6, dtype=np.int16)
    folder = dicom_series(tmp_path / "s", array)
    files = {f"deep/er/{file.name}": file.read_bytes() for file in folder.iterdir()}
    scan = read_scan(archive(tmp_path / "s.zip", {**files, "__MACOSX/._IM0.dcm": b"x"}))
    assert np.array_equal(scan.pixels[..., 0], array) and scan.source == "s.zip"
    volume(tmp_path / "a.nii.gz", array)
    path = archive(
        tmp_path / "one.zip",
        {"a.nii.gz": (tmp_path / "a.nii.gz").read_bytes(), "license.txt": b"free"},
    )
    scan = read_scan(path)
    assert np.array_equal(scan.pixels[..., 0], array) and scan.source == "one.zip"


def test_zip_is_unpacked_to_a_folder_that_goes_away(tmp_path, monkeypatch):
    monkeypatch.setattr(archives.tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    volume(tmp_path / "a.nii", noise(3, 4, 5))
    read_scan(archive(tmp_path / "a.zip", {"a.nii": (tmp_path / "a.nii").read_bytes()}))
    refused(archive(tmp_path / "b.zip", {"a.txt": b"hello"}), "no scan")
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("name", ["../x.nii", "/etc/x.nii", "a/../../x.nii", "..\\x.nii", "C:x"])
def test_zip_paths_that_leave_the_archive(tmp_path, name):
    refused(archive(tmp_path / "a.zip", {name: b"1"}), "unsafe path", "Pack")


def test_bad_zips(tmp_path, monkeypatch):
    link = zipfile.ZipInfo("link.nii")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(archive(tmp_path / "l.zip", {link: b"/etc/passwd"}), "symbolic link")
    refused(archive(tmp_path / "e.zip", {}), "no scan")
    refused(
        archive(tmp_path / "z.zip", {"b.zip": (tmp_path / "e.zip").read_bytes()}), "within another"
    )
    np.savez(tmp_path / "a.npz", noise(3, 3), noise(3, 3))
    refused(tmp_path / "a.npz", ".npz", "numpy.save")
    refused(
        archive(tmp_path / "two.zip", {"a.mha": b"ObjectType = Image", "b.mha": b"NDims = 3"}),
        "2 scans",
        "a.mha",
        "Give one",
    )
    big = archive(tmp_path / "bomb.zip", {"a.nii": bytes(10**6)})
    (tmp_path / "cut.zip").write_bytes(big.read_bytes()[:-30])
    refused(tmp_path / "cut.zip", "truncated")
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 10**5)
    refused(big, "unpacks to more", "100,000")
    with pytest.raises(ScanError, match="than it declares"):
        archives._copy(io.BytesIO(bytes(20)), tmp_path / "out", 10, "a.zip")


def test_pictures_of_several_folders_are_no_volume(tmp_path):
    pictures = [cv2.imencode(".png", noise(20, 16))[1].tobytes() for _ in range(3)]
    slices = {f"images/{i}.png": picture for i, picture in enumerate(pictures)}
    masks = {f"train_masks/{i}.png": picture for i, picture in enumerate(pictures)}
    with noting() as notes:
        scan = read_scan(archive(tmp_path / "a.zip", {**slices, **masks}))
    assert len(scan.pixels) == 3 and "left out as masks by their names: train_masks" in notes[0]
    drawn = cv2.imencode(".png", (noise(20, 16) > 200).astype(np.uint8) * 255)[1].tobytes()
    given = archive(tmp_path / "c.zip", {**slices, **{f"masks/{i}.png": drawn for i in range(3)}})
    with noting() as notes:
        assert read_mask(given, scan).any()  # of the same archive the masks
    assert "left out as scans by their names: images" in notes[0]
    others = {f"p2/{i}.png": picture for i, picture in enumerate(pictures)}
    refused(archive(tmp_path / "b.zip", {**slices, **others}), "several folders (images, p2)")
    both = {name.replace("/", "\\"): picture for name, picture in {**slices, **others}.items()}
    refused(archive(tmp_path / "d.zip", both), "several folders (images, p2)")


def test_long_names_lose_no_slice(tmp_path):
    uid = "1.2.840.113619.2.408." + "5" * 55
    pictures = [cv2.imencode(".png", page)[1].tobytes() for page in noise(16, 20, 16)]
    for form in (f"{uid}.{{}}.png", f"{{}}-{uid}{uid}{uid}.png", f"s_{{}}_{uid}{uid}{uid}.png"):
        files = {form.format(i): picture for i, picture in enumerate(pictures, start=95)}
        with noting() as notes:
            pixels = read_scan(archive(tmp_path / "a.zip", files)).pixels
        assert np.array_equal(pixels[..., 0], noise(16, 20, 16)) and not notes


def test_a_medium_with_a_viewers_pictures(tmp_path):
    array = noise(3, 5, 6, dtype=np.int16)
    folder = dicom_series(tmp_path / "s", array)
    logo = cv2.imencode(".png", noise(20, 16))[1].tobytes()
    files = {f"DICOM/S1/{file.name}": file.read_bytes() for file in folder.iterdir()}
    files |= {"Viewer/img/logo.png": logo, "Viewer/help/step.png": logo, "splash.png": logo}
    scan = read_scan(archive(tmp_path / "cd.zip", files))
    assert np.array_equal(scan.pixels[..., 0], array)


def test_what_a_mac_packs_beside_an_array_is_none(tmp_path):
    out = io.BytesIO()
    np.save(out, noise(3, 8, 9))
    files = {"scan.npy": out.getvalue(), "__MACOSX/._scan.npy": b"x"}
    assert read_scan(archive(tmp_path / "a.zip", files)).pixels.shape[:3] == (3, 8, 9)
