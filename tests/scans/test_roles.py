"""Which sequence or mask a file is, by the words of its name."""

from pathlib import Path

import pytest

from brainseg.scans.notes import noting
from brainseg.scans.roles import by_role, name_others, patients, role_of, roles_in
from brainseg.scans.scan import ScanError

NAMES = {
    "flair": (
        "FLAIR.nii.gz", "T2_FLAIR", "T2-weighted FLAIR", "T2w-FLAIR.nii", "t2flair.nii",
        "BraTS-GLI-00001-000-t2f.nii.gz", "P_flair_brain.nii.gz",
        "VSD.Brain.XX.O.MR_Flair.54512.mha",
        "sub-01_ses-T1_FLAIR.nii.gz", "sub-01_space-T1w_FLAIR.nii.gz", "FLAIR_to_T1.nii.gz",
        "flair2t1.nii", "axFLAIR.nii", "rFLAIR.nii", "FLAIR_post.nii",
        "HD_FLAIR_r2s_bet_reg.nii.gz",
        "P_flair_masked.nii.gz", "t2_spc_dark-fluid_sag.nii", "T1study_flair.nii",
        "t2_spc_da-fl_irprep_sag_p2_iso", "FLAIR_+C",
    ),
    "t1": (
        "T1.nii.gz", "T1w", "t1n.nii", "BraTS-MET-1-000-t1n.nii.gz", "T1-weighted.nii",
        "MPRAGE.nii",
        "precontrast.nii", "pre-contrast", "T1pre.nii", "T1_pre.nii", "preContrast",
        "T1_native.nii",
        "T1_noncontrast", "T1_non-contrast", "T1_pre_Gd", "T1preGd", "postop_T1.nii",
        "post_op_T1.nii", "sub-1_acq-mprage_T1w.nii.gz", "t1_to_flair.nii", "sagT1.nii",
        "T1_unenhanced.nii", "T1_tse_n.nii", "T1_r2s_bet_reg.nii.gz",
        "AX_T1_WO_CONTRAST.nii.gz", "T1_wo_contrast", "T1_w-o_contrast", "T1_woGd", "T1_C-",
        "T1 C-.nii", "T1_Gd-", "T1_minus_Gd", "T1_vor_KM", "T1_sin_contraste",
        "T1 sans contraste.nii", "T1_senza_contrasto", "T1_sem_contraste", "T1_avant_gado",
        "T1_zonder_contrast", "T1_uten_kontrast", "T1_senza_mdc", "sub_01_T1", "T1_sub_01",
    ),
    "t1c": (
        "T1_CE.nii", "T1-post", "T1_Gd", "sub-1_ce-gadolinium_T1w.nii.gz", "CT1.nii.gz", "T1GD",
        "T1Gd", "T1CE", "T1ce", "t1c.nii", "T1C", "T1+C", "T1_C", "T1KM", "postcontrast",
        "T1_contrast",
        "T1wCE", "T1w_post", "t1post.nii", "PostContrast.nii", "T1-weighted post-contrast",
        "T1 contrast enhanced.nii", "T1_gadolinium", "TCGA-CS-4941_1996.09.09_t1Gd.nii.gz",
        "T1_MPRAGE_+C.nii", "T1+.nii", "t1_se_c.nii", "T1W_3D_TFE_post", "T1 plus C", "T1_C+",
        "T1 con contraste.nii", "T1_mdc.nii.gz", "+C_AX_T1", "AX_T1_+C", "T1c_subtrMeanDivStd.nii",
        "MRI_BRAIN_W_WO_CONTRAST_AX_T1_POST.nii", "MRI_BRAIN_W_WO_CONTRAST_AX_T1_GD",
        "BRAIN_W-WO_CONTRAST_T1_POST.nii", "BRAIN_W_AND_WO_CONTRAST_T1_POST", "T1-CE--2mm.nii",
        "MRI BRAIN W/WO T1 POST", "BRAIN_WO_W_CONTRAST_T1_CE.nii",
        "preop_T1ce.nii.gz", "GADO_preprocessed.nii.gz", "MPRAGE_post.nii", "ceT1w.nii",
        "VSD.Brain.XX.O.MR_T1c.54514.mha", "UPENN-GBM-00001_11_T1GD.nii.gz", "postop_t1c.nii",
    ),
    "t2": ("T2.nii", "t2w.nii.gz", "BraTS-GLI-1-0-t2w.nii.gz", "T2-weighted.nii", "T2_post.nii"),
    "label": (
        "P_seg.nii.gz", "flair_mask.nii.gz", "lesion_mask.nii", "tumor_seg.nii", "tumour.nii.gz",
        "OTMultiClass.nii.gz", "VSD.Brain_3more.XX.O.OT.54517.mha", "P_tumorMask.nii.gz",
        "MASK.nii.gz", "W39_1998.09.19_Segm.nii", "UCSF-1_tumor_segmentation.nii.gz",
        "brain_tumor_mask.nii", "sub-1_label-tumor_dseg.nii.gz", "ground_truth.nii", "P_label.nii",
        "whole_tumor.nii.gz",
    ),
    "mask": (
        "P_brain_mask.nii.gz", "P_bet_mask.nii", "T1_bet_mask.nii.gz", "brainmask.nii", "BrainMask",
        "UCSF-1_brain_parenchyma_segmentation.nii.gz", "sub-1_desc-brain_mask.nii.gz",
        "mask_brain.nii", "skull-strip_mask", "sub-1_space-T1w_desc-brain_mask.nii.gz",
    ),
    "other": ("P_ADC.nii", "DWI.nii.gz", "SWI", "P_rCBV.nii", "T1_map.nii", "T1map.nii", "CT.nii",
              "T1_SUB", "T1_POST_SUB_AX.nii.gz"),
    "": ("scan.nii.gz", "P001.nii", "T1study.nii", "patient_7", "T1_FLAIR.nii", "T1T2.nii",
         "c1.nii"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("role", "name"), [(role, name) for role, names in NAMES.items() for name in names]
)
def test_a_name_has_one_role_or_none(role, name):
    assert role_of(name) == role


def test_the_folder_s_name_says_nothing_of_its_files():
    assert role_of("T1-study_flair.nii", "T1-study") == "flair"
    assert role_of("FLAIR_007_t2.nii", "FLAIR_007") == "t2"
    assert role_of("FLAIR.nii", "FLAIR") == "flair"  # nothing else is there


def sorted_out(*names, folder="P"):
    return {role: file.name for role, file in by_role([Path(folder, n) for n in names]).items()}


def test_the_files_of_a_patient():
    found = sorted_out(
        "P_flair_brain.nii.gz",
        "P_brain_mask.nii.gz",
        "P_bet_mask.nii.gz",
        "P_T1_CE.nii.gz",
        "P_t1.nii.gz",
        "P_t2.nii.gz",
        "P_tumor_seg.nii.gz",
    )
    assert found == {
        "flair": "P_flair_brain.nii.gz", "t1": "P_t1.nii.gz", "t1c": "P_T1_CE.nii.gz",
        "t2": "P_t2.nii.gz", "label": "P_tumor_seg.nii.gz",
    }  # fmt: skip


@pytest.mark.parametrize("patient", ["T1-study_01", "FLAIR_007", "brain_T2_3", "ce-seg-9", "T1"])
def test_words_of_the_patient_s_name_are_no_sequences(patient):
    kinds = {"flair": "flair", "t1": "t1", "t1c": "t1ce", "t2": "t2", "label": "seg"}
    names = [f"{patient}_{word}.nii.gz" for word in kinds.values()]
    for folder in (patient, "anat"):
        found = sorted_out(*names, folder=folder)
        assert found == {kind: f"{patient}_{word}.nii.gz" for kind, word in kinds.items()}


def test_a_patient_called_like_a_sequence_with_few_files():
    names = ("FLAIR_007_t2.nii", "FLAIR_007_seg.nii")
    assert sorted_out(*names, folder="anat") == {"t2": names[0], "label": names[1]}
    assert sorted_out("T1_CE.nii", folder="T1") == {"t1c": "T1_CE.nii"}
    names = ("flair_corrected_1.nii", "flair_corrected_1_mask.nii")
    assert sorted_out(*names) == {"flair": names[0], "label": names[1]}
    assert by_role([]) == {}


@pytest.mark.parametrize(
    "names",
    [
        ("P_t1ce.nii", "P_t1_post.nii", "P_seg.nii"),
        ("P_flair.nii", "P_seg.nii", "P_lesion_mask.nii"),
        ("P_flair.nii", "P_flair_brain.nii"),
        ("P_t1_flair.nii", "P_t2.nii", "P_seg.nii"),
    ],
)
def test_two_files_for_one_role_are_refused_by_name(names):
    with pytest.raises(ScanError) as error:
        sorted_out(*names)
    told = str(error.value)
    assert sum(name in told for name in names) in (1, 2) and told.endswith(".")


@pytest.mark.parametrize(
    ("taken", "left"),
    [
        (["T1_r2s_bet.nii.gz", "CT1_r2s_bet_reg.nii.gz", "FLAIR_r2s_bet_reg.nii.gz"],
         ["T1_r2s.nii.gz", "CT1_r2s.nii.gz", "CT1_r2s_bet.nii.gz", "FLAIR_r2s.nii.gz",
          "FLAIR_r2s_bet.nii.gz"]),
        (["P_T1_bias.nii", "P_T1c_bias.nii", "P_FLAIR_bias.nii"],
         ["P_T1.nii", "P_T1c.nii", "P_FLAIR.nii"]),
        (["t1_N4.nii", "t1ce_registered.nii", "flair_reg.nii"], ["t1.nii", "t1ce.nii"]),
    ],
)  # fmt: skip
def test_of_one_sequence_in_several_steps_of_processing_the_last_is_taken(taken, left):
    with noting() as notes:
        found = sorted_out(*left, *taken, "P_seg.nii")
    assert [found[role] for role in ("t1", "t1c", "flair")] == taken
    (told,) = notes
    assert all(name in told for name in (*left, taken[0]))
    assert len(grouped(*left, *taken)) == 1


def test_a_study_called_like_two_short_words():
    files = [Path("a", f"UCSF-PDGM-0004_{word}.nii.gz") for word in ("T1", "xyz", "MD", "seg")]
    assert list(roles_in(files).values()) == ["t1", "", "other", "label"]
    assert role_of("UCSF-PDGM-0004_seg.nii.gz", "UCSF-PDGM-0004_nifti") == "label"


def test_a_study_called_like_a_mask():
    files = [Path("all", f"seg_study_{n}_{kind}.nii") for n in "12" for kind in ("flair", "seg")]
    assert list(roles_in(files).values()) == ["flair", "label"] * 2
    assert roles_in([]) == {}


def grouped(*names, folder="all"):
    found = patients([Path(folder, name) for name in names])
    return sorted(sorted(file.name for file in files) for files in found)


def test_patients_of_one_folder_are_told_apart_by_what_stands_before_the_sequence():
    one, two = ["P1_flair.nii", "P1_seg.nii", "P1_t1.nii"], ["P2_flair.nii", "P2_t1.nii"]
    assert grouped(*one, *two) == [one, two]
    assert grouped(*one) == [one]
    assert grouped("flair_n4.nii", "t1_reg.nii") == [["flair_n4.nii", "t1_reg.nii"]]
    vsd = ["VSD.Brain.XX.O.MR_Flair.54512.mha", "VSD.Brain.XX.O.MR_T1.54513.mha"]
    assert grouped(*vsd) == [vsd]
    assert grouped("a.nii", "b.nii") == [["a.nii"], ["b.nii"]]
    assert grouped("P_flair.nii", "P_t1.nii", "P_rest.nii") == [
        ["P_flair.nii", "P_rest.nii", "P_t1.nii"]
    ]
    first = ["FLAIR_P1.nii", "FLAIR_P2.nii", "T1_P1.nii", "T1_P2.nii"]
    assert grouped(*first) == [first[::2], first[1::2]]
    assert grouped("FLAIR_5.nii", "T1_7.nii") == [["FLAIR_5.nii", "T1_7.nii"]]
    bids = [f"sub-{n}_{s}.nii.gz" for n in "12" for s in ("FLAIR", "ce-gd_T1w")]
    assert grouped(*bids) == [sorted(bids[:2]), sorted(bids[2:])]


@pytest.mark.parametrize(
    "names",
    [
        ("1_localizer", "3_AX_T1", "5_AX_FLAIR", "7_DWI", "8_ADC", "9_AX_T1_POST"),
        ("301_T1W_TSE", "401_FLAIR", "501_T2_TSE", "601_COR_T2_TSE"),
        ("s003_T1", "s005_FLAIR"),
        ("1_flair", "2_t1"),
    ],
)
def test_numbers_of_series_in_front_are_of_one_patient(names):
    assert grouped(*names) == [sorted(names)]


@pytest.mark.parametrize(
    "names",
    [
        ("001_FLAIR", "002_FLAIR"),
        ("001_FLAIR", "002_FLAIR", "003_T1"),
        ("20200101_FLAIR", "20200801_T1"),
        ("P1_FLAIR", "P2_T1"),
        ("Patient_1_FLAIR", "Patient_2_T1"),
        ("5_FLAIR", "T1"),
        ("5_a", "6_b"),
    ],
)
def test_numbers_in_front_that_may_be_patients(names):
    assert grouped(*names) == [[name] for name in names]


def test_a_number_with_several_sequences_is_a_patient():
    assert grouped("5_FLAIR", "5_T1", "6_T1c") == [["5_FLAIR", "5_T1"], ["6_T1c"]]


def test_sorting_out_says_nothing_where_nothing_is_assumed():
    with noting() as notes:
        sorted_out("P_flair.nii", "P_t2.nii", "P_brain_mask.nii", "P_seg.nii")
    assert notes == []


@pytest.mark.parametrize(
    "one, other",
    [
        ("TCGA_CS_4941_19960909_10.tif", "TCGA_CS_4942_19970222_10_mask.tif"),
        ("BraTS_001_flair.nii.gz", "BraTS_002_seg.nii.gz"),
        ("sub-01_FLAIR.nii.gz", "sub-02_T1w.nii.gz"),
        ("patient_a.png", "patient_b_mask.png"),
        ("smith_flair.nii", "jones_seg.nii"),
        ("sub-01_ses-01_FLAIR.nii.gz", "sub-01_ses-02_ce-gd_T1w.nii.gz"),
        ("12.png", "13.png"),
    ],
)
def test_names_of_two_patients(one, other):
    assert name_others(one, other) and name_others(other, one)


@pytest.mark.parametrize(
    "one, other",
    [
        ("TCGA_CS_4941_19960909_10.tif", "TCGA_CS_4941_19960909_10_mask.tif"),
        ("BraTS_001_flair.nii.gz", "BraTS_001_seg.nii.gz"),
        ("BraTS_001_t1ce.nii.gz", "BraTS_001_t2f.nii.gz"),
        ("volume.nii.gz", "volume_truth.nii.gz"),
        ("scan.png", "truth.png"),
        ("flair.nii.gz", "my segmentation.nii.gz"),
        ("sub-01_FLAIR.nii.gz", "sub-01_desc-tumor_mask.nii.gz"),
        ("sub-01_FLAIR.nii.gz", "sub-01_space-FLAIR_ce-gd_T1w.nii.gz"),
        ("12.png", "12.png"),
        ("7.tif", "7_mask.tif"),
        ("IMG_0012.png", "Segmentation.nrrd"),
        ("Flair_subtrMeanDivStd.nii.gz", "OTMultiClass.nii.gz"),
        ("scan.zip", "scan-label.nrrd"),
    ],
)
def test_names_of_one_patient_or_of_nobody(one, other):
    assert not name_others(one, other) and not name_others(other, one)
