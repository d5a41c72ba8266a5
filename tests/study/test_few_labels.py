"""The curve of few masks: its points and verdict by hand, and from runs on phantoms to the page."""

import numpy as np
import pandas as pd
import pytest

import train
from brainseg.__main__ import main
from brainseg.data import phantom
from brainseg.files import read_table, write_table
from brainseg.study.few_labels import COLUMNS, curve, joined, verdict, with_runs

PATIENTS = range(8)
WITHOUT = np.linspace(0.4, 0.75, 8)  # Dice of eight patients


def rows(labelled, method, dice, seed=0, left_out="0+1", **more):
    about = {
        "dataset": "lgg", "checkpoint": "unet-bce", "method": method, "labelled": labelled,
        "left_out": left_out, "seed": seed, "without_masks": 9,
        "with_masks": {"4": 4, "8": 8, "all": 53}[labelled], "size": 128, "steps": 800,
        "batch": 16, "validation_dice": 0.5, "batch_without_masks": 16 * (method != "supervised"),
    }  # fmt: skip
    if method != "supervised":
        about |= {"semi_weight": 1.0, "semi_ramp": 0.3, "sure": 0.9, "strong": 2.0}
    return [
        {**about, **more, "patient": f"p{patient}", "dice": value}
        for patient, value in zip(PATIENTS, dice, strict=True)
    ]


def table(*parts):
    return with_runs(pd.DataFrame([row for part in parts for row in part], columns=COLUMNS))


GAIN = 0.1 + 0.01 * np.arange(8)  # all above 0, each another: Wilcoxon's p is 2 / 2^8
MADE_UP = [
    *(rows("4", "supervised", WITHOUT, seed) for seed in (0, 1)),
    *(rows("4", "mean-teacher", WITHOUT + GAIN + 0.02 * seed, seed) for seed in (0, 1)),
    *(rows("all", "supervised", WITHOUT + 0.3, seed) for seed in (0, 1)),
]


def test_points_and_gaps_are_those_of_the_same_patients():
    four, taught, everyone = curve(table(*MADE_UP))
    assert [p["with_masks"] for p in (four, taught, everyone)] == [4, 4, 53]
    assert four["method"] == "supervised" and four["gap"] is None and four["runs"] == 2
    assert four["dice"]["mean"] == pytest.approx(WITHOUT.mean())
    assert four["dice"]["patients"] == 8  # not twice as many for two seeds
    gap = taught["gap"]
    assert gap["difference"] == pytest.approx(GAIN.mean() + 0.01)
    assert gap["each"] == pytest.approx([GAIN.mean(), GAIN.mean() + 0.02])
    assert gap["p"] == gap["p_holm"] == pytest.approx(2 / 2**8)
    assert gap["pays"] and not gap["costs"]
    assert everyone["dice"]["mean"] == pytest.approx(WITHOUT.mean() + 0.3)


def test_it_pays_only_if_no_pair_of_runs_says_otherwise():
    other = [
        rows("4", "mean-teacher", WITHOUT + 4 * GAIN, 0),
        rows("4", "mean-teacher", WITHOUT - GAIN / 4, 1),
    ]
    (_, taught) = curve(table(*MADE_UP[:2], *other))
    assert taught["gap"]["low"] > 0 and taught["gap"]["p_holm"] < 0.05
    assert not taught["gap"]["pays"]
    worse = [rows("4", "mean-teacher", WITHOUT - GAIN, seed) for seed in (0, 1)]
    points = curve(table(*MADE_UP[:2], *worse))
    assert points[1]["gap"]["costs"]
    told = "costs Dice with masks of 4 patients (`unet-bce`, mean-teacher, 2 pairs of runs)."
    assert verdict(points) == f"Learning from scans without masks {told}"


def test_one_pair_of_trainings_shows_nothing_firm():
    points = curve(table(*MADE_UP[::2]))
    assert points[1]["gap"]["low"] > 0 and points[1]["gap"]["p_holm"] < 0.05
    assert not points[1]["gap"]["pays"] and "not pay here" in verdict(points)


def test_folds_and_seeds_that_lack_a_number_wait_until_they_are_whole():
    begun = [rows("4", "supervised", WITHOUT + 0.2, 2), rows("4", "mean-teacher", WITHOUT, 2)]
    points = curve(table(*MADE_UP, *begun))
    assert [point["dice"] for point in points] == [p["dice"] for p in curve(table(*MADE_UP))]


def test_another_seed_that_is_begun_elsewhere_leaves_the_curve_as_it_was():
    begun = [rows("4", "supervised", WITHOUT, 2), rows("4", "fixmatch", WITHOUT, 2)]
    points = curve(table(*MADE_UP, *begun))
    assert [point["dice"] for point in points] == [p["dice"] for p in curve(table(*MADE_UP))]


def test_points_are_of_runs_that_all_methods_have():
    lone = [rows("4", "fixmatch", WITHOUT - 0.1, 0)]
    points = curve(table(*MADE_UP, *lone))
    assert {point["runs"] for point in points} == {1}
    supervised = curve(table(*MADE_UP[::2]))[0]
    assert points[0]["dice"] == supervised["dice"]
    assert [p["validation_dice"] for p in points] == [0.5] * 4


