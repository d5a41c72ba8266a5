"""Means over patients with their bootstrap intervals."""

import warnings

import numpy as np
import pytest

from brainseg.metrics.statistics import (
    holm,
    paired_difference,
    rank_stability,
    summarise,
    summarise_groups,
)


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


# ---------------------------------------------------------------- differences


def test_a_paired_difference_is_over_the_same_patients():
    first = np.array([0.9, 0.8, np.nan, 0.7, 0.6])
    second = np.array([0.8, np.nan, 0.5, 0.5, 0.3])
    found = paired_difference(first, second)
    assert found["difference"] == pytest.approx((0.1 + 0.2 + 0.3) / 3)
    assert found["patients"] == 3
    assert found["low"] <= found["difference"] <= found["high"]
    assert found["p"] == pytest.approx(0.25)  # 3 signs alike: 2 of 8 sign patterns are as extreme


def test_pairing_sees_what_means_hide():
    patients = scores(20)
    better = patients + np.random.default_rng(1).uniform(0.005, 0.015, 20)
    found = paired_difference(better, patients)
    assert found["low"] > 0 and found["p"] < 0.001
    assert paired_difference(patients, better)["p"] == found["p"]


def test_no_difference_at_all():
    found = paired_difference(scores(), scores())
    assert (found["difference"], found["low"], found["high"], found["p"]) == (0, 0, 0, 1)


def test_holm_by_hand():
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1; none may be below the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1, 1]
    assert holm([]) == []


# ---------------------------------------------------------------- ranks


def test_a_clear_ranking_is_firm():
    base = scores(15)
    found = rank_stability({"b": base - 0.1, "a": base, "c": base - 0.2})
    assert found["a"] == {"first_share": 1, "low": 1, "high": 1}
    assert (found["b"]["low"], found["c"]["high"]) == (2, 3)


def test_ties_share_the_first_place():
    base = scores(15)
    found = rank_stability({"a": base, "b": base.copy()})
    assert found["a"] == found["b"] == {"first_share": 0.5, "low": 1.5, "high": 1.5}


def test_two_patients_by_hand():
    # a wins with patient 1, b with patient 2: of four draws one is a's, one b's, two are ties.
    found = rank_stability({"a": np.array([1.0, 0.0]), "b": np.array([0.0, 1.0])})
    assert found["a"]["first_share"] == pytest.approx(0.5, abs=0.02)
    assert (found["a"]["low"], found["a"]["high"]) == (1, 2)


def test_patients_without_a_score_are_left_out_of_the_ranking():
    found = rank_stability({"a": np.array([0.5, np.nan]), "b": np.array([0.4, 0.9])})
    assert found["a"]["first_share"] == 1
    nothing = rank_stability({"a": np.array([np.nan]), "b": np.array([0.4])})
    assert np.isnan(nothing["a"]["first_share"])


def test_groups_count_alike_and_may_be_missing_from_a_resample():
    groups = ["often"] * 8 + ["once"]
    found = summarise_groups([1.0] * 8 + [0.0], groups)
    assert found["mean"] == 0.5 and found["patients"] == 9
    # With "once" drawn the mean is 1/2, without it 1, which is so in (8/9)^9 = 35 % of resamples.
    assert (found["low"], found["high"]) == (0.5, 1)


def test_one_group_has_the_interval_of_its_mean():
    values = scores()
    whole, grouped = summarise(values), summarise_groups(values, np.zeros(len(values)))
    for key in ("mean", "low", "high"):
        assert grouped[key] == pytest.approx(whole[key], abs=0.01)


def test_a_patient_is_drawn_with_all_scores():
    # Of two patients, each is drawn twice in a quarter of the resamples: 3/4, 0 or both, 3/6.
    found = summarise_groups([1, 1, 1, 0, 0, 0], ["g"] * 6, ["a"] * 4 + ["b"] * 2)
    assert found == {"mean": 0.5, "low": 0, "high": 0.75, "patients": 2}
    alone = summarise_groups([1, 1, 1, 0, 0, 0], ["g"] * 6)
    assert alone["patients"] == 6 and alone["high"] > 0.75


def test_groups_of_one_patient_or_none_have_no_interval():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, nobody = summarise_groups([0.5], ["a"]), summarise_groups([], [])
    assert one["mean"] == 0.5 and np.isnan([one["low"], one["high"]]).all()
    assert nobody["patients"] == 0 and np.isnan(nobody["mean"])
