"""The TCGA layout: patients, slices in numeric order, channels and masks as stored."""

import shutil

import numpy as np
import pytest
from PIL import Image

from brainseg.data import load_dataset
from brainseg.data.case import DataError
from brainseg.scans.notes import noting

PATIENT = "TCGA_CS_4941_19960909"


def write(folder, patient, number, pixels, mask):
    home = folder / patient
    home.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(home / f"{patient}_{number}.tif")
    if mask is not None:
        Image.fromarray(mask.astype(np.uint8) * 255).save(home / f"{patient}_{number}_mask.tif")


def plain(value, height=6, width=8):
    return np.full((height, width, 3), value, np.uint8)


def test_a_phantom_comes_back_pixel_by_pixel(tmp_path, phantom_case):
    for number, (pixels, mask) in enumerate(
        zip(phantom_case.scan.pixels, phantom_case.mask, strict=True), start=1
    ):
        write(tmp_path, PATIENT, number, pixels, mask)
    (ref,) = load_dataset("lgg", tmp_path)
    case = ref.read()
    assert (ref.patient_id, case.patient_id, case.dataset) == (PATIENT, PATIENT, "lgg")
    np.testing.assert_array_equal(case.scan.pixels, phantom_case.scan.pixels)
    assert case.mask.dtype == bool
    np.testing.assert_array_equal(case.mask, phantom_case.mask)
    assert case.mask.any() and case.scan.spacing_mm is None


def test_channels_stay_in_the_order_t1_flair_t1c(tmp_path):
    pixels = np.stack([np.full((6, 8), value, np.uint8) for value in (10, 20, 30)], -1)
    write(tmp_path, PATIENT, 1, pixels, np.zeros((6, 8), bool))
    case = load_dataset("lgg", tmp_path)[0].read()
    assert case.scan.pixels[0, 0, 0].tolist() == [10, 20, 30]


def test_slices_are_in_numeric_order_and_keep_their_own_masks(tmp_path):
    for number in (10, 2, 1, 11):
        mask = np.zeros((6, 8), bool)
        mask[0, number % 8] = True
        write(tmp_path, PATIENT, number, plain(number), mask)
    case = load_dataset("lgg", tmp_path)[0].read()
    assert case.scan.pixels[:, 0, 0, 0].tolist() == [1, 2, 10, 11]
    assert [np.flatnonzero(m[0]).tolist() for m in case.mask] == [[1], [2], [2], [3]]


@pytest.mark.parametrize("inner", ["", "kaggle_3m"])
def test_patients_are_folders_with_or_without_the_published_one_around(tmp_path, inner):
    patients = ["TCGA_HT_7473_19970826", PATIENT]
    for patient in patients:
        write(tmp_path / inner, patient, 1, plain(9), np.zeros((6, 8), bool))
    (tmp_path / inner / "data.csv").write_text("Patient\n")  # published beside the folders
    refs = load_dataset("lgg", tmp_path)
    assert [ref.patient_id for ref in refs] == sorted(patients)
    home = tmp_path / inner / PATIENT
    assert set(refs[0].files) == {home / f"{PATIENT}_1.tif", home / f"{PATIENT}_1_mask.tif"}


def test_no_patient_folders(tmp_path):
    with pytest.raises(DataError, match="TCGA_") as error:
        load_dataset("lgg", tmp_path)
    assert str(tmp_path) in str(error.value) and "kaggle.com" in str(error.value)


def test_a_patient_folder_without_slices(tmp_path):
    (tmp_path / PATIENT).mkdir()
    with pytest.raises(DataError, match=PATIENT):
        load_dataset("lgg", tmp_path)


def test_a_missing_mask_is_told_before_anything_is_read(tmp_path):
    write(tmp_path, PATIENT, 1, plain(9), np.zeros((6, 8), bool))
    write(tmp_path, PATIENT, 2, plain(9), None)
    with pytest.raises(DataError) as error:
        load_dataset("lgg", tmp_path)
    assert f"{PATIENT}_2.tif has no mask" in str(error.value)
    assert f"{PATIENT}_2_mask.tif" in str(error.value)


def test_slices_of_two_sizes_name_the_odd_one(tmp_path):
    write(tmp_path, PATIENT, 1, plain(9), np.zeros((6, 8), bool))
    write(tmp_path, PATIENT, 2, plain(9, 7, 8), np.zeros((7, 8), bool))
    (ref,) = load_dataset("lgg", tmp_path)
    with pytest.raises(DataError, match=f"{PATIENT}_2.tif"):
        ref.read()


