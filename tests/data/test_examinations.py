"""Whose folders of volumes are: BIDS, time points, sites, copies, and who is left out."""

import shutil

import numpy as np
import pytest

from brainseg.data import load_dataset
from brainseg.data.cache import prepared_set
from brainseg.data.case import DataError
from brainseg.data.splits import fold_of
from brainseg.scans.notes import noting
from tests.scans.scan_files import volume

SHAPE = (2, 5, 4)


def write(folder, stem=None, *, value=20, label=True, tumour=(1, 2, 3), between="_"):
    """A FLAIR volume of one value and a label of one voxel."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = stem or folder.name
    volume(folder / f"{stem}{between}flair.nii.gz", np.full(SHAPE, value, np.int16))
    if label:
        write_label(folder / f"{stem}{between}seg.nii.gz", tumour)


def write_label(path, tumour=(1, 2, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros(SHAPE, np.uint8)
    mask[tumour] = 1
    volume(path, mask)


def load(root):
    """Name: patient id of each case, and the notes."""
    with noting() as notes:
        refs = load_dataset("brats", root)
    assert len({ref.name for ref in refs}) == len(refs)
    for ref in refs:
        case = ref.read()
        assert case.patient_id == ref.patient_id
        assert case.mask.sum() == 1 and case.mask[1, 2, 3]
    return {ref.name: ref.patient_id for ref in refs}, notes


def test_bids_subjects_are_patients_and_sessions_their_cases(tmp_path):
    write(tmp_path / "sub-1/anat", "sub-1")
    for session in ("ses-1", "ses-2"):
        write(tmp_path / "sub-2" / session / "anat", f"sub-2_{session}")
    (tmp_path / "sub-1/dwi").mkdir()
    volume(tmp_path / "sub-1/dwi/sub-1_dwi_mask.nii.gz", np.ones((7, 7, 7), np.uint8))
    found, notes = load(tmp_path)
    assert found == {"sub-1": "sub-1", "sub-2/ses-1": "sub-2", "sub-2/ses-2": "sub-2"}
    assert notes == []
    assert load(tmp_path / "sub-1")[0] == {"sub-1": "sub-1"}


def test_bids_labels_may_lie_among_the_derivatives(tmp_path):
    for raw in ("", "rawdata"):
        root = tmp_path / f"set{raw}"
        write(root / raw / "sub-1/ses-1/anat", "sub-1", label=False)
        derived = root / "derivatives"
        write_label(derived / "drawn/sub-1/ses-1/anat/sub-1_ses-1_label-lesion_mask.nii.gz")
        write_label(derived / "fmriprep/sub-1/ses-1/anat/sub-1_desc-brain_mask.nii.gz", (0, 0, 0))
        found, notes = load(root)
        assert found == {"sub-1/ses-1": "sub-1"} and notes == []


def test_images_beside_a_derived_label_are_on_its_grid(tmp_path):
    write(tmp_path / "sub-1/anat", "sub-1", label=False)
    write(tmp_path / "derivatives/mni/sub-1/anat", "sub-1", value=99)
    (ref,) = load_dataset("brats", tmp_path)
    assert ref.read().scan.pixels.max() == 99
    write(tmp_path / "derivatives/other/sub-1/anat", "sub-1", value=77)
    with pytest.raises(DataError, match=r"sub-1 has several masks.*mni.*other.*Keep one"):
        load_dataset("brats", tmp_path)


def test_folders_of_dates_or_visits_in_a_patients_folder_are_time_points(tmp_path):
    days = {"P1": ["2001-02-03", "2001-05-03"], "P2": ["20010203"], "P3": ["week-000-1"]}
    days["TCGA-02-0003"] = ["03-21-1999-NA-MRI BRAIN-1234"]
    for patient, names in days.items():
        for name in names:
            write(tmp_path / "train" / patient / name)
    found, notes = load(tmp_path)
    assert found == {f"{p}/{name}": p for p, names in days.items() for name in names}
    (told,) = notes
    assert "5 folders" in told and "4 patients" in told and "P1/2001-02-03 of patient P1" in told


def test_folders_named_after_their_content_are_no_patients(tmp_path):
    write(tmp_path / "P1/nifti", "a")
    write(tmp_path / "P2/nifti", "a")
    write(tmp_path / "P3/images", "a", label=False)
    write_label(tmp_path / "P3/masks/a_mask.nii.gz")
    found, notes = load(tmp_path)
    assert found == {"P1": "P1", "P2": "P2", "P3": "P3"} and notes == []


def test_namesakes_of_two_sites_are_two_patients(tmp_path):
    for site, value in (("siteA", 1), ("siteB", 2)):
        write(tmp_path / "all" / site / "001", value=value)
    write(tmp_path / "all/siteA/002")
    found, (told,) = load(tmp_path)
    assert found == {"siteA/001": "siteA/001", "siteB/001": "siteB/001", "002": "002"}
    assert "siteA/001 and siteB/001" in told and "different patients" in told
    assert load(tmp_path / "all")[0] == found  # ids do not depend on where one starts to look


def test_a_copy_of_a_folder_is_no_second_patient(tmp_path):
    write(tmp_path / "set/001")
    write(tmp_path / "set/002")
    shutil.copytree(tmp_path / "set", tmp_path / "set/set")
    found, (told,) = load(tmp_path)
    assert found == {"001": "001", "002": "002"}
    assert "is a copy of" in told and "1 more" in told


def test_a_linked_folder_is_followed_once(tmp_path):
    write(tmp_path / "elsewhere/P1")
    write(tmp_path / "set/P2")
    (tmp_path / "set/P1").symlink_to(tmp_path / "elsewhere/P1")
    (tmp_path / "set/again").symlink_to(tmp_path / "set/P2")
    (tmp_path / "set/loop").symlink_to(tmp_path / "set")
    assert load(tmp_path / "set") == ({"P1": "P1", "P2": "P2"}, [])


@pytest.mark.parametrize(
    ("names", "patient"),
    [
        (("BraTS-GLI-00008-000", "BraTS-GLI-00008-001"), "BraTS-GLI-00008"),
        (("UPENN-GBM-00013_11", "UPENN-GBM-00013_21"), "UPENN-GBM-00013_11"),
        (("UCSF-PDGM-0431_nifti", "UCSF-PDGM-0431_FU001d_nifti"), "UCSF-PDGM-0431_nifti"),
        (("sub-7_ses-1", "sub-7_ses-2"), "sub-7"),
        (("P1_Timepoint_1", "P1_Timepoint_2"), "P1"),
    ],
)
def test_time_points_in_the_name_wherever_they_lie(tmp_path, names, patient):
    for part, name in enumerate(names):
        write(tmp_path / (f"part{part}" if "BraTS" in name else "") / name)
    found, notes = load(tmp_path)
    assert found == dict.fromkeys(names, patient)
    assert bool(notes) == (patient == "P1")


NAMES = ["BraTS20_Training_001", "Brats18_CBICA_AAB_1", "TCGA_CS_4941_19960909", "W12", "case 7"]


def test_ids_of_plain_folders_are_their_names(tmp_path):
    for name in [*NAMES, "P1_2001-02-03"]:
        write(tmp_path / "HGG" / name)
    found, notes = load(tmp_path)
    assert found == {name: name for name in [*NAMES, "P1_2001-02-03"]} and notes == []
    assert fold_of("TCGA_CS_4941_19960909") == 2
    write(tmp_path / "HGG" / "P1_2001-05-03")
    found, (told,) = load(tmp_path)
    assert found["P1_2001-05-03"] == "P1_2001-05-03"
    assert "P1_2001-02-03 and P1_2001-05-03" in told and "two folds" in told
    for name in ("P2_pre", "P2_post", "P2_week12"):
        write(tmp_path / "LGG" / name)
    _, (told,) = load(tmp_path / "LGG")
    assert "P2_post and P2_pre are taken as different patients" in told


def test_who_has_no_label_is_left_out_and_named_once(tmp_path):
    write(tmp_path / "BraTS20_Training_001")
    write(tmp_path / "BraTS20_Training_355", label=False)
    for number in range(400, 410):
        write(tmp_path / f"BraTS20_Training_{number}", label=False)
    found, (told,) = load(tmp_path)
    assert list(found) == ["BraTS20_Training_001"]
    assert told.startswith("11 of 12 cases are left out.") and "has no mask" in told
    assert all(f"BraTS20_Training_{n}" in told for n in (355, *range(400, 410)))
    shutil.rmtree(tmp_path / "BraTS20_Training_001")
    with pytest.raises(DataError, match=r"355 has no mask.*None of 11 cases"):
        load_dataset("brats", tmp_path)


def test_folders_named_like_files(tmp_path):
    patient = tmp_path / "BraTS2021_00621"
    volume_of = {"flair": np.full(SHAPE, 20, np.int16), "t1ce": np.full(SHAPE, 30, np.int16)}
    for word, array in volume_of.items():
        inner = patient / f"{patient.name}_{word}.nii"
        inner.mkdir(parents=True)
        volume(inner / "00000057.nii", array)
    write_label(patient / f"{patient.name}_seg.nii" / "00000057_final.nii")
    assert load(tmp_path) == ({patient.name: patient.name}, [])
    (ref,) = load_dataset("brats", tmp_path)
    assert ref.read().scan.pixels[0, 0, 0].tolist() == [20, 20, 30]
    assert all(file.is_file() for file in ref.files)  # which a cache reads


def test_what_systems_leave_among_volumes_is_no_scan(tmp_path):
    write(tmp_path / "P1")
    (tmp_path / "P1/._P1_flair.nii.gz").write_bytes(b"\0\5\26\7")
    (tmp_path / "__MACOSX/P1").mkdir(parents=True)
    (tmp_path / "__MACOSX/P1/P1_flair.nii.gz").write_bytes(b"\0\5\26\7")
    (tmp_path / "P1/empty").mkdir()
    assert load(tmp_path) == ({"P1": "P1"}, [])


def test_a_link_to_what_was_not_fetched(tmp_path):
    write(tmp_path / "P1")
    write(tmp_path / "P2")
    (tmp_path / "P2/P2_flair.nii.gz").unlink()
    (tmp_path / "P2/P2_flair.nii.gz").symlink_to(tmp_path / "annex/x")
    found, (told,) = load(tmp_path)
    assert list(found) == ["P1"] and "P2_flair.nii.gz is a link" in told


def test_a_set_that_is_still_packed(tmp_path):
    (tmp_path / "BraTS.zip").write_bytes(b"PK\3\4")
    with pytest.raises(DataError, match=r"no NIfTI files.*Unpack BraTS\.zip first"):
        load_dataset("brats", tmp_path)


def test_a_folder_with_the_files_of_several_patients(tmp_path):
    write(tmp_path / "one", "P1")
    write(tmp_path / "all", "P1")
    write_label(tmp_path / "all/P1_brain_mask.nii.gz")
    assert len(load(tmp_path)[0]) == 2
    write(tmp_path / "all", "P2")
    found, (told,) = load(tmp_path)
    assert list(found) == ["one"]
    assert "2 patients or days, such as P1_brain_mask.nii.gz and P2_flair.nii.gz" in told


def test_suffixes_in_capitals(tmp_path):
    write(tmp_path / "P1")
    for file in (tmp_path / "P1").iterdir():
        file.rename(file.with_name(file.name.replace(".nii.gz", ".NII.GZ")))
    assert load(tmp_path) == ({"P1": "P1"}, [])


def test_a_damaged_volume_costs_its_case_alone(tmp_path):
    write(tmp_path / "set/P1")
    write(tmp_path / "set/P2")
    whole = (tmp_path / "set/P2/P2_flair.nii.gz").read_bytes()
    (tmp_path / "set/P2/P2_flair.nii.gz").write_bytes(whole[: len(whole) // 2])
    refs = load_dataset("brats", tmp_path / "set")
    with noting() as notes:
        prepared = prepared_set(refs, 32, tmp_path / "cache")
    assert set(prepared.patients) == {"P1"} and prepared.left_out == (1,)
    assert len(notes) == 1 and "P2_flair.nii.gz" in notes[0]
    (tmp_path / "set/P2/P2_flair.nii.gz").write_bytes(whole)  # mended, it is read
    assert set(prepared_set(refs, 32, tmp_path / "cache").patients) == {"P1", "P2"}
