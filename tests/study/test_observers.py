"""Observers of an evaluation: what they collect of made-up cases."""

import json
from types import SimpleNamespace

import numpy as np

from brainseg.inference.results import Result
from brainseg.study.observers import Agreements, StapleBeliefs


def row(text):
    return np.array([[[int(digit) for digit in text]]], bool)


def result(name, text, kind="model", estimates=None):
    return Result(name, kind, row(text).astype(np.float32), 0.5, estimates)


def case(patient, text):
    return SimpleNamespace(patient_id=patient, dataset="made up", mask=row(text))


def test_agreement_is_collected_beside_dice_without_the_fusions():
    seen = Agreements()
    ann, bob = case("ann", "1100"), case("bob", "0011")
    for one in (result("a", "1100"), result("b", "1000"), result("f", "1111", "fusion")):
        seen(ann, one)
    for one in (result("a", "0010"), result("b", "0001")):
        seen(bob, one)
    seen.close()
    agreed = 2 / 3  # one pixel shared by masks of two and one
    expected = [(agreed, 1), (agreed, 2 / 3), (0, 2 / 3), (0, 2 / 3)]
    np.testing.assert_allclose(seen.pairs, expected)
    assert seen.models == ("a", "b") and seen.patients == {"ann", "bob"}


def test_an_estimate_needs_enough_patients(tmp_path):
    rng = np.random.default_rng(0)
    for patients, is_there in ((12, True), (5, False), (12, True)):  # the earlier one goes
        seen = Agreements()
        for number in range(patients):
            truth = case(str(number), "11110000")
            for name in ("a", "b", "c"):
                seen(truth, result(name, "".join(rng.choice(["0", "1"], 8))))
        seen.write_estimate(tmp_path / "estimate.json")
        assert (tmp_path / "estimate.json").is_file() == is_there
    found = json.loads((tmp_path / "estimate.json").read_text())
    assert found["patients"] == 12 and found["models"] == ["a", "b", "c"]
    assert found["min_slices"] == 1 and found["dataset"] == "made up"


def test_healthy_patients_in_whom_nothing_was_marked_are_none_to_fit_on(tmp_path):
    seen = Agreements()
    for number in range(12):
        healthy = case(f"healthy {number}", "0000")
        for name in ("a", "b"):
            seen(healthy, result(name, "0000"))
    seen.write_estimate(tmp_path / "estimate.json")
    assert not (tmp_path / "estimate.json").exists() and not seen.patients
    for number in range(10):
        ill = case(f"ill {number}", "1100")
        for name, text in (("a", "1110"), ("b", "1000" if number % 2 else "1100")):
            seen(ill, result(name, text))
    seen.write_estimate(tmp_path / "estimate.json")
    assert json.loads((tmp_path / "estimate.json").read_text())["patients"] == 10


def test_one_model_has_nobody_to_agree_with(tmp_path):
    seen = Agreements()
    seen(case("ann", "10"), result("a", "10"))
    seen.write_estimate(tmp_path / "estimate.json")
    assert not seen.pairs and not (tmp_path / "estimate.json").exists()


def test_beliefs_of_staple_stand_beside_the_truth():
    seen = StapleBeliefs()
    ann = case("ann", "1100")
    for one in (
        result("a", "1000"),
        result("b", "1110"),
        result("s", "1100", "fusion", {"a": (0.6, 0.9), "b": (1.0, 0.7)}),
    ):
        seen(ann, one)
    a, b = seen.rows
    assert (a["estimated_sensitivity"], a["true_sensitivity"], a["true_specificity"]) == (
        0.6,
        0.5,
        1,
    )
    assert (b["true_sensitivity"], b["true_specificity"]) == (1, 0.5)
