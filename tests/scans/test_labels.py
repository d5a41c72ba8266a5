"""Classes written to files: the same values in the same place, or refused."""

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from brainseg.scans.labels import write_labels
from brainseg.scans.masks import read_mask, write_mask
from brainseg.scans.reading import read_scan
from brainseg.scans.rendering import CLASS_COLOURS, MASK_COLOUR, TRUTH_COLOUR
from brainseg.scans.scan import Scan, ScanError
from tests.scans.scan_files import VOLUME_SUFFIXES, noise, refused, volume

KINDS = ("meningioma", "glioma", "pituitary")


def labels_of(scan):
    return noise(*scan.pixels.shape[:3], high=len(KINDS) + 1)


@pytest.mark.parametrize("suffix", VOLUME_SUFFIXES)
def test_volumes_lie_where_the_mask_lies(tmp_path, suffix):
    volume(tmp_path / f"a{suffix}", noise(3, 4, 5), "RAS", (0.9, 1.1, 4.0), (-3.0, 5.0, 7.0))
    scan = read_scan(tmp_path / f"a{suffix}")
    labels = labels_of(scan)
    path = write_labels(labels, KINDS, scan, tmp_path / f"c{suffix}")
    found = sitk.ReadImage(str(path))
    mask = sitk.ReadImage(str(write_mask(labels > 0, scan, tmp_path / f"m{suffix}")))
    for part in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection", "GetPixelID"):
        assert getattr(found, part)() == getattr(mask, part)()
    assert (sitk.GetArrayFromImage(found) > 0).tolist() == sitk.GetArrayFromImage(mask).tolist()
    assert np.array_equal(read_scan(path).pixels[..., 0], labels)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_pictures_have_a_palette_of_the_classes(tmp_path, suffix):
    slices = 1 if suffix == ".png" else 3
    scan = Scan(noise(slices, 8, 9, 1), source="a.png", format="png")
    labels = np.zeros((slices, 8, 9), np.uint8)
    labels[:, 2:5, 3:7] = np.arange(12).reshape(3, 4) % 4
    path = write_labels(labels, KINDS, scan, tmp_path / f"c{suffix}")
    assert np.array_equal(read_mask(path, scan), labels > 0)  # a mask to whoever reads it
    if suffix == ".npy":
        assert np.array_equal(np.load(path), labels)
        return
    with Image.open(path) as picture:
        for page in range(slices):
            picture.seek(page)
            assert picture.mode == "P" and np.array_equal(np.asarray(picture), labels[page])
            colours = np.reshape(picture.getpalette(), (-1, 3))[: len(KINDS) + 1]
            assert colours.tolist() == [[0, 0, 0], *map(list, CLASS_COLOURS[: len(KINDS)])]


def test_a_segment_for_each_class_by_its_name_and_in_its_colour(tmp_path):
    slicerio = pytest.importorskip("slicerio")
    volume(tmp_path / "a.nrrd", noise(3, 4, 5), "RAS", (0.9, 1.1, 4.0))
    scan = read_scan(tmp_path / "a.nrrd")
    labels = labels_of(scan)
    labels[labels == 2] = 0  # a class that is not marked has an empty segment
    path = write_labels(labels, KINDS, scan, tmp_path / "c.seg.nrrd")
    found = slicerio.read_segmentation(str(path))
    assert slicerio.segment_names(found) == list(KINDS)
    single = sitk.ReadImage(str(write_labels(labels, KINDS, scan, tmp_path / "c.nrrd")))
    assert (found["voxels"] == sitk.GetArrayFromImage(single).T).all()
    for number, segment in enumerate(found["segments"], start=1):
        assert segment["labelValue"] == number
        wanted = np.array(CLASS_COLOURS[number - 1]) / 255
        assert segment["color"] == pytest.approx(wanted, abs=1e-5)


def test_colours_tell_classes_apart_and_none_is_the_truth_s():
    assert len({*CLASS_COLOURS, TRUTH_COLOUR}) == len(CLASS_COLOURS) + 1
    assert MASK_COLOUR not in CLASS_COLOURS[: len(KINDS)]


def test_what_is_no_labels_is_refused(tmp_path):
    scan = Scan(noise(1, 8, 8, 1), source="a.png", format="png")
    none = np.zeros((1, 8, 8), np.uint8)
    for labels, kinds, name, words in [
        (none.astype(int), KINDS, "c.png", "int64"),
        (none, (), "c.png", "0 classes"),
        (none + 4, KINDS, "c.png", "is 4, and there are 3"),
        (none[:, :4], KINDS, "c.png", "(1, 4, 8)"),
        (none, KINDS, "c.jpg", "Use one of"),
        (none, KINDS, "none/c.png", "Create it first"),
    ]:

        def write(path, labels=labels, kinds=kinds):
            return write_labels(labels, kinds, scan, path)

        refused(tmp_path / name, words, read=write)
    with pytest.raises(ScanError, match=r"a\.png has no grid"):
        write_labels(none, KINDS, scan, tmp_path / "c.seg.nrrd")
    assert not list(tmp_path.iterdir())
