"""Whom a contact sheet shows, and how they were predicted."""

import argparse

import numpy as np
import pytest

from brainseg.commands.evaluate import _tell
from brainseg.data.case import CaseRef, DataError
from brainseg.inference.results import Result
from brainseg.study import sheets
from brainseg.study.score import COLUMNS
from brainseg.study.sheets import chosen_patients, contact_sheet


def rows(*dice):
    return [{"checkpoint": "a", "patient": str(i), "dice": d} for i, d in enumerate(dice)]


def names(found):
    return [row["patient"] for row in found]


def test_best_median_and_worst():
    assert names(chosen_patients(rows(0.5, 0.9, 0.7, 0.1, 0.8), "a")) == ["1", "2", "3"]


def test_patients_without_a_dice_and_other_models_are_left_out():
    table = [*rows(0.5, np.nan, 0.9), {"checkpoint": "b", "patient": "3", "dice": 1.0}]
    assert names(chosen_patients(table, "a")) == ["2", "0"]
    assert names(chosen_patients(rows(0.4), "a")) == ["0"]
    assert chosen_patients(rows(np.nan), "a") == []


@pytest.fixture
def asked(phantom_case, monkeypatch):
    """How networks were asked, in a list; all of them mark the truth."""
    calls = []

    def predict(scan, predictors, **options):
        calls.append(options)
        truth = phantom_case.mask.astype(np.float32)
        yield from (Result(name, "model", truth, 0.5) for name in predictors)

    monkeypatch.setattr(sheets, "predict_all", predict)
    return calls


def unreadable():
    raise DataError("it can't be read")


def test_of_several_cases_the_first_that_can_be_read_is_shown(phantom_case, asked):
    read = []

    def case(name):
        read.append(name)
        return phantom_case

    refs = [
        CaseRef("0", "broken", (), unreadable),
        CaseRef("0", "first", (), lambda: case("first")),
        CaseRef("0", "second", (), lambda: case("second")),
        CaseRef("0", "broken too", (), unreadable),
    ]
    contact_sheet(["a"], lambda row: None, refs, rows(0.4), "phantoms")
    assert read == ["first"]
    with pytest.raises(DataError, match="can't be read"):
        contact_sheet(["a"], lambda row: None, refs[:1], rows(0.4), "phantoms")


@pytest.mark.parametrize("slicewise", [True, False])
def test_masks_are_predicted_as_they_were_scored(slicewise, phantom_case, asked, tmp_path):
    args = argparse.Namespace(sheet=tmp_path / "sheet.png", out=tmp_path, against=None)
    refs = [CaseRef("0", "only", (), lambda: phantom_case)]
    scored = [{**dict.fromkeys(COLUMNS, 0.5), **row} for row in rows(0.4)]
    description = {
        "dataset": "phantom", "selection": "all", "patients": 1, "slicewise": slicewise, "note": "",
    }  # fmt: skip
    assert _tell(args, refs, scored, description, ["a"], lambda row: None, None) == 0
    assert args.sheet.is_file()
    assert [options["slicewise"] for options in asked] == [slicewise]
