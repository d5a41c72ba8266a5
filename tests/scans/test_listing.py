"""What of a folder may be a scan, and what of it is read."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from brainseg.data.sources import expand
from brainseg.scans import listing
from brainseg.scans.listing import entries, file_of, inmost, is_clutter, scan_files, stem_of, walk
from brainseg.scans.notes import noting
from brainseg.scans.reading import read_scan
from tests.scans.scan_files import dicom_series, noise, refused, volume

CLUTTER = [
    "Thumbs.db", "desktop.ini", ".DS_Store", "._scan.png", "README", "readme.md", "LICENSE",
    "list.csv", "notes.txt", "scan.nii.gz.part", "~$list.xlsx", "Icon\r",
]  # fmt: skip


def png(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def litter(folder):
    """What systems leave beside scans, each beginning like a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in CLUTTER:
        (folder / name).write_bytes(b"BM, of no use")
    for name in ("__MACOSX", ".ipynb_checkpoints", "empty"):
        (folder / name).mkdir()
    png(folder / ".ipynb_checkpoints" / "scan-checkpoint.png", noise(9, 9))


def test_clutter():
    assert all(map(is_clutter, [*CLUTTER, "__MACOSX", "@eaDir"]))
    scans = ["scan.png", "IM0001", "1.2.840.113", "a.nii.gz", "x.dcm", "images", "README_scan.png"]
    assert not any(map(is_clutter, scans))
    folders = ["Participants", "Manifest", "Changes", "scans.csv"]
    assert not any(is_clutter(name, is_folder=True) for name in folders)


def test_a_folder_called_like_a_paper_is_looked_into(tmp_path):
    array = noise(3, 8, 9, dtype=np.int16)
    (tmp_path / "study" / "Participants").mkdir(parents=True)
    volume(tmp_path / "study" / "Participants" / "scan.nii.gz", array)
    np.testing.assert_array_equal(read_scan(tmp_path / "study").pixels[..., 0], array)
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as packed:
        packed.write(tmp_path / "study/Participants/scan.nii.gz", "participants/scan.nii.gz")
    np.testing.assert_array_equal(read_scan(tmp_path / "s.zip").pixels[..., 0], array)


def test_a_scan_among_clutter(tmp_path):
    array = noise(3, 8, 9, dtype=np.int16)
    litter(tmp_path / "one")
    volume(tmp_path / "one" / "scan.nii.gz", array)
    litter(tmp_path / "series")
    dicom_series(tmp_path / "series", array)
    for name in ("one", "series"):
        np.testing.assert_array_equal(read_scan(tmp_path / name).pixels[..., 0], array)
    litter(tmp_path / "slices")
    for number in (2, 10, 1):
        png(tmp_path / "slices" / f"s{number}.png", np.full((8, 9), number, np.uint8))
    assert read_scan(tmp_path / "slices").pixels[:, 0, 0, 0].tolist() == [1, 2, 10]
    assert [source.path.name for source in expand([tmp_path / "slices"])] == [
        "s1.png",
        "s2.png",
        "s10.png",
    ]
    litter(tmp_path / "nothing")
    refused(tmp_path / "nothing", "no scan")


def test_a_zip_with_clutter(tmp_path):
    png(tmp_path / "s.png", noise(8, 9))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.write(tmp_path / "s.png", "scan/s.png")
        for place in ("scan/Thumbs.db", "__MACOSX/scan/._s.png", "scan/.ipynb_checkpoints/s.png"):
            out.writestr(place, b"BM, of no use")
    np.testing.assert_array_equal(read_scan(tmp_path / "a.zip").pixels[0, ..., 0], noise(8, 9))


@pytest.mark.parametrize("place", ["scan.nii/0000.nii", "scan/scan/a.nii"])
def test_a_folder_named_like_a_file_and_a_doubled_one(tmp_path, place):
    array = noise(3, 8, 9, dtype=np.int16)
    path = tmp_path / "given" / place
    path.parent.mkdir(parents=True)
    volume(path.resolve(), array)
    np.testing.assert_array_equal(read_scan(tmp_path / "given").pixels[..., 0], array)


def test_folders_named_like_files_are_entries(tmp_path):
    for name in ("b.nii/1.nii", "full.nii/1.nii", "full.nii/2.nii", "empty.nii/.x", "plain/1.nii"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "a.nii").write_bytes(b"x")
    assert [path.name for path in entries(tmp_path)] == ["a.nii", "b.nii"]
    assert file_of(tmp_path / "b.nii") == tmp_path / "b.nii/1.nii"
    assert scan_files(tmp_path) == [tmp_path / "a.nii", tmp_path / "b.nii/1.nii"]
    assert {folder.name for folder, _ in walk(tmp_path)} == {
        tmp_path.name, "full.nii", "empty.nii", "plain"
    }  # fmt: skip
    assert inmost(tmp_path / "plain") == tmp_path / "plain"


def test_a_folder_that_may_not_be_opened_is_told(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    original = type(tmp_path).iterdir

    def iterdir(self):
        if self.name == "closed":
            raise PermissionError(13, "Permission denied")
        return original(self)

    monkeypatch.setattr(type(tmp_path), "iterdir", iterdir)
    with noting() as notes:
        assert len(list(walk(tmp_path))) == 1
    assert "closed is left out" in notes[0] and "Permission denied" in notes[0]


def test_stems(tmp_path):
    names = {"a.nii.gz": "a", "A.NII.GZ": "A", "b.c.png": "b.c", "IM0001": "IM0001"}
    assert {name: stem_of(tmp_path / name) for name in names} == names


@pytest.mark.parametrize(
    "name", ["labelsTr", "train_masks", "GT", "ground-truth", "Segmentation 2"]
)
def test_folders_of_masks_are_known_by_a_word(name):
    assert listing.is_mask_folder(name)


@pytest.mark.parametrize("name", ["images", "unmasked", "patient_3", "mri", "segovia", "t1"])
def test_other_folders_are_not(name):
    assert not listing.is_mask_folder(name)
