"""BraTS folders, old and new names, with whatever sequences there are."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from brainseg.data import load_dataset
from brainseg.data.case import DataError
from brainseg.scans.notes import noting
from brainseg.scans.preprocessing import VOLUME_VERSION

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


# ---------------------------------------------------------------- names of other origin


def save(path, value, *, values=None):
    array = np.full(SHAPE, value, np.int16) if values is None else values
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    sitk.WriteImage(image, str(path))


@pytest.mark.parametrize(
    "words",
    [
        {"flair": "FLAIR_r2s_bet", "t1": "T1_r2s_bet", "t1c": "CT1_r2s_bet", "label": "seg"},
        {"flair": "T2_FLAIR", "t1": "T1-weighted", "t1c": "T1_CE", "label": "tumorMask"},
        {"flair": "flair_brain", "t1": "T1pre", "t1c": "T1-post", "label": "lesion_mask"},
        {"flair": "T2w_FLAIR", "t1": "T1w", "t1c": "ce-gadolinium_T1w", "label": "flair_mask"},
        {"flair": "FLAIR", "t1": "precontrast", "t1c": "postcontrast", "label": "OTMultiClass"},
        {"flair": "t2f", "t1": "MPRAGE", "t1c": "T1Gd", "label": "Segm"},
    ],
)
@pytest.mark.parametrize("patient", ["P1", "T1study_01", "FLAIR-T2_9"])
def test_every_file_has_the_role_of_all_its_words(tmp_path, words, patient):
    folder = tmp_path / patient
    write(folder, words, words)
    ones = np.ones(SHAPE, np.uint8)
    for name in ("brain_mask", "bet_mask", "T1_brain_mask"):  # they sort before the label
        save(folder / f"{patient}_{name}.nii.gz", 1, values=ones)
    save(folder / f"{patient}_T2.nii.gz", VALUES["t2"])
    save(folder / f"{patient}_ADC.nii.gz", 99)
    (folder / f"._{patient}_seg.nii.gz").write_bytes(b"of a Mac")
    (ref,) = load_dataset("brats", tmp_path)
    case = ref.read()
    assert case.scan.pixels[0, 0, 0].tolist() == [10, 20, 30]
    np.testing.assert_array_equal(case.mask, label() > 0)
    assert len(ref.files) == 4


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("P_flair", "P_seg", "P_lesion_mask"), ("P_seg.nii.gz", "P_lesion_mask.nii.gz")),
        (("P_t1ce", "P_T1-post", "P_seg"), ("P_t1ce.nii.gz", "P_T1-post.nii.gz")),
        (("P_t1_flair", "P_t2", "P_seg"), ("P_t1_flair.nii.gz",)),
        (("P_flair", "P_brain_mask"), ("has no mask", "P_brain_mask.nii.gz", "_seg")),
        (("P_adc", "P_seg"), ("has no flair", "P_adc.nii.gz")),
        (("P1_flair", "P1_seg", "P2_flair", "P2_seg"), ("P1_flair.nii.gz", "P2_flair.nii.gz")),
    ],
)
def test_two_that_fit_or_none_are_refused_by_name(tmp_path, names, told):
    for name in names:
        save(tmp_path / "P" / f"{name}.nii.gz", 1)
    with pytest.raises(DataError) as error:
        load_dataset("brats", tmp_path)
    assert all(part in str(error.value) for part in (str(tmp_path / "P"), *told))


def test_a_name_that_says_nothing_is_left_out_and_told(tmp_path, caplog):
    for name in ("P_flair", "P_seg", "P_xyz", "P_brain_mask", "P_t2"):
        save(tmp_path / "P" / f"{name}.nii.gz", 1)
    (ref,) = load_dataset("brats", tmp_path)
    assert [file.name for file in ref.files] == ["P_flair.nii.gz", "P_seg.nii.gz"]
    (told,) = caplog.messages
    assert "P_xyz.nii.gz" in told and "P_t2" not in told and "brain_mask" not in told


def test_steps_of_processing_and_unknown_names_of_many_patients_are_told_once(tmp_path):
    for patient in (f"UCSF-PDGM-000{n}" for n in range(5)):
        folder = tmp_path / f"{patient}_nifti"
        for number, word in enumerate(("T1", "FLAIR", "T1c"), 1):
            save(folder / f"{patient}_{word}.nii.gz", 1)
            save(folder / f"{patient}_{word}_bias.nii.gz", 10 * number)
        for word in ("ADC", "DTI_eddy_L1", "DWI_bias", "xyz", "brain_segmentation"):
            save(folder / f"{patient}_{word}.nii.gz", 99)
        save(folder / f"{patient}_tumor_segmentation.nii.gz", 1, values=label())
    with noting() as notes:
        refs = load_dataset("brats", tmp_path)
    assert [ref.patient_id for ref in refs] == [f"UCSF-PDGM-000{n}_nifti" for n in range(5)]
    for ref in refs:
        assert ref.read().scan.pixels[0, 0, 0].tolist() == [10, 20, 30]
    steps, unknown = sorted(notes, key=lambda text: "xyz" in text)
    assert "FLAIR_bias" in steps and "xyz" in unknown
    assert all("4 more" in text for text in notes)


def test_masks_of_all_patients_in_a_folder_of_their_own(tmp_path):
    for number in (1, 2, 11):
        patient = f"UPENN-GBM-{number:05}_1"
        for word, value in (("T1", 10), ("FLAIR", 20), ("T1GD", 30), ("T2", 40)):
            save(tmp_path / "images" / patient / f"{patient}_{word}.nii.gz", value)
        mask = label() * (label() == (4 if number == 2 else 2))
        save(tmp_path / "segm" / f"{patient}_segm.nii.gz", 1, values=mask)
    save(tmp_path / "segm" / "UPENN-GBM-00012_1_segm.nii.gz", 1)  # of nobody here
    refs = load_dataset("brats", tmp_path)
    assert len(refs) == 3
    for ref, value in zip(refs, (2, 4, 2), strict=True):
        case = ref.read()
        assert ref.files[-1].name == f"{ref.files[0].parent.name}_segm.nii.gz"
        assert case.scan.pixels[0, 0, 0].tolist() == [10, 20, 30]
        np.testing.assert_array_equal(case.mask, label() == value)
    for number in (1, 11):
        name = f"UPENN-GBM-{number:05}_1_automated_approx_segm.nii.gz"
        save(tmp_path / "approx" / name, 1, values=label())
    with noting() as notes:
        assert [ref.files for ref in load_dataset("brats", tmp_path)] == [r.files for r in refs]
    assert "UPENN-GBM-00001_1_automated_approx_segm.nii.gz is left out" in notes[0]
    save(tmp_path / "automated" / "UPENN-GBM-00001_1_segm.nii.gz", 1, values=label())
    save(tmp_path / "automated" / "UPENN-GBM-00011_1_segm.nii.gz", 1, values=label())
    with noting() as notes:
        (ref,) = load_dataset("brats", tmp_path)
    told = " ".join(notes)
    assert "several masks" in told and "automated" in told and "00002" in ref.name


def test_a_patient_of_bids_is_the_subject(tmp_path):
    for subject, sessions in (("sub-01", ("ses-1", "ses-2")), ("sub-02", ("ses-1",))):
        for session in sessions:
            folder = tmp_path / subject / session / "anat"
            for word in ("FLAIR", "ce-gadolinium_T1w", "T1w", "label-tumor_dseg"):
                values = label() if "dseg" in word else None
                save(folder / f"{subject}_{session}_{word}.nii.gz", 1, values=values)
    refs = load_dataset("brats", tmp_path)
    assert [ref.patient_id for ref in refs] == ["sub-01", "sub-01", "sub-02"]
    assert len({ref.name for ref in refs}) == 3
    np.testing.assert_array_equal(refs[2].read().mask, label() > 0)


def test_folders_of_one_name_are_known_by_their_parents(tmp_path):
    for patient in ("P1", "P2"):
        save(tmp_path / patient / "nifti" / "flair.nii.gz", 5)
        save(tmp_path / patient / "nifti" / "seg.nii.gz", 1, values=label())
    assert [ref.patient_id for ref in load_dataset("brats", tmp_path)] == ["P1", "P2"]


# ---------------------------------------------------------------- Decathlon and nnU-Net


def describe_channels(root, names, key="channel_names"):
    (root / "dataset.json").write_text(json.dumps({key: dict(enumerate(names))}))


def test_decathlon(tmp_path, caplog):
    root = tmp_path / "Task01_BrainTumour"
    for number in (1, 2):
        channels = np.stack(
            [np.full(SHAPE, VALUES[k], np.int16) for k in ("flair", "t1", "t1c", "t2")]
        )
        path = root / "imagesTr" / f"BRATS_{number:03}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(sitk.GetImageFromArray(channels, isVector=False), str(path))
        save(root / "labelsTr" / path.name, 1, values=label())
        save(root / "imagesTs" / f"BRATS_9{number}.nii.gz", 1)
    with pytest.raises(DataError, match=r"dataset\.json"):
        load_dataset("brats", tmp_path)
    describe_channels(root, ["FLAIR", "T1w", "t1gd", "T2w"], "modality")
    refs = load_dataset("brats", tmp_path)
    assert [ref.patient_id for ref in refs] == ["BRATS_001", "BRATS_002"]
    case = refs[0].read()
    assert case.scan.pixels[0, 0, 0].tolist() == [10, 20, 30]
    np.testing.assert_array_equal(case.mask, label() > 0)
    assert len([text for text in caplog.messages if "dataset.json" in text]) == 1  # for all


def test_nnunet_has_a_file_for_each_channel(tmp_path, caplog):
    kinds = ("t2", "t1c", "flair", "t1")
    for case in ("case_1", "case_10"):
        for number, kind in enumerate(kinds):
            save(tmp_path / "imagesTr" / f"{case}_{number:04}.nii.gz", VALUES[kind])
        save(tmp_path / "labelsTr" / f"{case}.nii.gz", 1, values=label())
    describe_channels(tmp_path, ["T2", "T1ce", "FLAIR", "T1"])
    refs = load_dataset("brats", tmp_path)
    assert [ref.patient_id for ref in refs] == ["case_1", "case_10"]
    case = refs[1].read()
    assert case.scan.pixels[0, 0, 0].tolist() == [10, 20, 30] and len(refs[1].files) == 4
    np.testing.assert_array_equal(case.mask, label() > 0)
    (tmp_path / "imagesTr" / "case_10_0002.nii.gz").unlink()
    assert [ref.patient_id for ref in load_dataset("brats", tmp_path)] == ["case_1"]
    assert "1 of 2 cases are left out" in caplog.text and "case_10_0002.nii.gz" in caplog.text
    describe_channels(tmp_path, ["CT", "T2", "a", "b"])
    with pytest.raises(DataError, match=r"dataset\.json.*CT, T2, a, b.*flair"):
        load_dataset("brats", tmp_path)


def test_time_points_in_nnunet_s_layout_are_of_one_patient(tmp_path):
    for case in ("BraTS-GLI-00009-000", "BraTS-GLI-00009-001", "BraTS-GLI-00011-000"):
        save(tmp_path / "imagesTr" / f"{case}_0000.nii.gz", VALUES["flair"])
        save(tmp_path / "labelsTr" / f"{case}.nii.gz", 1, values=label())
    describe_channels(tmp_path, ["FLAIR"])
    refs = load_dataset("brats", tmp_path)
    one, two = "BraTS-GLI-00009", "BraTS-GLI-00011"
    assert [ref.patient_id for ref in refs] == [one, one, two]
    assert [ref.read().patient_id for ref in refs] == [one, one, two]
    assert [ref.name for ref in refs][:2] == [f"{one}-000", f"{one}-001"]


@pytest.mark.parametrize(
    ("cases", "patient"),
    [(("sub-01_ses-1", "sub-01_ses-2"), "sub-01"), (("P1_tp1", "P1_tp2"), "P1")],
)
def test_time_points_by_their_words_in_nnunet_s_layout(tmp_path, cases, patient):
    for case in (*cases, "Q_pre", "Q_post"):
        save(tmp_path / "imagesTr" / f"{case}_0000.nii.gz", VALUES["flair"])
        save(tmp_path / "labelsTr" / f"{case}.nii.gz", 1, values=label())
    save(tmp_path / "imagesTr" / "alone_0000.nii.gz", VALUES["flair"])
    save(tmp_path / "elsewhere" / "A" / "A_flair.nii.gz", VALUES["flair"])
    describe_channels(tmp_path / "", ["FLAIR"])
    with noting() as notes:
        refs = load_dataset("brats", tmp_path)
    assert [ref.patient_id for ref in refs if ref.name in cases] == [patient] * 2
    told = " ".join(notes)
    assert f"of patient {patient}" in told
    assert "Q_post and Q_pre are taken as different patients" in told
    assert "left out, as they have no label: alone." in told
    assert f"which alone are read: not {tmp_path / 'elsewhere' / 'A'}" in told


def test_what_lies_beside_a_layout_of_nnunet_s_is_told(tmp_path):
    save(tmp_path / "Task1" / "imagesTr" / "a_0000.nii.gz", VALUES["flair"])
    save(tmp_path / "Task1" / "labelsTr" / "a.nii.gz", 1, values=label())
    describe_channels(tmp_path / "Task1", ["FLAIR"])
    write(tmp_path / "more" / "P1", OLD, ["flair", "label"])
    with noting() as notes:
        refs = load_dataset("brats", tmp_path)
    assert [ref.name for ref in refs] == ["a"]
    assert any("which alone are read: not" in text and "P1" in text for text in notes)


def test_a_sequence_under_another_name_is_prepared_anew(tmp_path):
    write(tmp_path / "P1", OLD, ["flair", "t1", "label"])
    (before,) = load_dataset("brats", tmp_path)
    (tmp_path / "P1" / "P1_t1.nii.gz").rename(tmp_path / "P1" / "P1_t1ce.nii.gz")
    (after,) = load_dataset("brats", tmp_path)
    assert before.version != after.version and len(before.files) == len(after.files)
    write(tmp_path / "P2", OLD, ["flair", "t1", "t1c", "label"])
    assert load_dataset("brats", tmp_path)[1].version == VOLUME_VERSION


def test_channels_named_otherwise_are_prepared_anew(tmp_path):
    for number, kind in enumerate(("flair", "t1")):
        save(tmp_path / "imagesTr" / f"a_{number:04}.nii.gz", VALUES[kind])
    save(tmp_path / "labelsTr" / "a.nii.gz", 1, values=label())
    versions = set()
    for names in (["FLAIR", "T1"], ["T1", "FLAIR"]):
        describe_channels(tmp_path, names)
        (ref,) = load_dataset("brats", tmp_path)
        versions.add(ref.version)
    assert len(versions) == 2


def test_nnunet_with_suffixes_in_capitals(tmp_path):
    for folder, name in (("imagesTr", "case_1_0000"), ("labelsTr", "case_1")):
        save(tmp_path / folder / f"{name}.nii.gz", VALUES["flair"])
        (tmp_path / folder / f"{name}.nii.gz").rename(tmp_path / folder / f"{name}.NII.GZ")
    describe_channels(tmp_path, ["FLAIR"])
    (ref,) = load_dataset("brats", tmp_path)
    assert ref.patient_id == "case_1" and ref.files[0].name == "case_1_0000.NII.GZ"