def test_slices_of_two_depths_and_stacks_name_the_odd_one(tmp_path):
    write(tmp_path, PATIENT, 1, np.full((6, 8), 9, np.uint8), np.zeros((6, 8), bool))
    write(tmp_path, PATIENT, 2, np.full((6, 8), 900, np.uint16), np.zeros((6, 8), bool))
    (ref,) = load_dataset("lgg", tmp_path)
    with pytest.raises(DataError, match=f"{PATIENT}_2.tif holds uint16.* of one depth"):
        ref.read()


def load(folder):
    with noting() as notes:
        refs = load_dataset("lgg", folder)
    return {ref.name: ref.read().scan.pixels[:, 0, 0, 0].tolist() for ref in refs}, notes


def slices(folder, patient, *numbers):
    for number in numbers:
        write(folder, patient, number, plain(number), np.zeros((6, 8), bool))


OTHER = "TCGA_HT_7473_19970826"


@pytest.mark.parametrize("place", ["lgg-mri-segmentation/kaggle_3m", "kaggle_3m/kaggle_3m", "a/b"])
def test_patients_are_found_further_down(tmp_path, place):
    slices(tmp_path / place, PATIENT, 1, 2)
    assert load(tmp_path) == ({PATIENT: [1, 2]}, [])


def test_a_doubled_patient_folder(tmp_path):
    slices(tmp_path / PATIENT, PATIENT, 1, 2)
    assert load(tmp_path) == ({PATIENT: [1, 2]}, [])


def test_a_set_that_lies_there_twice_is_read_once(tmp_path):
    slices(tmp_path / "x/kaggle_3m", PATIENT, 1, 2)
    shutil.copytree(tmp_path / "x/kaggle_3m", tmp_path / "x/lgg-mri-segmentation/kaggle_3m")
    found, (told,) = load(tmp_path)
    assert found == {PATIENT: [1, 2]} and "is a copy of" in told
    slices(tmp_path / "x/kaggle_3m", PATIENT, 3)
    found, (told,) = load(tmp_path)
    assert sorted(map(len, found.values())) == [2, 3] and "several places" in told
    assert {ref.patient_id for ref in load_dataset("lgg", tmp_path)} == {PATIENT}


@pytest.mark.parametrize("suffix", [".TIF", ".tiff", ".Tiff"])
def test_other_suffixes_of_tiff(tmp_path, suffix):
    slices(tmp_path, PATIENT, 2, 10)
    for file in (tmp_path / PATIENT).iterdir():
        file.rename(file.with_name(file.name.replace(".tif", suffix).replace("_mask", "_Mask")))
    assert load(tmp_path) == ({PATIENT: [2, 10]}, [])


def test_a_slice_that_is_there_twice_is_one_slice(tmp_path):
    slices(tmp_path, PATIENT, 1, 2)
    slices(tmp_path, OTHER, 1)
    home = tmp_path / PATIENT
    shutil.copy(home / f"{PATIENT}_1.tif", home / f"{PATIENT}_1.tiff")
    assert load(tmp_path)[0][PATIENT] == [1, 2]
    shutil.copy(home / f"{PATIENT}_2.tif", home / f"{PATIENT}_1.tiff")
    found, (told,) = load(tmp_path)
    assert list(found) == [OTHER] and f"{PATIENT}_1.tiff are both slice" in told


def test_a_patient_of_whom_a_mask_is_missing_is_left_out_and_named(tmp_path):
    slices(tmp_path, PATIENT, 1, 2)
    slices(tmp_path, OTHER, 1, 2)
    (tmp_path / PATIENT / f"{PATIENT}_2_mask.tif").unlink()
    found, (told,) = load(tmp_path)
    assert list(found) == [OTHER]
    assert told.startswith("1 of 2 cases are left out.") and f"{PATIENT}_2.tif has no mask" in told


def test_a_mask_without_its_slice_is_told(tmp_path):
    slices(tmp_path, PATIENT, 1, 2)
    (tmp_path / PATIENT / f"{PATIENT}_2.tif").unlink()
    found, (told,) = load(tmp_path)
    assert found == {PATIENT: [1]} and f"{PATIENT}_2_mask.tif" in told


def test_what_systems_leave_is_no_slice(tmp_path):
    slices(tmp_path, PATIENT, 1)
    for name in (f"._{PATIENT}_1.tif", "Thumbs.db", "notes.txt"):
        (tmp_path / PATIENT / name).write_bytes(b"II*\0")
    (tmp_path / "__MACOSX" / PATIENT).mkdir(parents=True)
    assert load(tmp_path) == ({PATIENT: [1]}, [])
