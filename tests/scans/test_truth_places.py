"""Masks on a grid of their own are put where their header says, if that can be right."""

import zipfile

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from brainseg.scans.masks import read_labels, read_mask, write_mask
from brainseg.scans.notes import noting
from brainseg.scans.reading import read_scan
from brainseg.scans.scan import Scan
from tests.scans.dicom_files import series
from tests.scans.scan_files import ball, dicom_series, noise, refused, says, volume

SIZE = (8, 30, 24)
TUMOUR = ball(*SIZE)
SPACING, ORIGIN = (0.5, 0.75, 3.0), (-40.0, 12.5, 7.0)


@pytest.fixture
def scan(tmp_path):
    volume(tmp_path / "a.nii.gz", noise(*SIZE), spacing=SPACING, origin=ORIGIN)
    return read_scan(tmp_path / "a.nii.gz")


def truth(array=TUMOUR, code="LPS", lowest=(0, 0, 0), spacing=SPACING):
    """A mask whose first voxel in LPS lies on that one (slice, row, column) of the scan."""
    image = sitk.GetImageFromArray(array.astype(np.uint8))
    image.SetSpacing(spacing)
    image.SetOrigin([o + s * n for o, s, n in zip(ORIGIN, SPACING, lowest[::-1], strict=True)])
    return sitk.DICOMOrient(image, code)


def read(path, scan):
    with noting() as notes:
        mask = read_mask(path, scan)
    assert mask.dtype == bool and mask.shape == scan.pixels.shape[:3]
    return mask, notes


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("code", ["LPS", "RAS", "PIR", "SLA"])
def test_cropped_and_padded_masks(tmp_path, scan, suffix, code):
    path = tmp_path / f"m{suffix}"
    sitk.WriteImage(truth(code=code), str(path))
    mask, notes = read(path, scan)
    assert np.array_equal(mask, TUMOUR) and not notes
    sitk.WriteImage(truth(TUMOUR[2:7, 5:25, 3:22], code, (2, 5, 3)), str(path))
    mask, notes = read(path, scan)
    assert np.array_equal(mask[2:7, 5:25, 3:22], TUMOUR[2:7, 5:25, 3:22])
    assert not mask[:2].any() and not mask[:, :5].any() and not mask[..., 22:].any()
    says(notes, path.name, "(5, 20, 19)", "a.nii.gz", "(8, 30, 24)", "placed by its header")
    sitk.WriteImage(truth(np.pad(TUMOUR, ((1, 2), (3, 0), (4, 5))), code, (-1, -3, -4)), str(path))
    mask, notes = read(path, scan)
    assert np.array_equal(mask, TUMOUR)
    says(notes, "placed by its header")


@pytest.mark.parametrize("code", ["LPS", "PIR"])
def test_labels_lie_where_the_mask_does(tmp_path, scan, code):
    labels = TUMOUR * (1 + np.arange(SIZE[2]) % 3)
    path = tmp_path / "m.nii.gz"
    sitk.WriteImage(truth(labels, code), str(path))
    assert np.array_equal(read_labels(path, scan), labels)
    sitk.WriteImage(truth(labels[2:7, 5:25, 3:22], code, (2, 5, 3)), str(path))
    found = read_labels(path, scan)
    assert found.dtype == np.uint8 and np.array_equal(found > 0, read(path, scan)[0])
    assert np.array_equal(found[2:7, 5:25, 3:22], labels[2:7, 5:25, 3:22])
    fine = labels.repeat(2, 1).repeat(2, 2)
    image = truth(fine, "LPS", (0, -0.25, -0.25), (SPACING[0] / 2, SPACING[1] / 2, SPACING[2]))
    sitk.WriteImage(image, str(path))
    assert np.array_equal(read_labels(path, scan), labels)  # resampled to the nearest
    np.save(tmp_path / "m.npy", labels * 0.5)
    refused(tmp_path / "m.npy", "no whole numbers", read=lambda path: read_labels(path, scan))
    np.save(tmp_path / "m.npy", labels * 100)
    refused(tmp_path / "m.npy", "the label 300", read=lambda path: read_labels(path, scan))


