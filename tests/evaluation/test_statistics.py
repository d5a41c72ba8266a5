"""Means over patients with their bootstrap intervals."""

import warnings

import numpy as np
import pytest

from brainseg.evaluation.statistics import summarise


def scores(n=25, seed=0):
    return np.random.default_rng(seed).beta(6, 2, n)


def test_mean_median_and_number():
    found = summarise([0.2, 0.9, 0.4, 0.5])
    assert found["mean"] == pytest.approx(0.5)
    assert found["median"] == pytest.approx(0.45)
    assert (found["patients"], found["undefined"]) == (4, 0)


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_covers_the_mean_and_lies_within_the_values(seed):
    values = scores(seed=seed)
    found = summarise(values)
    assert values.min() < found["low"] < values.mean() < found["high"] < values.max()


def test_the_interval_is_that_of_the_normal_distribution_for_many_patients():
    values = scores(400)
    found = summarise(values)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert found["low"] == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found["high"] == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_two_values_by_hand():
    # Resamples of (0, 1) have the means 0, 1/2, 1 with chances 1/4, 1/2, 1/4.
    found = summarise([0.0, 1.0])
    assert (found["low"], found["mean"], found["high"]) == (0, 0.5, 1)


def test_undefined_values_are_left_out_and_counted():
    values = scores()
    holes = np.concatenate([[np.nan], values, [np.nan, np.nan]])
    found, expected = summarise(holes), summarise(values)
    assert found.pop("undefined") == 3 and expected.pop("undefined") == 0
    assert found == expected


def test_the_same_values_give_the_same_interval():
    values = scores()
    assert summarise(values) == summarise(values)
    assert summarise(values, seed=1) != summarise(values)


def test_equal_values_have_an_interval_of_no_width():
    found = summarise([0.7] * 5)
    assert found["low"] == pytest.approx(0.7) and found["high"] == pytest.approx(0.7)


@pytest.mark.parametrize("values", [[], [np.nan], [np.nan, np.nan]])
def test_nothing_defined(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = summarise(values)
    assert found["patients"] == 0 and found["undefined"] == len(values)
    for key in ("mean", "low", "high", "median"):
        assert np.isnan(found[key])


def test_one_value_has_no_interval():
    found = summarise([0.4, np.nan])
    assert found["mean"] == found["median"] == 0.4
    assert np.isnan(found["low"]) and np.isnan(found["high"])
