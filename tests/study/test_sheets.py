"""Whom a contact sheet shows."""

import numpy as np

from brainseg.study.sheets import chosen_patients


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