def test_a_mask_of_one_slice_of_the_scan(tmp_path, scan):
    path = tmp_path / "m.nii.gz"
    sitk.WriteImage(truth(TUMOUR[3:4], lowest=(3, 0, 0), spacing=(0.5, 0.75, 1.0)), str(path))
    mask, _ = read(path, scan)
    assert np.array_equal(mask[3], TUMOUR[3]) and mask.sum() == TUMOUR[3].sum()


def test_an_empty_mask_of_another_size(tmp_path, scan):
    path = tmp_path / "m.nii.gz"
    sitk.WriteImage(truth(np.zeros((2, 3, 4)), lowest=(1, 1, 1)), str(path))
    assert not read(path, scan)[0].any()
    sitk.WriteImage(truth(np.zeros((2, 3, 4)), lowest=(50, 1, 1)), str(path))
    refused(path, "do not overlap", read=lambda path: read_mask(path, scan))


def test_a_finer_grid_is_resampled(tmp_path, scan):
    path = tmp_path / "m.nii.gz"
    fine = np.repeat(np.repeat(TUMOUR, 2, axis=1), 3, axis=2)
    image = truth(fine, spacing=(0.5 / 3, 0.75 / 2, 3.0))
    first = (ORIGIN[0] - 0.5 / 3, ORIGIN[1] - 0.75 / 4, ORIGIN[2])
    image.SetOrigin(first)
    sitk.WriteImage(image, str(path))
    mask, notes = read(path, scan)
    assert np.array_equal(mask, TUMOUR)
    says(notes, "m.nii.gz", "another grid", "nearest")


def test_masks_that_lie_elsewhere(tmp_path, scan):
    path = tmp_path / "m.nii.gz"
    sitk.WriteImage(truth(TUMOUR[:6], lowest=(30, 0, 0)), str(path))
    refused(path, "(6, 30, 24)", "100%", "outside", read=lambda path: read_mask(path, scan))
    sitk.WriteImage(truth(TUMOUR[:6], lowest=(4, 0, 0)), str(path))
    refused(path, "outside the scan", read=lambda path: read_mask(path, scan))
    edge = np.pad(TUMOUR, 1)
    edge[0, 15, 12] = True
    sitk.WriteImage(truth(edge, lowest=(-1, -1, -1)), str(path))
    mask, notes = read(path, scan)
    assert np.array_equal(mask, TUMOUR)
    says(notes, "1 marked voxels outside the scan are left out")


def test_a_small_shift_is_told(tmp_path, scan):
    path = tmp_path / "m.nii.gz"
    image = truth()
    image.SetOrigin((ORIGIN[0] + 0.4, *ORIGIN[1:]))
    sitk.WriteImage(image, str(path))
    mask, notes = read(path, scan)
    assert np.array_equal(mask, TUMOUR)
    says(notes, "0.4 mm", "voxel by voxel")
    image.SetOrigin((ORIGIN[0] + 4, *ORIGIN[1:]))
    sitk.WriteImage(image, str(path))
    refused(path, "4.0 mm away", "copy the scan's", read=lambda path: read_mask(path, scan))


def test_pixels_aside_are_no_small_shift_however_thick_slices_are(tmp_path):
    size, spacing = (4, 20, 20), (0.5, 0.5, 5.0)
    for name, origin in (("scan", (0.0, 0.0, 0.0)), ("mask", (4.9, 0.0, 0.0))):
        array = noise(*size) if name == "scan" else ball(*size).astype(np.uint8)
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(spacing)
        image.SetOrigin(origin)
        sitk.WriteImage(image, str(tmp_path / f"{name}.nii.gz"))
    scan = read_scan(tmp_path / "scan.nii.gz")
    refused(tmp_path / "mask.nii.gz", "4.9 mm away", read=lambda path: read_mask(path, scan))