def test_the_verdict_says_where_it_pays_and_where_nothing_is_firm():
    pays = verdict(curve(table(*MADE_UP)))
    told = "pays with masks of 4 patients (`unet-bce`, mean-teacher, 2 pairs of runs)."
    assert pays == f"Learning from scans without masks {told}"
    noise = 0.02 * np.array([1, -1, 1, -1, 1, -1, 1, -1])
    eight = [
        *(rows("8", "supervised", WITHOUT, seed) for seed in (0, 1)),
        *(rows("8", "fixmatch", WITHOUT + noise, seed) for seed in (0, 1)),
    ]
    assert verdict(curve(table(*MADE_UP, *eight))).endswith("The other 1 differences are not firm.")
    nothing = verdict(curve(table(*eight)))
    assert nothing == "It does not pay here: none of 1 differences is firm."
    assert "No semi-supervised run" in verdict(curve(table(*eight[:2])))


def test_runs_are_scored_and_unequal_steps_refused(tmp_path, monkeypatch, capsys):
    load = phantom.load
    monkeypatch.setattr(phantom, "load", lambda path=None: load(path, size=32, slices=4))
    common = [
        "--model", "unet", "--dataset", "phantom", "--size", "32", "--epochs", "1", "--batch-size",
        "4", "--cpu", "--precision", "no", "--no-test", "--cache", str(tmp_path / "cache"),
        "--runs", str(tmp_path / "runs"),
    ]  # fmt: skip
    settings = ["--set", "limit_patients=12", "steps_per_epoch=2"]
    few = ["--labelled", "3"]
    for flags in ([], few, [*few, "--semi", "mean-teacher"]):
        assert train.main([*common, *settings, *flags]) == 0
    out = tmp_path / "few-labels.csv"
    command = ["labels", "--dataset", "phantom", "--runs", str(tmp_path / "runs"), "--out",
               str(out)]  # fmt: skip
    assert main(command) == 0
    assert "masks of 3, mean-teacher" in capsys.readouterr().out
    found = with_runs(read_table(out))
    assert set(found["dataset"]) == {"phantom"}
    assert set(found["labelled"]) == {"3", "all"} and set(found["steps"]) == {2}
    assert found.groupby(["labelled", "method"])["patient"].nunique().nunique() == 1
    taught = found[found["method"] == "mean-teacher"]
    assert set(taught["with_masks"]) == {3} and (taught["without_masks"] > 0).all()
    assert set(taught["sure"]) == {0.9} and found["sure"].isna().sum() == len(found) - len(taught)

    unequal = ["--set", "limit_patients=12", "steps_per_epoch=3", "--seeds", "1"]
    assert train.main([*common, *unequal]) == 0
    capsys.readouterr()
    assert main(command) == 1
    assert "expected equally many in all runs" in capsys.readouterr().err
    assert main([*command[:4], str(tmp_path / "cache"), *command[5:]]) == 1
    assert "no finished run on phantom with steps_per_epoch" in capsys.readouterr().err


def test_rows_of_other_runs_stay_and_those_of_the_same_are_replaced(tmp_path):
    path = tmp_path / "t.csv"
    write_table(path, joined(read_table(path), [*MADE_UP[0], *MADE_UP[1]]), COLUMNS)
    again = [{**row, "dice": 0.25} for row in MADE_UP[1]]
    write_table(path, joined(read_table(path), [*again, *MADE_UP[2], *MADE_UP[4]]), COLUMNS)
    found = with_runs(read_table(path))
    whole = table(MADE_UP[0], again, MADE_UP[2], MADE_UP[4])
    assert len(found) == len(whole) == 32
    key = ["method", "labelled", "seed", "patient"]
    pd.testing.assert_frame_equal(
        found.sort_values(key, ignore_index=True)[[*key, "dice"]],
        whole.sort_values(key, ignore_index=True)[[*key, "dice"]],
        check_dtype=False, rtol=1e-5,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"unet-bce has runs of 128 and 192 \(size\)"):
        joined(read_table(path), rows("8", "supervised", WITHOUT, size=192))
    with pytest.raises(ValueError, match="of 8 and 16"):  # in the first table as well
        joined(pd.DataFrame(), [*MADE_UP[0], *rows("8", "supervised", WITHOUT, batch=8)])
    joined(read_table(path), rows("8", "fixmatch", WITHOUT, sure=0.5))  # another method's own
    with pytest.raises(ValueError, match=r"runs of figshare and lgg \(dataset\)"):
        joined(read_table(path), rows("4", "supervised", WITHOUT, dataset="figshare"))
    with pytest.raises(ValueError, match=r"by mean-teacher has runs of 0.5 and 0.9 \(sure\)"):
        joined(read_table(path), rows("8", "mean-teacher", WITHOUT, sure=0.5))


def test_long_seeds_stay_what_they_are(tmp_path):
    path, seeds = tmp_path / "few-labels.csv", (20240615, 20240616)
    for seed in (*seeds, seeds[0]):  # scored again, it takes its own place
        write_table(path, joined(read_table(path), rows("4", "supervised", WITHOUT, seed)), COLUMNS)
    assert read_table(path)["seed"].tolist() == [float(seed) for seed in seeds for _ in PATIENTS]


def test_nothing_is_lost_on_the_way_through_the_file(tmp_path):
    made = table(*MADE_UP)
    write_table(tmp_path / "t.csv", made, COLUMNS)
    again = curve(with_runs(read_table(tmp_path / "t.csv")))
    assert [p["gap"] and p["gap"]["p"] for p in again] == [
        p["gap"] and p["gap"]["p"] for p in curve(made)
    ]
