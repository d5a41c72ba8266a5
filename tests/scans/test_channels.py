"""Which channel of a file is which sequence: named, found beside it, assumed and said, or asked."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from brainseg.scans.masks import read_mask, write_mask
from brainseg.scans.notes import noting
from brainseg.scans.reading import read_scan
from brainseg.scans.scan import ScanError
from brainseg.scans.sequences import read_sequences
from tests.scans.scan_files import noise, refused, volume

DECATHLON = {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}
ORDER = ("flair", "t1", "t1c", "t2")


def four(path, count=4):
    """A file of channels that hold 10, 20, ... and its reading as (slices, rows, columns, n)."""
    array = np.stack([np.full((3, 4, 5), 10 * (n + 1), np.int16) for n in range(count)])
    array[:, 1, 2, 3] += 1
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, np.moveaxis(array, 0, -1))
    elif path.suffix in (".nrrd", ".mha"):
        volume(path, np.moveaxis(array, 0, -1), vector=True, spacing=(0.5, 0.75, 4.0))
    else:
        image = sitk.GetImageFromArray(array, isVector=False)
        image.SetSpacing((0.5, 0.75, 4.0, 1.0))
        sitk.WriteImage(image, str(path))
    return path


def values(scan):
    assert scan.pixels.shape == (3, 4, 5, 3)
    assert (scan.pixels[1, 2, 3] == scan.pixels[0, 0, 0] + 1).all()
    return scan.pixels[0, 0, 0].tolist()


def notes_of(read, *args, **kwargs):
    with noting() as notes:
        scan = read(*args, **kwargs)
    return scan, notes


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.nrrd", "a.mha", "a.npy"])
def test_four_channels_are_asked_for_their_order(tmp_path, name):
    path = four(tmp_path / name)
    refused(path, "4 channels", "flair,t1,t1c,t2", "--channels")
    for channels, expected in [
        (ORDER, [20, 10, 30]),
        ("flair, T1w, T1gd, T2w", [20, 10, 30]),
        ("t1,t1ce,t2,flair", [10, 40, 20]),
        (["t2", "t1c", "t1", "flair"], [30, 40, 20]),
        ("t2,-,flair,-", [30, 30, 30]),
        ("t1,t1c,t2,-", [10, 10, 20]),
    ]:
        scan, notes = notes_of(read_scan, path, channels=channels)
        assert values(scan) == expected and notes == []
    if not name.endswith("npy"):
        assert scan.spacing_mm == pytest.approx((4.0, 0.75, 0.5))
        mask = scan.pixels[..., 0] > 10
        written = write_mask(mask, scan, tmp_path / "m.nii.gz")
        assert (read_mask(written, scan) == mask).all() and mask.sum() == 1


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        ("flair,t1", ("4 channels", "2")),
        ("flair,t1,t1,t2", ("t1", "twice")),
        ("flair,t1,tx,t2", ("'tx'", "flair")),
        ("t2,-,-,-", ("flair",)),
        ("seg,t1,t1c,t2", ("'seg'",)),
        ("", ("flair",)),
    ],
)
def test_an_order_that_cannot_be(tmp_path, channels, words):
    path = four(tmp_path / "a.nii")
    with pytest.raises(ScanError) as error:
        read_scan(path, channels=channels)
    assert all(word in str(error.value) for word in words)


def test_two_channels_with_names(tmp_path):
    path = four(tmp_path / "a.nii.gz", 2)
    refused(path, "2 channels", "--channels")
    assert values(read_scan(path, channels="t1c,flair")) == [20, 20, 10]


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.npy"])
def test_three_channels_are_assumed_in_an_order_that_is_said(tmp_path, name):
    path = four(tmp_path / name, 3)
    scan, (told,) = notes_of(read_scan, path)
    assert values(scan) == [10, 20, 30]
    assert name in told and "T1, FLAIR and T1 after contrast" in told and "--channels" in told
    scan, notes = notes_of(read_scan, path, channels="flair,t1,t1c")
    assert values(scan) == [20, 10, 30] and notes == []


def test_one_channel_keeps_one(tmp_path):
    path = volume(tmp_path / "a.nii", noise(3, 4, 5)) and tmp_path / "a.nii"
    scan, notes = notes_of(read_scan, path, channels="t1c")
    assert scan.pixels.shape == (3, 4, 5, 1) and notes == []
    refused(path, "1 channel,", read=lambda path: read_scan(path, channels=ORDER))


@pytest.mark.parametrize("beside", ["imagesTr", "."])
@pytest.mark.parametrize("key", ["modality", "channel_names"])
def test_dataset_json_names_the_channels(tmp_path, key, beside):
    path = four(tmp_path / "Task01" / beside / "BRATS_001.nii.gz")
    names = {number: DECATHLON[number] for number in ("3", "1", "0", "2")}  # any order
    (tmp_path / "Task01" / "dataset.json").write_text(json.dumps({key: names}))
    scan, (told,) = notes_of(read_scan, path)
    assert values(scan) == [20, 10, 30]
    assert "BRATS_001.nii.gz" in told and "dataset.json" in told
    assert "FLAIR, T1w, t1gd, T2w" in told
    scan, notes = notes_of(read_scan, path, channels="t1,flair,t1c,t2")  # what is said, holds
    assert values(scan) == [10, 20, 30] and notes == []


@pytest.mark.parametrize(
    "text",
    ['{"modality": {"0": "FLAIR", "1": "T1w"}}', '{"modality": {"0": "MRI"}}', "{", "[]", '"x"',
     '{"modality": {"0": "a", "1": "b", "2": "c", "3": "d"}}', '{"modality": 3}',
     '{"channel_names": {"x": "FLAIR"}}', '{"modality": {"0": 3, "1": 2, "2": 1, "3": 0}}'],
)  # fmt: skip
def test_a_dataset_json_that_does_not_help_is_as_good_as_none(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    refused(four(tmp_path / "a.nii.gz"), "4 channels")


def test_pictures_in_colour_say_so_once_and_grey_ones_nothing(tmp_path):
    colours = noise(4, 5, 3)
    Image.fromarray(colours).save(tmp_path / "a.png")
    scan, (told,) = notes_of(read_scan, tmp_path / "a.png")
    assert np.array_equal(scan.pixels[0], colours)
    assert "a.png" in told and "red, green and blue" in told
    scan, notes = notes_of(read_scan, tmp_path / "a.png", channels="flair,t1,t1c")
    assert np.array_equal(scan.pixels[0], colours[..., [1, 0, 2]]) and notes == []
    grey = np.repeat(colours[..., :1], 3, axis=-1)
    for name, array in [("b.png", grey), ("c.tif", grey), ("d.png", colours[..., 0])]:
        Image.fromarray(array).save(tmp_path / name)
        assert notes_of(read_scan, tmp_path / name)[1] == []
    folder = tmp_path / "slices"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(colours + np.uint8(number)).save(folder / f"{number}.png")
    assert len(notes_of(read_scan, folder)[1]) == 1


def test_slices_of_the_tcga_set_have_a_published_order(tmp_path):
    path = tmp_path / "TCGA_CS_4941_19960909_11.tif"
    Image.fromarray(noise(4, 5, 3)).save(path)
    scan, notes = notes_of(read_scan, path)
    assert np.array_equal(scan.pixels[0], noise(4, 5, 3)) and notes == []


def test_an_array_with_transparency_is_a_picture(tmp_path):
    rgba = noise(4, 5, 4)
    np.save(tmp_path / "a.npy", rgba)
    scan, (told,) = notes_of(read_scan, tmp_path / "a.npy")
    assert np.array_equal(scan.pixels[0], rgba[..., :3]) and "transparency" in told
    scan, notes = notes_of(read_scan, tmp_path / "a.npy", channels=ORDER)
    assert np.array_equal(scan.pixels[0], rgba[..., [1, 0, 2]]) and notes == []
    np.save(tmp_path / "b.npy", rgba.astype(np.float32))  # a slice of four sequences
    refused(tmp_path / "b.npy", "4 channels")


# ---------------------------------------------------------------- separate files


def test_a_file_of_several_sequences_is_no_sequence(tmp_path):
    with pytest.raises(ScanError, match=r"a\.nii\.gz has 4 different channels.*channels="):
        read_sequences(flair=four(tmp_path / "a.nii.gz"))
    Image.fromarray(noise(4, 5, 3)).save(tmp_path / "a.tif")
    with pytest.raises(ScanError, match=r"a\.tif has 3 different channels"):
        read_sequences(t1=tmp_path / "a.tif")
    Image.fromarray(np.repeat(noise(4, 5, 1), 3, axis=-1)).save(tmp_path / "b.tif")
    scan, notes = notes_of(read_sequences, t1=tmp_path / "b.tif")
    assert np.array_equal(scan.pixels[0, ..., 0], noise(4, 5, 1)[..., 0]) and notes == []


def sequence(path, seed=0):
    array = np.random.default_rng(seed).integers(0, 900, (3, 4, 5)).astype(np.int16)
    volume(path, array)
    return path


def test_a_mask_in_the_place_of_a_sequence(tmp_path):
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[1, 1:3, 1:3], labels[1, 2, 2] = 1, 4
    for name in ("odd.nii.gz", "P_seg.nii.gz"):
        volume(tmp_path / name, labels)
    scan, (told,) = notes_of(read_sequences, flair=tmp_path / "odd.nii.gz")
    assert (scan.pixels[..., 1] == labels).all()
    assert "odd.nii.gz" in told and "3 different values" in told and "mask" in told
    with pytest.raises(ScanError, match=r"P_seg\.nii\.gz.*FLAIR.*tumour mask"):
        read_sequences(flair=tmp_path / "P_seg.nii.gz")
    _, (told,) = notes_of(read_sequences, t1=sequence(tmp_path / "x_mask.nii.gz"))
    assert "x_mask.nii.gz" in told and "T1" in told  # whole grey levels: what its name says is told


def test_one_image_given_twice(tmp_path):
    one, copy = sequence(tmp_path / "a.nii"), sequence(tmp_path / "b.nii")
    scan, (told,) = notes_of(read_sequences, flair=one, t1c=copy)
    assert np.array_equal(scan.pixels[..., 1], scan.pixels[..., 2])
    assert "a.nii" in told and "b.nii" in told and "FLAIR" in told and "T1 after contrast" in told
    assert notes_of(read_sequences, flair=one, t1c=sequence(tmp_path / "c.nii", 1))[1] == []


@pytest.mark.parametrize(
    ("role", "name", "is_told"),
    [
        ("flair", "P_t2.nii.gz", True),
        ("t1", "P_T1_CE.nii.gz", True),
        ("t1c", "P_t1.nii.gz", True),
        ("t1c", "P_flair.nii.gz", True),
        ("flair", "P_T2_FLAIR.nii.gz", False),
        ("flair", "anything.nii.gz", False),
        ("t1c", "P_T1_post.nii.gz", False),
        ("t1", "P_t1_flair.nii.gz", False),
    ],
)
def test_a_name_that_says_another_sequence_is_told(tmp_path, role, name, is_told):
    path = sequence(tmp_path / name)
    scan, notes = notes_of(read_sequences, **{role: path})
    assert np.array_equal(scan.pixels[..., 0], sitk.GetArrayFromImage(sitk.ReadImage(str(path))))
    assert len(notes) == is_told and all(name in told for told in notes)


# ---------------------------------------------------------------- folders


def test_a_folder_with_a_scan_and_its_mask_is_that_scan(tmp_path):
    folder = tmp_path / "P1"
    folder.mkdir()
    sequence(folder / "P1_flair.nii.gz")
    volume(folder / "P1_seg.nii.gz", np.ones((3, 4, 5), np.uint8))
    scan, (told,) = notes_of(read_scan, folder)
    assert np.array_equal(scan.pixels, read_scan(folder / "P1_flair.nii.gz").pixels)
    assert "P1_seg.nii.gz" in told and "mask" in told
    sequence(folder / "P1_t1.nii.gz")
    refused(folder, "P1_flair.nii.gz", "P1_t1.nii.gz", "--flair")