def test_one_side_without_orientation(tmp_path):
    volume(tmp_path / "ras.nii.gz", noise(*SIZE), "RAS")
    scan = read_scan(tmp_path / "ras.nii.gz")
    np.save(tmp_path / "m.npy", TUMOUR)
    mask, notes = read(tmp_path / "m.npy", scan)
    assert np.array_equal(mask, TUMOUR)
    says(notes, "m.npy states no orientation", "ras.nii.gz does (RAS)", "LPS")
    picture = Scan(noise(*SIZE, 1), source="a.npy")
    volume(tmp_path / "m.nii.gz", TUMOUR.astype(np.uint8), "RAS")
    mask, notes = read(tmp_path / "m.nii.gz", picture)
    assert np.array_equal(mask, TUMOUR[:, ::-1, ::-1])
    says(notes, "a.npy states no orientation", "(RAS)")


def test_sizes_that_tell_what_happened(tmp_path):
    scan = Scan(noise(1, 64, 48, 1), source="a.png", format="png")
    tumour = ball(64, 48).astype(np.uint8) * 255
    for name, array, words in [
        ("half.png", tumour[::2, ::2], "at 0.5 times its size"),
        ("turned.png", tumour.T, "axes seem to be swapped"),
        ("edge.png", tumour[1:-1, 1:-1], "neither cropped nor resized"),
        ("crop.png", tumour[3:], "neither cropped nor resized"),
    ]:
        Image.fromarray(np.ascontiguousarray(array)).save(tmp_path / name)
        refused(tmp_path / name, words, "a.png", read=lambda path: read_mask(path, scan))
    stack = Scan(noise(*SIZE, 1), source="a.nii")
    for array in (TUMOUR.transpose(2, 1, 0), np.moveaxis(TUMOUR, 0, -1)):
        np.save(tmp_path / "m.npy", array)
        refused(tmp_path / "m.npy", "swapped", "(8, 30, 24)", read=lambda p: read_mask(p, stack))
    np.save(tmp_path / "m.npy", TUMOUR[:5])
    refused(tmp_path / "m.npy", "(5, 30, 24)", "mask drawn", read=lambda p: read_mask(p, stack))
    np.save(tmp_path / "m.npy", np.ones((2, 3, 4, 5)))
    refused(tmp_path / "m.npy", "(2, 3, 4, 5)", "a.nii", read=lambda p: read_mask(p, stack))


def test_folders_and_archives(tmp_path):
    folder = tmp_path / "patient"
    folder.mkdir()
    for number, page in enumerate(TUMOUR, start=1):
        Image.fromarray(noise(*page.shape)).save(folder / f"p_{number}.tif")
        Image.fromarray(page.astype(np.uint8) * 255).save(folder / f"p_{number}_mask.tif")
    scan = read_scan(folder)
    assert np.array_equal(read_mask(folder, scan), TUMOUR)  # the same folder holds both
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        for file in folder.glob("*_mask.tif"):
            archive.write(file, f"masks/{file.name}")
    assert np.array_equal(read_mask(tmp_path / "m.zip", scan), TUMOUR)
    series = dicom_series(tmp_path / "s", TUMOUR.astype(np.uint16))
    assert np.array_equal(read_mask(series, read_scan(series)), TUMOUR)


SLICER = """NRRD0004
type: unsigned char
dimension: 4
space: left-posterior-superior
sizes: 2 {2} {1} {0}
space directions: none (0.5,0,0) (0,0.75,0) (0,0,3)
kinds: list domain domain domain
encoding: raw
space origin: ({3},{4},{5})
Segment0_ID:=Segment_1
Segment0_LabelValue:=1
Segment0_Layer:=0
Segment0_Name:=necrosis
Segment1_ID:=Segment_2
Segment1_LabelValue:=3
Segment1_Layer:=1
Segment1_Name:=edema

"""


