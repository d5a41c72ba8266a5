import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress

from brainseg.study import estimate

KIND = {"min_slices": 20, "dataset": "lgg"}


def test_a_line_is_found_again_and_its_errors_are_the_interval():
    x = np.linspace(0.2, 0.9, 40)
    errors = np.tile([-0.05, 0.05], 20)
    fitted = estimate.fit(x, 0.1 + 0.8 * x + errors, 20, ["a", "b"], **KIND)
    assert fitted.slope == pytest.approx(0.8, abs=0.02)
    found = fitted.dice(0.5)
    assert found["dice"] == pytest.approx(0.5, abs=0.02)
    assert (found["low"], found["high"]) == pytest.approx((0.45, 0.55), abs=0.02)


def test_an_estimate_stays_a_dice_and_undefined_pairs_are_left_out():
    x = [*np.linspace(0, 1, 20), np.nan, 0.5]
    fitted = estimate.fit(x, [*np.linspace(0, 1, 20), 0.3, np.nan], 22, ["a", "b"], **KIND)
    assert fitted.dice(1.5) == {"dice": 1, "low": 1, "high": 1}


def test_the_line_is_that_of_least_squares():
    x, y = np.random.default_rng(0).random((2, 30))
    expected, fitted = linregress(x, y), estimate.fit(x, y, 30, ["a", "b"], **KIND)
    assert fitted.slope == pytest.approx(expected.slope)
    assert fitted.intercept == pytest.approx(expected.intercept)


def test_equal_agreements_have_a_level_line():
    fitted = estimate.fit([1.0] * 12, np.linspace(0.2, 0.8, 12), 12, ["a", "b"], **KIND)
    assert (fitted.slope, fitted.intercept) == pytest.approx((0, 0.5))


def test_too_few_patients_say_nothing():
    with pytest.raises(ValueError, match="at least 10"):
        estimate.fit([0.1] * 30, [0.1] * 30, 9, ["a", "b"], **KIND)


def test_it_is_read_for_the_models_it_was_fitted_on_only(tmp_path):
    path = tmp_path / "estimate.json"
    assert estimate.read(path, ["a"], 24)[0] is None
    assert "not been fitted" in estimate.read(path, ["a"], 24)[1]
    made = estimate.fit(np.linspace(0, 1, 20), np.linspace(0, 1, 20), 20, ["a", "b"], **KIND)
    estimate.write(made, path)
    assert estimate.read(path, ["b", "a"], 24) == (made, "")
    found, reason = estimate.read(path, ["a", "c"], 24)
    assert found is None and "agreement of a, b, which are not all" in reason
    path.write_text("{}")
    assert "can't be read" in estimate.read(path, ["a"], 24)[1]


def test_it_holds_for_what_it_was_fitted_on_only(tmp_path):
    path = tmp_path / "estimate.json"
    made = estimate.fit(np.linspace(0, 1, 20), np.linspace(0, 1, 20), 20, ["a", "b"], **KIND)
    estimate.write(made, path)
    assert estimate.read(path, ["a", "b"], 20) == (made, "")
    assert "20 validation patients of lgg" in made.about and "90%" in made.about
    found, reason = estimate.read(path, ["a", "b"], 1)
    assert found is None and "20 slices and more of lgg" in reason and "one slice" in reason
    found, reason = estimate.read(path, ["a", "b"], 40, ["T1 missing", "skull removed"])
    assert found is None and "T1 missing, skull removed" in reason


def test_a_fit_that_does_not_say_on_what_is_not_used(tmp_path):
    path = tmp_path / "estimate.json"
    made = estimate.fit(np.linspace(0, 1, 20), np.linspace(0, 1, 20), 20, ["a", "b"], **KIND)
    estimate.write(made, path)
    fields = json.loads(path.read_text())
    for key in KIND:
        path.write_text(json.dumps({k: v for k, v in fields.items() if k != key}))
        found, reason = estimate.read(path, ["a", "b"], 24)
        assert found is None and "does not say on what it was fitted" in reason


def test_the_shipped_fit_says_on_what_and_is_of_the_shipped_scores():
    study = Path(__file__).parents[2] / "docs" / "study"
    fields = json.loads((study / estimate.FILE).read_text())
    scores = pd.read_csv(study / "validation.csv")
    scores = scores[scores.checkpoint.isin(fields["models"])]
    assert estimate.read(study / estimate.FILE, fields["models"], 1000)[0] is not None
    assert fields["min_slices"] == scores.slices.min()
    assert fields["patients"] == scores.patient.nunique()
