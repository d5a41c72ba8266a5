"""Reliability, its error and the temperature on cases worked out by hand or drawn as known."""

import numpy as np
import pytest
from scipy.special import expit

from brainseg.metrics.calibration import (
    expected_calibration_error,
    fit_temperature,
    histogram,
    reliability,
)


def pixels(probability, n, tumour):
    return np.full(n, probability, np.float32), np.arange(n) < tumour


def counts(*groups):
    return sum(histogram(*pixels(*group)) for group in groups)


def test_a_curve_worked_out_by_hand():
    # 100 pixels given 0.25, 40 of them tumour; 50 given 0.85, 40 of them.
    curve = reliability(counts((0.25, 100, 40), (0.85, 50, 40)))
    assert [(row["low"], row["pixels"]) for row in curve] == [(0.2, 100), (0.8, 50)]
    assert [row["tumour_share"] for row in curve] == pytest.approx([0.4, 0.8])
    assert [row["mean_probability"] for row in curve] == pytest.approx([0.25, 0.85], abs=0.003)
    expected = (100 * 0.15 + 50 * 0.05) / 150
    assert expected_calibration_error(curve) == pytest.approx(expected, abs=0.003)


def test_pixels_below_the_floor_are_left_out():
    found = counts((0.04, 10_000, 0), (0.55, 10, 5))
    assert sum(row["pixels"] for row in reliability(found)) == 10


def test_certain_pixels_are_counted():
    curve = reliability(counts((1.0, 7, 7), (0.0, 5, 0)))
    assert [(row["pixels"], row["tumour_share"]) for row in curve] == [(7, 1.0)]


def test_nothing_given_has_no_error():
    assert np.isnan(expected_calibration_error(reliability(counts((0.0, 5, 0)))))


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found_again(true_temperature):
    rng = np.random.default_rng(0)
    z = rng.normal(-1, 2, 400_000)
    truth = rng.random(len(z)) < expit(z)  # z is calibrated
    told = expit(z * true_temperature).astype(np.float32)  # and this says it too surely
    found = histogram(told, truth)
    fitted = fit_temperature(found)
    assert fitted == pytest.approx(true_temperature, rel=0.05)
    before, after = (expected_calibration_error(reliability(found, t)) for t in (1.0, fitted))
    assert after < 0.01 and (true_temperature == 1 or before > 2 * after)


def test_without_tumour_there_is_nothing_to_fit():
    assert fit_temperature(counts((0.3, 100, 0))) == 1
