"""BraTS folders, old and new names, with whatever sequences there are."""

import numpy as np
import pytest
import SimpleITK as sitk

from brainseg.data import load_dataset
from brainseg.data.case import DataError

OLD = {"flair": "flair", "t1": "t1", "t1c": "t1ce", "t2": "t2", "label": "seg"}
NEW = {"flair": "t2f", "t1": "t1n", "t1c": "t1c", "t2": "t2w", "label": "seg"}
VALUES = {"t1": 10, "flair": 20, "t1c": 30, "t2": 40}
SHAPE = (3, 5, 4)  # slices, rows, columns


def label():
    values = np.zeros(SHAPE, np.uint8)
    values[0, 1, 2], values[1, 2, 3], values[2, 4, 0] = 1, 2, 4
    return values


def write(folder, words, kinds, *, separator="_", suffix=".nii.gz", shape=SHAPE):
    folder.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        array = label() if kind == "label" else np.full(shape, VALUES[kind], np.int16)
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((1.0, 1.5, 2.0))
        sitk.WriteImage(image, str(folder / f"{folder.name}{separator}{words[kind]}{suffix}"))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    ("patient", "words", "separator"),
    [("BraTS20_Training_001", OLD, "_"), ("BraTS-GLI-00001-000", NEW, "-")],
)
def test_old_and_new_names(tmp_path, patient, words, separator, suffix):
    write(tmp_path / "set" / patient, words, words, separator=separator, suffix=suffix)
    (ref,) = load_dataset("brats", tmp_path)
    case = ref.read()
    assert case.dataset == "brats" and case.patient_id == ref.patient_id
    assert case.scan.pixels[0, 0, 0].tolist() == [10, 20, 30]  # T1, FLAIR, T1c; T2 is not used
    assert case.scan.pixels.shape == (*SHAPE, 3)
    assert case.scan.spacing_mm == pytest.approx((2.0, 1.5, 1.0))
    assert case.mask.dtype == bool
    np.testing.assert_array_equal(case.mask, label() > 0)
    words_read = {words[kind] for kind in ("t1", "flair", "t1c", "label")}
    assert {f.name for f in ref.files} == {f"{patient}{separator}{w}{suffix}" for w in words_read}


@pytest.mark.parametrize(
    ("kinds", "channels"),
    [
        (["flair"], [20, 20, 20]),
        (["flair", "t1c"], [20, 20, 30]),
        (["flair", "t1"], [10, 20, 20]),
        (["t1", "t1c"], [10, 10, 30]),
        (["t1c", "t2"], [30, 30, 30]),
    ],
)
def test_missing_sequences_are_filled_with_flair_or_the_first(tmp_path, kinds, channels):
    write(tmp_path / "BraTS20_Training_001", OLD, [*kinds, "label"])
    case = load_dataset("brats", tmp_path)[0].read()
    assert case.scan.pixels[0, 0, 0].tolist() == channels
    np.testing.assert_array_equal(case.mask, label() > 0)


def test_every_patient_has_a_case_sorted_by_name(tmp_path):
    for number in (10, 2):
        write(tmp_path / f"BraTS20_Training_{number:03}", OLD, ["flair", "label"])
    names = [ref.patient_id for ref in load_dataset("brats", tmp_path)]
    assert names == ["BraTS20_Training_002", "BraTS20_Training_010"]


def test_time_points_of_one_patient_are_one_patient(tmp_path):
    # BraTS-GLI-<patient>-<time point>: a patient must not lie in two folds.
    for name in ("BraTS-GLI-00008-000", "BraTS-GLI-00008-001", "BraTS-GLI-00009-000"):
        write(tmp_path / name, NEW, ["flair", "label"], separator="-")
    refs = load_dataset("brats", tmp_path)
    assert len(refs) == 3 and len({ref.name for ref in refs}) == 3
    assert len({ref.patient_id for ref in refs}) == 2


def test_no_label(tmp_path):
    write(tmp_path / "BraTS20_Training_001", OLD, ["flair", "t1"])
    with pytest.raises(DataError, match=r"BraTS20_Training_001 has no mask.*_seg"):
        load_dataset("brats", tmp_path)


def test_no_usable_sequence(tmp_path):
    write(tmp_path / "BraTS20_Training_001", OLD, ["t2", "label"])
    with pytest.raises(DataError, match="BraTS20_Training_001 has no flair"):
        load_dataset("brats", tmp_path)


def test_no_volumes_at_all(tmp_path):
    with pytest.raises(DataError, match="no NIfTI") as error:
        load_dataset("brats", tmp_path)
    assert str(tmp_path) in str(error.value) and "synapse.org" in str(error.value)


def test_a_label_of_another_size_or_a_broken_volume_names_the_file(tmp_path):
    folder = tmp_path / "BraTS20_Training_001"
    write(folder, OLD, ["flair", "label"], shape=(3, 5, 6))
    (ref,) = load_dataset("brats", tmp_path)
    with pytest.raises(DataError, match=r"BraTS20_Training_001_seg\.nii\.gz"):
        ref.read()
    (folder / "BraTS20_Training_001_flair.nii.gz").write_bytes(b"\x1f\x8bno")
    with pytest.raises(DataError, match=r"BraTS20_Training_001_flair\.nii\.gz"):
        ref.read()
