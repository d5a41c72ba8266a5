import numpy as np
import pytest

from brainseg.study import estimate


def test_a_line_is_found_again_and_its_errors_are_the_interval():
    x = np.linspace(0.2, 0.9, 40)
    errors = np.tile([-0.05, 0.05], 20)
    fitted = estimate.fit(x, 0.1 + 0.8 * x + errors, 20, ["a", "b"])
    assert fitted.slope == pytest.approx(0.8, abs=0.02)
    found = fitted.dice(0.5)
    assert found["dice"] == pytest.approx(0.5, abs=0.02)
    assert (found["low"], found["high"]) == pytest.approx((0.45, 0.55), abs=0.02)


def test_an_estimate_stays_a_dice_and_undefined_pairs_are_left_out():
    x = [*np.linspace(0, 1, 20), np.nan, 0.5]
    fitted = estimate.fit(x, [*np.linspace(0, 1, 20), 0.3, np.nan], 22, ["a", "b"])
    assert fitted.dice(1.5) == {"dice": 1, "low": 1, "high": 1}


def test_too_few_patients_say_nothing():
    with pytest.raises(ValueError, match="at least 10"):
        estimate.fit([0.1] * 30, [0.1] * 30, 9, ["a", "b"])


def test_it_is_read_for_the_models_it_was_fitted_on_only(tmp_path):
    path = tmp_path / "estimate.json"
    assert estimate.read(path, ["a"])[0] is None
    assert "not been fitted" in estimate.read(path, ["a"])[1]
    made = estimate.fit(np.linspace(0, 1, 20), np.linspace(0, 1, 20), 20, ["a", "b"])
    estimate.write(made, path)
    assert estimate.read(path, ["b", "a"]) == (made, "")
    found, reason = estimate.read(path, ["a", "c"])
    assert found is None and "other models (a, b)" in reason
    path.write_text("{}")
    assert "can't be read" in estimate.read(path, ["a"])[1]