def test_a_cropped_slicer_segmentation_with_layers(tmp_path, scan):
    box = (slice(2, 7), slice(5, 25), slice(3, 22))
    inner = ball(*SIZE, radius=0.2)
    layers = np.stack([inner[box] * 1, TUMOUR[box] * 3], axis=-1).astype(np.uint8)
    origin = [o + s * n for o, s, n in zip(ORIGIN, SPACING, (3, 5, 2), strict=True)]
    head = SLICER.format(*layers.shape[:3], *origin)
    path = tmp_path / "Segmentation.seg.nrrd"
    path.write_bytes(head.encode() + layers.tobytes())
    mask, notes = read(path, scan)
    expected = np.zeros(SIZE, bool)
    expected[box] = TUMOUR[box]
    assert np.array_equal(mask, expected)
    assert "the segments necrosis, edema" in notes[0] and "placed by its header" in notes[-1]
    only = SLICER.partition("Segment1_ID")[0].replace("dimension: 4", "dimension: 3")
    only = only.replace("sizes: 2 ", "sizes: ").replace("none ", "").replace("list ", "")
    path.write_bytes(only.format(*SIZE, *ORIGIN).encode() + b"\n" + TUMOUR.tobytes())
    mask, notes = read(path, scan)
    assert np.array_equal(mask, TUMOUR) and not notes


def test_write_mask_comes_back_without_a_word(tmp_path, scan):
    for suffix in (".nii.gz", ".mha", ".nrrd", ".npy", ".tif"):
        mask, notes = read(write_mask(TUMOUR, scan, tmp_path / f"m{suffix}"), scan)
        assert np.array_equal(mask, TUMOUR) and not notes


def test_pictures_follow_the_numbers_of_a_series_from_the_head_down(tmp_path):
    pixels = noise(*SIZE, dtype=np.int16)
    drawn = TUMOUR.copy()
    drawn[5:] = False  # not the same from either end
    numbers = {"instance_number": lambda number: 8 - number}
    series(tmp_path / "up", pixels)
    series(tmp_path / "down", pixels, each=lambda n: {k: f(n) for k, f in numbers.items()})
    (tmp_path / "m").mkdir()
    for number, page in enumerate(drawn):  # drawn on one instance after the other
        Image.fromarray(page.astype(np.uint8) * 255).save(tmp_path / "m" / f"IM{number}.png")
    up, down = (read_scan(tmp_path / name) for name in ("up", "down"))
    assert np.array_equal(up.pixels, down.pixels)
    mask, notes = read(tmp_path / "m", up)
    assert np.array_equal(mask, drawn)
    says(notes, "from the feet up")
    mask, notes = read(tmp_path / "m", down)
    assert np.array_equal(mask, drawn[::-1])
    says(notes, "down numbers its slices from the head down", "m is taken to do so too")
    series(tmp_path / "unnumbered", pixels, instance_number=None)
    assert np.array_equal(read(tmp_path / "m", read_scan(tmp_path / "unnumbered"))[0], drawn)
    stacked = write_mask(drawn, down, tmp_path / "m.tif")
    with Image.open(stacked) as pages:
        assert np.array_equal(np.asarray(pages) > 0, drawn[-1])
    assert np.array_equal(read(stacked, down)[0], drawn)
    np.save(tmp_path / "m.npy", drawn)  # as read_scan gives the pixels
    mask, notes = read(tmp_path / "m.npy", down)
    assert np.array_equal(mask, drawn) and not notes


def test_pages_come_back_where_a_series_was_turned(tmp_path):
    sagittal = {"orientation": (0, 1, 0, 0, 0, -1)}
    series(
        tmp_path / "s",
        noise(*SIZE, dtype=np.int16),
        each=lambda n: {"position": (-3.0 * n, 0, 0), "instance_number": 8 - n},
        **sagittal,
    )
    scan = read_scan(tmp_path / "s")
    drawn = np.zeros(scan.pixels.shape[:3], bool)
    drawn[2:5, 6:9, 1:4] = True
    mask, notes = read(write_mask(drawn, scan, tmp_path / "m.tif"), scan)
    assert np.array_equal(mask, drawn)
    assert "taken to be in the order that brainseg works in" in notes[-1]


def test_a_header_without_a_place_places_nothing(tmp_path, scan):
    path = tmp_path / "m.nii.gz"
    image = truth(TUMOUR[2:7])
    image.SetOrigin((0.0, 0.0, 0.0))
    sitk.WriteImage(image, str(path))
    refused(path, "(5, 30, 24)", "no place (origin 0)", read=lambda path: read_mask(path, scan))
