"""Which values and channels of a volume or array are tumour, and which volumes are no mask."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import zoom

from brainseg.scans.masks import read_mask
from brainseg.scans.notes import noting
from brainseg.scans.reading import read_scan
from brainseg.scans.scan import Scan
from tests.scans.scan_files import ball, noise, refused, says, volume

SIZE = (6, 30, 24)
TUMOUR = ball(*SIZE)
SCAN = Scan(noise(*SIZE, 1), source="scan.nii")


def read(tmp_path, array, name="m.nii.gz", scan=SCAN):
    if name.endswith(".npy"):
        np.save(tmp_path / name, array)
    else:
        volume(tmp_path / name, array)
    with noting() as notes:
        mask = read_mask(tmp_path / name, scan)
    assert mask.dtype == bool and mask.shape == scan.pixels.shape[:3]
    return mask, notes


def not_read(tmp_path, array, *words, scan=SCAN):
    for name in ("m.npy", "m.nii.gz"):
        np.save(tmp_path / name, array) if name == "m.npy" else volume(tmp_path / name, array)
        refused(tmp_path / name, *words, read=lambda path: read_mask(path, scan))


def labels(*values):
    array = TUMOUR.astype(np.int16) * values[0]
    for place, value in zip(range(8, 30, 2), values[1:], strict=False):
        array[:, place : place + 3, 10:13][TUMOUR[:, place : place + 3, 10:13]] = value
    return array


@pytest.mark.parametrize("name", ["m.npy", "m.nii.gz"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "float32", "float64"])
def test_labels_above_0_are_tumour_without_a_word(tmp_path, name, dtype):
    for values in [(1,), (255,) if dtype != "int8" else (1,), (1, 2, 4), (2, 3), (100, 200)]:
        mask, notes = read(tmp_path, labels(*values).astype(dtype), name)
        assert np.array_equal(mask, TUMOUR) and not notes
    mask, notes = read(tmp_path, np.zeros(SIZE, dtype), name)
    assert not mask.any() and not notes


def test_many_labels_are_told(tmp_path):
    mask, notes = read(tmp_path, labels(*range(1, 7)))
    assert np.array_equal(mask, TUMOUR)
    says(notes, "6 labels up to 6", "healthy tissue")


def test_more_than_a_tumour_can_have_is_told(tmp_path):
    volume(tmp_path / "a.nii", noise(*SIZE), spacing=(10.0, 10.0, 20.0))
    volume(tmp_path / "m.nii", TUMOUR.astype(np.uint8), spacing=(10.0, 10.0, 20.0))
    with noting() as notes:
        assert np.array_equal(read_mask(tmp_path / "m.nii", read_scan(tmp_path / "a.nii")), TUMOUR)
    says(notes, f"({TUMOUR.sum() * 2} ml) of a.nii", "brain")


def test_rounding_of_floats_is_no_label(tmp_path):
    for array in (TUMOUR * 0.99999994, TUMOUR + 1e-7, labels(1, 2, 4) + noise(*SIZE) * 1e-8):
        mask, notes = read(tmp_path, array.astype(np.float32))
        assert np.array_equal(mask, TUMOUR) and not notes
    not_read(tmp_path, noise(*SIZE) * 1e-9, "not a mask", "resampling leaves behind")
    not_read(tmp_path, TUMOUR * 1e-7, "not a mask", "resampling leaves behind")


def test_one_fractional_label(tmp_path):
    mask, notes = read(tmp_path, TUMOUR / 255)
    assert np.array_equal(mask, TUMOUR)
    says(notes, "m.nii.gz", "0.003922", "whole numbers")


@pytest.mark.parametrize("top", [1.0, 255.0, 100])
def test_soft_edges_are_cut_at_half(tmp_path, top):
    factor = np.array((1, 2, 2))
    big = Scan(noise(6, 60, 48, 1), source="scan.nii")
    soft = zoom(TUMOUR * top, factor, order=1).astype(type(top))
    mask, notes = read(tmp_path, soft, scan=big)
    assert mask.sum() == pytest.approx(TUMOUR.sum() * factor.prod(), rel=0.05)
    says(notes, "linear resampling", "half", "nearest")


def test_volumes_that_are_no_mask(tmp_path):
    rng = np.random.default_rng(0)
    logits = np.where(TUMOUR, 2, -4) + rng.normal(size=SIZE)
    probabilities = (1 / (1 + np.exp(-logits))).astype(np.float32)
    not_read(tmp_path, probabilities, "not a mask", "probabilities", "threshold")
    not_read(tmp_path, (255 * probabilities).astype(np.uint8), "probabilities")
    not_read(tmp_path, noise(*SIZE, dtype=np.int16), "not a mask", "as a scan")
    not_read(tmp_path, rng.normal(size=SIZE).astype(np.float32), "from -", "background")
    not_read(tmp_path, noise(*SIZE, low=0, high=96, dtype=np.int32), "95 different", "atlas")
    raters = TUMOUR * 0.4 + ball(*SIZE, radius=0.2) * 0.6
    raters[:, 2:8, 2:8] = 0.2
    not_read(tmp_path, raters, "3 different values up to 1")


def test_inverted_and_full_masks(tmp_path):
    for array in (~TUMOUR, np.ones(SIZE), TUMOUR + 1, ~TUMOUR * 255):
        not_read(tmp_path, array.astype(np.uint8), "scan.nii", "inverted", "border", "value 0")


def test_negative_labels(tmp_path):
    signed = np.where(TUMOUR, 1, -1).astype(np.int8)
    mask, notes = read(tmp_path, signed)
    assert np.array_equal(mask, TUMOUR)
    says(notes, "negative labels (down to -1)", "background")
    wrapped = (TUMOUR * 255).astype(np.uint8).view(np.int8)
    not_read(tmp_path, wrapped, "from -1 to 0", "labels above 0")
    not_read(tmp_path, np.where(TUMOUR, np.nan, 0), "NaN", "Replace")


def one_hot(count=4, background=0):
    classes = np.where(TUMOUR, 1, 0)
    classes[TUMOUR & ball(*SIZE, radius=0.2)] = 2
    classes[TUMOUR & ball(*SIZE, radius=0.1)] = 3
    order = np.roll(np.arange(count), background)
    return np.stack([classes.clip(max=count - 1) == i for i in order], -1).astype(np.uint8)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
@pytest.mark.parametrize("background", [0, 1])
def test_one_hot_arrays(tmp_path, count, background):
    classes = one_hot(count, background)
    for array in (
        classes,
        np.moveaxis(classes, -1, 0),
        np.moveaxis(classes, -1, 1),
        classes[None].astype(float),
    ):
        mask, notes = read(tmp_path, array, "m.npy")
        assert np.array_equal(mask, TUMOUR)
        says(notes, f"channel {background + 1}, set in", "background", "one channel")
    flat = Scan(SCAN.pixels[3:4], source="a.png", format="png")
    for array in (classes[3], np.moveaxis(classes[3], -1, 0)):
        mask, notes = read(tmp_path, array * 255, "m.npy", flat)
        assert np.array_equal(mask[0], TUMOUR[3])
        says(notes, f"channel {background + 1}, set in")


def test_one_hot_with_as_many_channels_as_slices(tmp_path):
    scan = Scan(SCAN.pixels[1:5], source="a.npy")
    classes = one_hot()[1:5]
    for array in (classes, np.moveaxis(classes, -1, 0), np.moveaxis(classes, -1, 1)):
        assert np.array_equal(read(tmp_path, array, "m.npy", scan)[0], TUMOUR[1:5])


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_one_hot_volumes(tmp_path, count):
    classes = one_hot(count)
    image = volume(tmp_path / "a.nii.gz", noise(*SIZE), "RAS", (0.5, 1.0, 2.0), (9.0, -4.0, 2.0))
    scan, expected = read_scan(tmp_path / "a.nii.gz"), TUMOUR[:, ::-1, ::-1]
    vector = sitk.GetImageFromArray(classes, isVector=True)
    vector.CopyInformation(image)
    sitk.WriteImage(vector, str(tmp_path / "v.nrrd"))
    sitk.WriteImage(vector, str(tmp_path / "v.nii.gz"))
    parts = [sitk.VectorIndexSelectionCast(vector, i) for i in range(count)]
    sitk.WriteImage(sitk.JoinSeries(parts), str(tmp_path / "last.nii.gz"))
    first = sitk.GetImageFromArray(classes, isVector=False)  # the axis of channels comes first
    sitk.WriteImage(first, str(tmp_path / "first.nii.gz"))
    for name in ("v.nrrd", "v.nii.gz", "last.nii.gz", "first.nii.gz"):
        with noting() as notes:
            mask = read_mask(tmp_path / name, scan)
        assert np.array_equal(mask, expected), name
        says(notes[-1:], name, "channel 1, set in")
        assert len(notes) == 1 + (name == "first.nii.gz")


def test_regions_without_background_are_joined(tmp_path):
    core, enhancing = ball(*SIZE, radius=0.2), ball(*SIZE, radius=0.1)
    nested = np.stack([TUMOUR, core, enhancing], -1).astype(np.uint8)
    mask, notes = read(tmp_path, nested, "m.npy")
    assert np.array_equal(mask, TUMOUR)
    says(notes, "3 channels", "counted together")
    with_background = np.concatenate([~TUMOUR[..., None], nested], -1)
    mask, notes = read(tmp_path, with_background, "m.npy")
    assert np.array_equal(mask, TUMOUR)
    says(notes, "channel 1, set in", "background")
    last = np.zeros_like(nested)  # what only the last channel marks is not cut off
    last = np.concatenate([last, TUMOUR[..., None]], -1)
    mask, notes = read(tmp_path, last, "m.npy")
    assert np.array_equal(mask, TUMOUR) and not notes
    grey = np.repeat(TUMOUR[..., None], 3, -1).astype(np.uint8) * 255
    mask, notes = read(tmp_path, grey, "m.npy")
    assert np.array_equal(mask, TUMOUR) and not notes


def test_channels_that_are_no_mask(tmp_path):
    softmax = one_hot() * 0.7 + 0.075
    np.save(tmp_path / "m.npy", softmax)
    refused(tmp_path / "m.npy", "not a mask", "channel", read=lambda path: read_mask(path, SCAN))
    left = np.zeros((*SIZE, 2), np.uint8)
    left[:, :, :12, 0] = left[:, :, 12:, 1] = 1
    np.save(tmp_path / "m.npy", left)
    refused(tmp_path / "m.npy", "none is clearly", read=lambda path: read_mask(path, SCAN))
    image = sitk.GetImageFromArray(noise(12, *SIZE, high=2), isVector=False)
    sitk.WriteImage(image, str(tmp_path / "t.nii.gz"))
    refused(tmp_path / "t.nii.gz", "up to 10 channels", read=lambda path: read_mask(path, SCAN))
