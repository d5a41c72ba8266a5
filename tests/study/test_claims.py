"""Verdicts on made-up scores."""

import numpy as np

from brainseg.study.claims import CLAIMS, Claim, differences, how_to_read, judge

CLAIM = (Claim("a beats b", "a", ("b",)),)
RNG = np.random.default_rng(0)
BASE = RNG.uniform(0.6, 0.9, 20)
NOISE = RNG.normal(0, 0.01, 20)


def verdict(dice, claims=CLAIM):
    return judge(dice, claims)[0]


def test_clearly_better_is_confirmed_and_clearly_worse_refuted():
    assert verdict({"a": BASE + 0.05 + NOISE, "b": BASE})["verdict"] == "confirmed"
    found = verdict({"a": BASE - 0.05 + NOISE, "b": BASE})
    assert found["verdict"] == "refuted" and found["high"] < 0


def test_better_by_chance_is_not_confirmed():
    wide = RNG.normal(0.005, 0.1, 20)
    assert verdict({"a": BASE + wide, "b": BASE})["verdict"] == "not confirmed"


def test_unequal_training_decides_nothing():
    claims = (Claim("a is best", "a", ("b", "c")),)
    dice = {"a": BASE, "b": BASE + 0.05 + NOISE, "c": BASE - 0.05 + NOISE}
    assert judge(dice, claims)[0]["verdict"] == "refuted"
    found = judge(dice, claims, {"a": "10 epochs", "b": "30 epochs", "c": "10 epochs"})[0]
    assert found["verdict"] == "not tested" and found["other"] == "b"
    assert "unequal training: a 10 epochs, b 30 epochs" in found["text"]
    # A fair rival still refutes, and one without epochs, a fusion, is fair.
    ten = dict.fromkeys("abc", "10 epochs")
    assert judge(dice, claims, {**ten, "c": "30 epochs"})[0]["verdict"] == "refuted"
    found = judge(dice, claims, {"a": "10 epochs", "c": "10 epochs"})[0]
    assert found["verdict"] == "refuted" and "each trained" not in found["text"]
    assert "each trained for 10 epochs" in judge(dice, claims, ten)[0]["text"]
    assert "each trained" not in judge({"a": BASE}, claims, ten)[0]["text"]


def test_equal_is_not_confirmed():
    found = verdict({"a": BASE, "b": BASE})
    assert found["verdict"] == "not confirmed" and found["difference"] == 0


def test_a_missing_model_leaves_the_claim_untested_and_is_named():
    found = verdict({"b": BASE})
    assert found["verdict"] == "not tested" and "a not trained yet" in found["text"]
    assert found["difference"] is None


def test_the_best_of_all_must_beat_every_one():
    claims = (Claim("a is best", "a", ("b", "c")),)
    dice = {"a": BASE + 0.05 + NOISE, "b": BASE, "c": BASE + 0.05}
    found = verdict(dice, claims)
    assert found["verdict"] == "not confirmed" and found["other"] == "c"
    dice["c"] = BASE + 0.2
    assert verdict(dice, claims)["verdict"] == "refuted"
    # One that is refuted by what is there is refuted, whatever is missing.
    assert verdict({"a": dice["a"], "c": dice["c"]}, claims)["verdict"] == "refuted"
    assert verdict({"a": dice["a"], "b": dice["b"]}, claims)["verdict"] == "not tested"


def test_all_claims_are_corrected_together():
    slight = BASE + RNG.normal(0.006, 0.01, 20)
    alone = judge({"a": slight, "b": BASE}, CLAIM)[0]["p_holm"]
    many = tuple(Claim(f"a beats {n}", "a", (n,)) for n in "bcdef")
    dice = {"a": slight, **dict.fromkeys("bcdef", BASE)}
    together = judge(dice, many)[0]["p_holm"]
    assert np.isclose(together, min(1, 5 * alone))


def test_two_claims_on_one_difference_are_one_test():
    slight = BASE + RNG.normal(0.006, 0.01, 20)
    dice = {"a": slight, "b": BASE, "c": BASE}
    claims = (Claim("a is best", "a", ("b", "c")), *CLAIM, Claim("b beats a", "b", ("a",)))
    alone = judge(dice, CLAIM)[0]["p_holm"]
    found = judge(dice, claims)
    assert np.isclose(found[0]["p_holm"], min(1, 2 * alone))
    assert found[1]["p_holm"] == found[0]["comparisons"][0]["p_holm"] == found[2]["p_holm"]
    assert [(better, one["other"]) for better, one in differences(found)] == [
        ("a", "b"),
        ("a", "c"),
    ]
    assert how_to_read(found).startswith("2 differences")


def test_the_claims_of_the_study_are_all_judged():
    assert [v["verdict"] for v in judge({})] == ["not tested"] * len(CLAIMS)
