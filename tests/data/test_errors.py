"""What is said when a data set is missing or not as published."""

import h5py
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from brainseg.data import DATASETS, default_path, load_dataset
from brainseg.data.case import DataError

REAL = [name for name in DATASETS if name != "phantom"]
PATIENT = "TCGA_CS_4941_19960909"


def grey(height=6, width=8, value=80):
    return np.full((height, width), value, np.uint8)


def truth(height=6, width=8):
    mask = np.zeros((height, width), np.uint8)
    mask[2:4, 3:6] = 255
    return mask


def levels():
    """A picture that is no mask: as many grey levels as columns."""
    return np.tile(np.linspace(0, 255, 8).astype(np.uint8), (6, 1))


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        sitk.WriteImage(sitk.GetImageFromArray(array[None].astype(np.int16)), str(path))
    else:
        Image.fromarray(array).save(path)


def write_lgg(root, mask):
    save(root / PATIENT / f"{PATIENT}_7.tif", grey())
    return root / PATIENT / f"{PATIENT}_7_mask.tif", mask


def write_figshare(root, mask):
    save(root / "images" / "7.png", grey())
    (root / "labels.csv").write_text("id,tumor_type\n7,glioma\n")
    return root / "masks" / "7.png", mask


def write_folder(root, mask):
    save(root / "images" / "seven.png", grey())
    return root / "masks" / "seven.png", mask


def write_brats(root, mask):
    save(root / "BraTS20_7" / "BraTS20_7_flair.nii.gz", grey())
    return root / "BraTS20_7" / "BraTS20_7_seg.nii.gz", mask


WRITERS = {
    "lgg": write_lgg,
    "figshare": write_figshare,
    "folder": write_folder,
    "brats": write_brats,
}


def read_all(name, root, mask):
    """Write a data set of one case with this mask (None: no file), and read it."""
    path, mask = WRITERS[name](root, mask)
    if mask is not None:
        save(path, mask)
    return [ref.read() for ref in load_dataset(name, root)]


def sentence(call, *args):
    with pytest.raises(DataError) as error:
        call(*args)
    message = str(error.value)
    assert "\n" not in message and not message.startswith("[Errno")
    return message


def test_every_writer_makes_a_good_case_first(tmp_path):
    assert set(WRITERS) == set(REAL)
    for name in REAL:
        (case,) = read_all(name, tmp_path / name, truth())
        np.testing.assert_array_equal(case.mask, truth()[None] > 0)


@pytest.mark.parametrize("name", REAL)
def test_a_missing_path_says_what_to_get_where_and_what_to_try_instead(name, tmp_path):
    message = sentence(load_dataset, name, tmp_path / "nowhere")
    dataset = DATASETS[name]
    for part in (
        name,
        str(tmp_path / "nowhere"),
        dataset.TITLE,
        dataset.LICENCE,
        dataset.HOME,
        "--data",
        "--dataset phantom --encoder-weights none",
    ):
        assert part in message


def test_a_file_in_place_of_the_folder_is_told_the_same_way(tmp_path):
    (tmp_path / "set.zip").write_bytes(b"x")
    assert "--dataset phantom" in sentence(load_dataset, "lgg", tmp_path / "set.zip")


def test_the_default_path_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINSEG_DATA", str(tmp_path / "mine"))
    assert default_path() == tmp_path / "mine"
    assert str(tmp_path / "mine") in sentence(load_dataset, "lgg")
    monkeypatch.delenv("BRAINSEG_DATA")
    monkeypatch.chdir(tmp_path)
    assert "looked for in data," in sentence(load_dataset, "lgg")


def test_the_phantom_needs_no_path(monkeypatch, tmp_path):
    monkeypatch.setenv("BRAINSEG_DATA", str(tmp_path / "nowhere"))
    assert len(load_dataset("phantom")) > 0


def test_an_unknown_name_lists_the_known():
    message = sentence(load_dataset, "btars")
    assert "'btars'" in message and all(name in message for name in DATASETS)


@pytest.mark.parametrize("name", REAL)
def test_a_missing_mask_names_the_scan_and_the_expected_file(name, tmp_path):
    message = sentence(read_all, name, tmp_path, None)
    path, _ = WRITERS[name](tmp_path, None)
    assert "has no mask" in message
    expected = path.parent / path.stem if name == "folder" else path.name  # its suffix is free
    assert str(expected) in message


@pytest.mark.parametrize("name", REAL)
def test_a_mask_of_another_size_names_the_file_and_both_sizes(name, tmp_path):
    message = sentence(read_all, name, tmp_path, truth(6, 9))
    path, _ = WRITERS[name](tmp_path, None)
    assert path.name in message
    assert "(1, 6, 9)" in message and "(1, 6, 8)" in message


@pytest.mark.parametrize("name", ["figshare", "folder"])
def test_a_mask_named_like_its_scan_is_told_apart_from_it(name, tmp_path):
    for mask in (truth(6, 9), levels()):
        assert "masks/" in sentence(read_all, name, tmp_path, mask).replace("\\", "/")


@pytest.mark.parametrize("name", ["lgg", "figshare", "folder"])
def test_a_mask_that_is_not_binary_names_the_file(name, tmp_path):
    message = sentence(read_all, name, tmp_path, levels())
    path, _ = WRITERS[name](tmp_path, None)
    assert path.name in message and "grey values" in message


@pytest.mark.parametrize("name", REAL)
def test_a_broken_scan_or_mask_names_the_file(name, tmp_path):
    path, _ = WRITERS[name](tmp_path, None)
    save(path, truth())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    (ref,) = load_dataset(name, tmp_path)
    assert path.name in sentence(ref.read)
    path.write_bytes(whole)
    scan = next(file for file in ref.files if file != path)
    scan.write_bytes(b"")
    assert scan.name in sentence(ref.read)


def test_an_mat_file_cut_short_names_the_file(tmp_path):
    path = tmp_path / "5.mat"
    with h5py.File(path, "w") as file:
        file["cjdata/image"] = np.zeros((64, 64), np.int16)
    path.write_bytes(path.read_bytes()[:3000])
    assert "5.mat" in sentence(load_dataset, "figshare", tmp_path)
