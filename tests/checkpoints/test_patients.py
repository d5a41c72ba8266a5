"""Whom a checkpoint has seen, by hashes of ids."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from brainseg.checkpoints.folder import find_checkpoints, replace_settings
from brainseg.checkpoints.patients import (
    BY_MAPS,
    TRAINED,
    VALIDATED,
    find_seen,
    hashes_of,
    patient_hash,
    seen_at_start,
    seen_by_maps,
    standing,
    tells_patients,
    unseen,
)
from brainseg.checkpoints.settings import CheckpointError, settings_from_json, settings_of
from brainseg.config import Config
from brainseg.data import patients_named
from brainseg.data.case import CaseRef
from brainseg.data.splits import fold_of

ANN, BOB, CY = (f"TCGA_CS_494{n}_1996090{n}" for n in (1, 2, 3))


def settings(**hashes):
    roles = {role: tuple(patient_hash("lgg", p) for p in own) for role, own in hashes.items()}
    return replace(settings_of(Config(model="unet", dataset="lgg")), patient_hashes=roles)


def refs(*patients):
    return [CaseRef(patient, patient, (), lambda: None) for patient in patients]


def test_the_hash_is_of_data_set_and_id():
    expected = hashlib.sha256(b"brainseg:lgg:TCGA_CS_4941_19960909").hexdigest()[:16]
    assert patient_hash("lgg", "TCGA_CS_4941_19960909") == expected
    assert patient_hash("brats", "TCGA_CS_4941_19960909") != expected


def test_they_are_read_back_and_no_part_of_what_a_run_is():
    told = settings(train=[ANN], watched=[BOB])
    written = json.loads(json.dumps(told.to_json()))
    assert settings_from_json(written) == told
    silent = settings()
    assert "patient_hashes" not in silent.to_json()
    assert silent.run == told.run


@pytest.mark.parametrize(
    "hashes",
    [[], {"train": "0123456789abcdef"}, {"train": ["TCGA_CS_4941"]}, {"test": []}, {"train": [7]}],
)
def test_a_stranger_s_hashes_are_looked_at(hashes):
    with pytest.raises(ValueError, match="patient_hashes"):
        settings_from_json({**settings().to_json(), "patient_hashes": hashes})


def test_what_is_said_of_a_patient():
    told = settings(train=[ANN], watched=[BOB], start=[CY])
    assert standing(told, "lgg", ANN) == standing(told, "lgg", CY) == TRAINED
    assert standing(told, "lgg", BOB) == VALIDATED
    assert standing(told, "lgg", "nobody") == standing(told, "brats", ANN) == ""
    assert standing(settings(), "lgg", ANN) == ""
    models = {"a": told, "b": settings(train=[ANN, BOB], watched=[]), "old": settings()}
    (found,) = find_seen([f"{ANN}_12.tif", f"{ANN}_13.tif", "other.nii.gz"], models)
    assert found.code == "trained on this patient: a, b" and not found.stops
    assert ANN in found.text and "old" not in found.text
    codes = [finding.code for finding in find_seen([f"{BOB}.zip"], models)]
    assert codes == ["trained on this patient: b", "validated on this patient: a"]


def test_a_stack_fitted_on_maps_of_models_that_knew_a_patient_has_seen_that_patient():
    owners = [f"lgg/{name}" for name in (ANN, BOB, CY)]
    fold = fold_of(BOB)
    hashes = seen_by_maps(owners, (fold,))
    assert hashes == {"maps": hashes_of(o for o in owners if fold_of(o.split("/")[1]) == fold)}
    told = settings(train=[ANN], watched=[])
    told = replace(told, patient_hashes={**told.patient_hashes, **hashes})
    assert standing(told, "lgg", BOB) == BY_MAPS
    assert BOB not in [ref.patient_id for ref in unseen(refs(ANN, BOB, CY), "lgg", {"a": told})]
    (found,) = find_seen([f"{BOB}_1.tif"], {"a": told})
    assert "a was fitted on predictions of models that had been trained on" in found.text
    run = Config("unetpp", bases=("unet-bce",), stack_maps="singles")
    assert not tells_patients(replace(settings(train=[ANN], watched=[]), run=run))
    assert tells_patients(replace(told, run=run))


def test_unseen_are_those_whom_no_model_has_seen():
    models = {"a": settings(train=[ANN], watched=[]), "b": settings(train=[], watched=[BOB])}
    assert [ref.patient_id for ref in unseen(refs(ANN, BOB, CY), "lgg", models)] == [CY]
    with pytest.raises(CheckpointError, match="old can't tell"):
        unseen(refs(ANN), "lgg", {**models, "old": settings()})


def test_weights_that_began_with_others_tell_only_if_those_do(save_random, tmp_path):
    start = save_random(tmp_path, "unet")
    assert seen_at_start(start.folder) == {} == seen_at_start(start.folder / "model.safetensors")
    hashes = settings(train=[BOB], watched=[ANN]).patient_hashes
    replace_settings(start, replace(start.settings, patient_hashes=hashes))
    begun = seen_at_start(start.folder)
    assert set(begun["start"]) == {patient_hash("lgg", ANN), patient_hash("lgg", BOB)}
    fitted = settings(train=[CY], watched=[])
    later = replace(fitted, run=replace(fitted.run, init_from="0" * 64))
    assert tells_patients(fitted) and not tells_patients(later)
    later = replace(later, patient_hashes={**later.patient_hashes, **begun})
    assert tells_patients(later) and standing(later, "lgg", ANN) == TRAINED


@pytest.mark.parametrize(
    "name, dataset, patient",
    [
        ("TCGA_CS_4941_19960909_12.tif", "lgg", "TCGA_CS_4941_19960909"),
        ("TCGA_CS_4941_19960909.zip", "lgg", "TCGA_CS_4941_19960909"),
        ("tcga_cs_4941_19960909_1_mask.tif", "lgg", "TCGA_CS_4941_19960909"),
        ("BraTS19_CBICA_AAB_1_flair.nii.gz", "brats", "BraTS19_CBICA_AAB_1"),
        ("BraTS-GLI-00012-001-t2f.nii.gz", "brats", "BraTS-GLI-00012"),
        ("UPENN-GBM-00001_21_T1GD.nii.gz", "brats", "UPENN-GBM-00001_11"),
        ("BRATS_001.nii.gz", "brats", "BRATS_001"),
        ("phantom_0003.npy", "phantom", "phantom_0003"),
        ("ann-7.png", "folder", "ann-7"),
    ],
)
def test_a_name_says_whose_a_file_is_as_the_data_set_names_them(name, dataset, patient):
    assert (dataset, patient) in patients_named(name)


@pytest.mark.parametrize("name", ["sub-01_FLAIR.nii.gz", "345.png", "scan.png", "phantom_large"])
def test_a_name_that_may_be_several_patients_says_nothing(name):
    assert {dataset for dataset, _ in patients_named(name)} == {"folder"}


def test_all_that_is_shipped_tells_its_patients():
    shipped, skipped = find_checkpoints(Path(__file__).parents[2] / "checkpoints")
    assert shipped and not skipped
    assert [found.name for found in shipped if not tells_patients(found.settings)] == []
