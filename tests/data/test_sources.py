"""Which scans a call of predict means: files, folders of scans, patients and their folders."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from brainseg.__main__ import main
from brainseg.data.sources import expand
from brainseg.scans.notes import noting
from brainseg.scans.scan import ScanError
from tests.scans.dicom_files import STORAGE, dicom_file, series


def save(path, value=7):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(value).integers(0, 250, (3, 40, 40)).astype(np.int16)
    if path.suffix == ".png":
        Image.fromarray(array[0].astype(np.uint8)).save(path)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    return path


def patient(folder, *words, prefix=None):
    for word in words:
        save(folder / f"{folder.name if prefix is None else prefix}_{word}.nii.gz")
    return folder


def meant(*paths, **options):
    """What is read, as file names by role or one file name, by the name of the results; notes."""
    with noting() as notes:
        sources = expand(paths, **options)
    found = {
        source.name: {role: file.name for role, file in source.sequences.items()}
        if source.sequences
        else source.path.name
        for source in sources
    }
    assert len(found) == len(sources)
    return found, " ".join(notes)


def test_the_sequences_of_a_patient_are_one_scan(tmp_path):
    folder = patient(tmp_path / "P1", "flair", "t1", "T1_CE", "t2", "adc", "seg", "brain_mask")
    found, told = meant(folder)
    assert found == {
        "P1": {"flair": "P1_flair.nii.gz", "t1": "P1_t1.nii.gz", "t1c": "P1_T1_CE.nii.gz"}
    }
    for word in ("t2", "adc", "seg", "brain_mask"):
        assert f"P1_{word}.nii.gz" in told
    assert "--truth" in told


def test_one_sequence_with_its_label_is_one_scan(tmp_path):
    found, told = meant(patient(tmp_path / "P1", "flair", "seg"))
    assert found == {"P1_flair": "P1_flair.nii.gz"} and "P1_seg.nii.gz" in told


def test_patients_in_one_folder(tmp_path):
    folder = tmp_path / "all"
    for name in ("P1", "P2"):
        patient(folder, "flair", "t1", "seg", prefix=name)
    save(folder / "other.nii.gz")
    found, _ = meant(folder)
    assert found == {
        "P1_flair": {"flair": "P1_flair.nii.gz", "t1": "P1_t1.nii.gz"},
        "P2_flair": {"flair": "P2_flair.nii.gz", "t1": "P2_t1.nii.gz"},
        "other": "other.nii.gz",
    }


def test_a_folder_of_patients_folders(tmp_path):
    for name in ("P1", "P2"):
        patient(tmp_path / "set" / name, "flair", "t1c", "seg")
    save(tmp_path / "set" / "P3" / "scan.nii.gz")
    save(tmp_path / "set" / "masks" / "P3.nii.gz")
    (tmp_path / "set" / "P4").mkdir()
    (tmp_path / "set" / "README.txt").write_text("x")
    found, told = meant(tmp_path / "set")
    assert list(found) == ["P1", "P2", "P3_scan"]
    assert found["P2"] == {"flair": "P2_flair.nii.gz", "t1c": "P2_t1c.nii.gz"}
    assert "masks" in told and "folders" in told


def test_bids(tmp_path):
    for subject in ("sub-1", "sub-2"):
        patient(tmp_path / subject / "anat", "FLAIR", "ce-gd_T1w", "T1w", prefix=subject)
    found, _ = meant(tmp_path)
    assert list(found) == ["sub-1_anat", "sub-2_anat"]
    assert found["sub-1_anat"]["t1c"] == "sub-1_ce-gd_T1w.nii.gz"


def test_what_lies_beside_the_anatomy_of_bids_is_left_out(tmp_path):
    for session in ("ses-1", "ses-2"):
        patient(tmp_path / "sub-1" / session / "anat", "FLAIR", "T1w", prefix=f"sub-1_{session}")
        patient(tmp_path / "sub-1" / session / "dwi", "dwi", prefix=f"sub-1_{session}")
    found, told = meant(tmp_path)
    assert list(found) == ["sub-1_ses-1_anat", "sub-1_ses-2_anat"]
    assert "ses-2: folders left out" in told and "dwi" in told
    assert list(meant(tmp_path / "sub-1" / "ses-1" / "dwi")[0]) == ["sub-1_ses-1_dwi"]


def test_maps_beside_sequences_are_left_out_whatever_they_are_called(tmp_path):
    folder = patient(tmp_path / "P1", "FLAIR", "T1", "DTI_eddy_FA", "DTI_eddy_noreg", "rel_CBV")
    found, told = meant(folder)
    assert found == {"P1": {"flair": "P1_FLAIR.nii.gz", "t1": "P1_T1.nii.gz"}}
    for word in ("DTI_eddy_FA", "DTI_eddy_noreg", "rel_CBV"):
        assert f"P1_{word}.nii.gz" in told
    assert len(meant(patient(tmp_path / "P2", "DTI_eddy_FA", "rel_CBV"))[0]) == 2


def test_steps_of_processing_are_one_scan(tmp_path):
    steps = ("r2s", "r2s_bet", "r2s_bet_reg")
    folder = patient(tmp_path / "P1", *(f"{kind}_{s}" for kind in ("FLAIR", "CT1") for s in steps))
    found, told = meant(folder)
    assert found == {
        "P1": {"flair": "P1_FLAIR_r2s_bet_reg.nii.gz", "t1c": "P1_CT1_r2s_bet_reg.nii.gz"}
    }
    assert told.count("CT1_r2s.nii.gz") == 1


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("flair", "flair_brain", "t1"), ("P1_flair.nii.gz", "P1_flair_brain.nii.gz")),
        (("t1ce", "t1_post", "t2"), ("P1_t1ce.nii.gz", "P1_t1_post.nii.gz")),
    ],
)
def test_two_files_for_one_sequence_are_a_problem_of_that_patient(tmp_path, words, named):
    patient(tmp_path / "P1", *words)
    patient(tmp_path / "P2", "flair", "t1")
    one, two = expand([tmp_path])
    assert all(name in one.problem for name in named) and not two.problem
    with pytest.raises(ScanError, match="P1_"):
        one.read()


def test_series_of_one_patient_by_numbers_in_front(tmp_path):
    for name in ("5_AX_FLAIR", "3_AX_T1", "9_AX_T1_POST", "2_AX_T2"):
        save(tmp_path / "P1" / f"{name}.nii.gz")
    found, told = meant(tmp_path / "P1")
    assert found == {
        "P1": {
            "flair": "5_AX_FLAIR.nii.gz", "t1": "3_AX_T1.nii.gz", "t1c": "9_AX_T1_POST.nii.gz",
        }
    }  # fmt: skip
    assert "are read as sequences of one patient" in told and "3_AX_T1.nii.gz" in told
    save(tmp_path / "P1" / "10_COR_T1_POST.nii.gz")
    found, told = meant(tmp_path / "P1")
    assert len(found) == 5 and "may be series of one patient" in told and "--t1c" in told
    for name in ("001_FLAIR", "002_FLAIR"):
        save(tmp_path / "flairs" / f"{name}.nii.gz")
    assert meant(tmp_path / "flairs") == (
        {"001_FLAIR": "001_FLAIR.nii.gz", "002_FLAIR": "002_FLAIR.nii.gz"}, ""
    )  # fmt: skip


def test_plain_folders_are_as_before(tmp_path):
    for name in ("a_1.png", "a_2.png", "a_2_mask.png", "P_flair.png", "P_t1.png"):
        save(tmp_path / "pictures" / name)
    assert list(meant(tmp_path / "pictures")[0]) == ["a_1", "a_2", "P_flair", "P_t1"]
    for name in ("a.nii.gz", "b.nii.gz", "P9_t2.nii.gz"):
        save(tmp_path / "volumes" / name)
    found, told = meant(tmp_path / "volumes")
    assert list(found.values()) == ["a.nii.gz", "b.nii.gz", "P9_t2.nii.gz"] and told == ""
    for name in ("P1_flair.nii.gz", "P2_flair.nii.gz"):
        save(tmp_path / "flairs" / name)
    assert list(meant(tmp_path / "flairs")[0]) == ["P1_flair", "P2_flair"]
    found, _ = meant(tmp_path / "pictures", as_volume=True)
    assert found == {"pictures": "pictures"}


def test_a_folder_of_masks_alone_holds_no_scans(tmp_path):
    patient(tmp_path / "P1", "seg", "brain_mask")
    with pytest.raises(ScanError, match=r"P1 holds no scans.*P1_seg\.nii\.gz"):
        expand([tmp_path / "P1"])


def nnunet(folder, names=None, cases=("case_1", "case_2"), count=4):
    for case in cases:
        for number in range(count):
            save(folder / f"{case}_{number:04}.nii.gz", number)
    if names:
        text = json.dumps({"channel_names": dict(enumerate(names))})
        (folder.parent / "dataset.json").write_text(text)
    return folder


def test_nnunet_has_a_file_for_each_channel(tmp_path):
    folder = nnunet(tmp_path / "imagesTs", ("FLAIR", "T1", "T1ce", "T2"))
    found, told = meant(folder)
    files = {"flair": 0, "t1": 1, "t1c": 2}
    assert found == {
        case: {role: f"{case}_{number:04}.nii.gz" for role, number in files.items()}
        for case in ("case_1", "case_2")
    }
    assert "dataset.json" in told and "FLAIR, T1, T1ce, T2" in told
    (folder / "case_2_0001.nii.gz").unlink()
    one, two = expand([folder])
    assert not one.problem and "case_2_0001" in two.problem
    save(tmp_path / "labelsTr" / "case_1.nii.gz")
    assert [source.name for source in expand([tmp_path])] == [
        "imagesTs_case_1", "imagesTs_case_2"
    ]  # fmt: skip


def test_nnunet_without_its_dataset_json_is_told(tmp_path):
    found, told = meant(nnunet(tmp_path / "scans", cases=["case_1"], count=2))
    assert list(found) == ["case_1_0000", "case_1_0001"]
    assert "dataset.json" in told and "case_1_0001.nii.gz" in told
    assert meant(nnunet(tmp_path / "many", cases=["scan"], count=6))[1] == ""
    folder = nnunet(tmp_path / "odd" / "imagesTs", ("CT", "T2", "PD", "DWI"))
    assert all("CT, T2, PD, DWI" in source.problem for source in expand([folder]))


# ---------------------------------------------------------------- through the command


@pytest.fixture
def predict(random_checkpoints, tmp_path):
    def run(*args):
        common = ["--checkpoints", random_checkpoints / "unet-bce", "--out", tmp_path / "out"]
        return main(["predict", *map(str, [*args, *common])])

    return run


def phantom_patient(folder, case, roles=("t1", "flair", "t1c")):
    folder.mkdir(parents=True)
    for channel, role in enumerate(("t1", "flair", "t1c")):
        if role in roles:
            image = sitk.GetImageFromArray(case.scan.pixels[..., channel])
            sitk.WriteImage(image, str(folder / f"{folder.name}_{role}.nii.gz"))
    sitk.WriteImage(
        sitk.GetImageFromArray(case.mask.astype(np.uint8)),
        str(folder / f"{folder.name}_seg.nii.gz"),
    )
    return folder


def test_a_patient_s_folder_has_the_mask_of_its_sequences(predict, tmp_path, phantom_case, capsys):
    folder = phantom_patient(tmp_path / "P1", phantom_case)
    flags = [part for r in ("flair", "t1", "t1c") for part in (f"--{r}", folder / f"P1_{r}.nii.gz")]
    truth = ["--truth", folder / "P1_seg.nii.gz"]
    assert predict(*flags, *truth) == 0
    expected = json.loads((tmp_path / "out" / "P1_flair" / "scores.json").read_text())
    capsys.readouterr()
    assert predict(folder, *truth) == 0
    report = json.loads((tmp_path / "out" / "P1" / "scores.json").read_text())
    assert report["models"] == expected["models"] and report["models"]["unet-bce"]["area_px"]
    told = capsys.readouterr().out
    assert "FLAIR P1_flair.nii.gz" in told and "T1 after contrast P1_t1c.nii.gz" in told
    assert "P1_seg.nii.gz" in told
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"P1", "P1_flair"}


def test_one_bad_patient_does_not_stop_the_others(predict, tmp_path, phantom_case, capsys):
    for name in ("P1", "P2"):
        phantom_patient(tmp_path / "set" / name, phantom_case)
    save(tmp_path / "set" / "P1" / "P1_T1_post.nii.gz")
    assert predict(tmp_path / "set") == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["P2"]
    (line,) = capsys.readouterr().err.splitlines()
    assert "P1_T1_post.nii.gz" in line and "P1_t1c.nii.gz" in line


def test_channels_of_one_file(predict, tmp_path, phantom_case, capsys):
    t1, flair, t1c = np.moveaxis(phantom_case.scan.pixels, -1, 0)
    path = tmp_path / "BRATS_001.nii.gz"
    sitk.WriteImage(
        sitk.GetImageFromArray(np.stack([flair, t1, t1c, t1]), isVector=False), str(path)
    )
    assert predict(path) == 1
    assert "--channels" in capsys.readouterr().err
    assert predict(path, "--channels", "flair,t1,t1c,t2") == 0
    folder = phantom_patient(tmp_path / "P1", phantom_case)
    assert predict(folder) == 0
    one, other = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / name / "unet-bce.nii.gz")))
        for name in ("BRATS_001", "P1")
    )
    assert one.any() and (one == other).all()
    assert predict("--flair", path, "--channels", "flair,t1,t1c,t2") == 1
    assert "--channels" in capsys.readouterr().err


def test_words_of_a_study_leave_nothing_out(tmp_path):
    for name in ("glioma_1", "tumor_2", "brain_tumor_3", "x_flair_masked"):
        save(tmp_path / "scans" / f"{name}.nii.gz")
    found, told = meant(tmp_path / "scans")
    assert len(found) == 4 and told == ""
    for folder in ("glioma", "no_tumor", "BrainTumor"):
        save(tmp_path / "set" / folder / "1.png")
    assert len(meant(tmp_path / "set")[0]) == 3


def test_folders_beside_files_are_not_passed_over_in_silence(tmp_path):
    for place in ("overview.png", "p1/a.png", "p2/b.png"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        save(tmp_path / place)
    with noting() as notes:
        (only,) = expand([tmp_path])
    assert only.path.name == "overview.png"
    assert "files lie beside folders, which are not read: p1, p2" in notes[0]


def test_reports_beside_volumes_and_a_picture_above_dicom_are_left_out(tmp_path):
    folder = patient(tmp_path / "p", "flair", "t1")
    dicom_file(folder / "report.dcm", {"sop_class": f"{STORAGE}88.11", "series": "1.2"})
    found, notes = meant(folder)
    assert found == {"p": {"flair": "p_flair.nii.gz", "t1": "p_t1.nii.gz"}}
    assert notes == f"{folder}: left out as DICOM files without an image: report.dcm."
    medium = tmp_path / "cd"
    series(medium / "S1", np.zeros((2, 8, 8), np.int16))
    save(medium / "splash.png")
    found, notes = meant(medium)
    assert found == {"S1": "S1"}
    assert notes == f"{medium}: left out as a picture above DICOM files: splash.png."
