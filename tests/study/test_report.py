"""From raw figures to pages: a made-up study."""

import json
import re

import numpy as np
import pytest
from made_up import DESCRIPTION, DICE, rows_of

from brainseg.__main__ import main
from brainseg.files import write_table
from brainseg.study.findings import Study
from brainseg.study.pages import page
from brainseg.study.report import MARKS, write_report
from brainseg.study.score import COLUMNS, write_results


@pytest.fixture
def study(tmp_path):
    """A folder of made-up figures, and a README with the marks of the table."""
    folder = tmp_path / "docs" / "study"
    write_results(rows_of(DICE), folder, DESCRIPTION)
    model = {
        "kind": "model", "loss": "bce", "size_px": 64, "encoder_weights": None, "init_from": None,
        "stack_inputs": "predictions", "bases": [], "epochs": 3, "seed": 0, "fold": 0,
        "patients": {"train": 5, "val": 2, "test": 3}, "threshold": 0.4, "validation_dice": 0.75,
        "parameters": 7_800_000, "gflop": 20.0,
    }  # fmt: skip
    ensemble = {**model, "kind": "ensemble", "bases": ["unet-bce"], "parameters": 14_600_000}
    models = {"unet-bce": model, "unetpp-bce": ensemble}
    (folder / "models.json").write_text(json.dumps(models))
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    return folder


def test_the_readme_gets_its_table_and_keeps_the_rest(study):
    readme = study.parents[1] / "README.md"
    unseen = {"unet-bce": (0.1, 0.2), "fusion_mean": (0.61, 0.67)}
    write_table(study / "validation.csv", rows_of(unseen), COLUMNS)
    write_report(study, readme)
    text = readme.read_text()
    page = study.with_suffix(".md").read_text().partition("## Leaderboard")[2]
    fused = next(line for line in page.splitlines() if line.startswith("| `fusion_mean` |"))
    assert "| 0.640 |" in fused  # of a fusion, what evaluate found on validation patients
    assert (
        "fusion_mean" not in text
        and text.startswith("before\n")
        and text.endswith("after\n")
        and "old" not in text
    )
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines[2].startswith("| `unetpp-bce` | 0.850 |")  # best first
    assert "| `unet-bce` | 0.800 |" in text and "random | 3 |" in text
    assert "`deeplabv3plus-bce` | not trained yet" in text
    assert len({line.count("|") for line in lines}) == 1


def test_a_study_without_its_summary_is_refused_in_a_sentence(study):
    readme = study.parents[1] / "README.md"
    before = readme.read_text()
    (study / "summary.json").unlink()
    with pytest.raises(ValueError, match=r"no summary\.json.*evaluate --out .*--study"):
        write_report(study, readme)
    assert readme.read_text() == before and not (study / "leaderboard.json").exists()
    assert main(["report", "--study", str(study), "--readme", str(readme)]) == 1


def test_the_page_tells_what_a_reader_of_the_scores_must_know(study):
    note = "Not a fair test of unet-bce: it was trained on some of these patients."
    write_results(rows_of(DICE), study, {**DESCRIPTION, "note": note})
    (told,) = [
        line
        for line in page(Study(study)).splitlines()
        if line.startswith("All scores that follow")
    ]
    assert told.endswith(f" {note}") and "has seen" not in told


def test_a_dot_in_the_study_s_name_stays(study):
    dotted = study.rename(study.with_name("study-1.2"))
    written = write_report(dotted, study.parents[1] / "README.md")
    assert dotted.with_name("study-1.2.md") in written
    assert not dotted.with_name("study-1.md").exists()


def test_check_finds_what_disagrees_and_writes_nothing(study):
    readme = study.parents[1] / "README.md"
    assert readme in write_report(study, readme, check=True)
    assert "old" in readme.read_text()
    write_report(study, readme)
    assert write_report(study, readme, check=True) == []
    readme.write_text(readme.read_text().replace("0.850", "0.950"))
    assert write_report(study, readme, check=True) == [readme]


def test_the_page_shows_every_figure_that_it_lists(study):
    write_report(study, study.parents[1] / "README.md")
    page = study.with_suffix(".md").read_text()
    shown = re.findall(r"!\[[^\]]+\]\(study/([^)]+)\)", page)
    listed = [figure["file"] for figure in json.loads((study / "figures.json").read_text())]
    assert sorted(shown) == sorted(listed) and {"dice.png", "size.png", "gflop.png"} <= set(listed)
    assert all((study / file).read_bytes().startswith(b"\x89PNG") for file in listed)


def test_claims_are_judged_on_models_of_equal_training_where_there_are_any(study):
    models = json.loads((study / "models.json").read_text())
    told = {name: {**model, "total_epochs": 3} for name, model in models.items()}
    told["unetpp-bce"]["total_epochs"] = 5
    (study / "models.json").write_text(json.dumps(told))

    def found(claim="averaging"):
        return next(c for c in Study(study).claims if claim in c["claim"])

    assert found()["difference"] == pytest.approx(0.85 - 2.53 / 3)
    best = found("best of all")["comparisons"][0]
    assert "unequal training" in best["unequal"]
    write_results(rows_of({**DICE, "unetpp-bce": (0.5, 0.6, 0.7)}), study / "equal", DESCRIPTION)
    equal = {name: {**model, "total_epochs": 4} for name, model in told.items()}
    (study / "equal" / "models.json").write_text(json.dumps(equal))
    assert found()["difference"] == pytest.approx(0.6 - 2.53 / 3)
    assert not any(c["unequal"] for c in found("best of all")["comparisons"])
    write_report(study, study.parents[1] / "README.md")
    page = study.with_suffix(".md").read_text()
    assert "| `unetpp-bce` | 0.600 |" in page and "each trained for 4 epochs" in page
    assert "| `unetpp-bce` | 0.850 |" in page  # the leaderboard is of those shipped
    board = json.loads((study / "leaderboard.json").read_text())
    assert "not all trained for equally long" in board["note"]
    others = "some of those were trained for 3 epochs and for 5 epochs."
    assert board["claims_note"].endswith(others) and f"{others} Their scores" in page
    (study / "models.json").write_text(json.dumps(equal))
    board = Study(study).leaderboard
    assert board["note"] == "" and board["claims_note"].endswith("equally many epochs.")
    equal["unet-bce"] = {**equal["unet-bce"], "total_epochs": 6}
    (study / "equal" / "models.json").write_text(json.dumps(equal))
    with pytest.raises(ValueError, match="4 epochs and for 6 epochs: expected equally many"):
        write_report(study, study.parents[1] / "README.md")


def test_losses_and_seeds_are_compared_at_equal_training(study):
    model = {**json.loads((study / "models.json").read_text())["unet-bce"], "total_epochs": 4}

    def write(folder, dice):
        loss_of = {name: name.rpartition("-")[2] for name in dice}
        rows = [{**row, "model": "unet", "loss": loss_of[row["checkpoint"]]}
                for row in rows_of(dice)]  # fmt: skip
        write_results(rows, folder, DESCRIPTION)
        models = {name: {**model, "loss": loss_of[name]} for name in dice}
        (folder / "models.json").write_text(json.dumps(models))

    equal, readme = study / "equal", study.parents[1] / "README.md"
    write(equal, {"unet-bce": (0.5, 0.6, 0.7)})
    write_report(study, readme)
    assert "## Which loss" not in study.with_suffix(".md").read_text()  # nothing to compare
    write(equal, {"unet-bce": (0.5, 0.6, 0.7), "unet-hybrid": (0.6, 0.7, 0.8)})
    write(equal / "seed1", {"unet-bce": (0.5, 0.6, 0.7), "unet-hybrid": (0.4, 0.5, 0.6)})
    curve = {"low": 0.5, "high": 0.6, "pixels": 10, "mean_probability": 0.55, "tumour_share": 0.3}
    calibrated = {"checkpoint": "unet-bce", "scaled": 0, "temperature": 1.0, **curve}
    write_table(equal / "calibration.csv", [calibrated])
    write_report(study, readme)
    page = study.with_suffix(".md").read_text()
    assert "| `unet` | 0.600 (ECE 0.25) | not trained | 0.700 (+0.100 [+0.100, +0.100]) |" in page
    assert "| `unet-hybrid` | 0.700 | 0.500 |" in page
    assert (
        "| `unet-hybrid` minus `unet-bce` | +0.100 [+0.100, +0.100] | -0.100 [-0.100, -0.100] |"
        in page
    )


def test_conclusions_are_sentences_by_hand_with_figures_from_the_scores(study):
    readme = study.parents[1] / "README.md"
    write_results(rows_of({"unet-bce": (0.5, 0.6, 0.7)}), study / "equal", DESCRIPTION)
    text = """[[conclusions]]
        title = "Training"
        sentence = "More is more."
        of = "fusion_mean"
        minus = "equal/unet-bce"
        claim = "The hybrid loss improves the self-defined U-Net"
        show = { example = "small", left = "unet-bce" }
        shown = ""
        """
    (study / "conclusions.toml").write_text(text)
    write_report(study, readme)
    (found,) = json.loads((study / "conclusions.json").read_text())
    assert found["difference"] == pytest.approx(2.53 / 3 - 0.6) and found["patients"] == 3
    assert found["what"] == "fusion_mean minus unet-bce" and found["show"]["example"] == "small"
    page = study.with_suffix(".md").read_text()
    assert found["verdict"].endswith("improves the self-defined U-Net” is not tested")
    assert "- **Training.** More is more. +0.243 Dice, 95 % interval +0.160 to +0.340" in page
    (study / "conclusions.toml").write_text(text.replace("More is more", "Less is more"))
    assert len(write_report(study, readme, check=True)) == 2
    (study / "conclusions.toml").write_text(text.replace("equal/unet", "equal/none"))
    with pytest.raises(ValueError, match=r"names equal/none-bce, which the study has not"):
        write_report(study, readme)
    (study / "conclusions.toml").write_text(text.replace("improves", "worsens"))
    with pytest.raises(ValueError, match=r"names the claim 'The hybrid loss worsens"):
        write_report(study, readme)
    (study / "conclusions.toml").write_text(text.replace("sentence", "sentences"))
    with pytest.raises(ValueError, match="no list of conclusions"):
        write_report(study, readme)


def test_what_fusions_read_is_said_of_all_only_where_all_read_the_same(study):
    def told():
        return page(Study(study)).split("learning to fuse beat averaging?")[1].split("\n")[0]

    models = json.loads((study / "models.json").read_text())
    assert told() == " `unetpp-bce` reads `unet-bce`."  # of one there is no mean
    three = {"unet-bce": (0.8, 0.7, 0.9), "unet-dice": (0.7, 0.7, 0.8), "unet-hybrid": (0.6,) * 3}
    write_results(rows_of({**DICE, **three, "unetpp-dice": (0.7, 0.8, 0.9)}), study, DESCRIPTION)
    first = {**models["unetpp-bce"], "bases": ["unet-dice", "unet-bce"]}
    alike = {"unet-bce": models["unet-bce"], "unetpp-bce": first, "unetpp-dice": first}
    (study / "models.json").write_text(json.dumps(alike))
    assert told() == " All read `unet-bce` and `unet-dice`."
    other = {**first, "bases": ["unet-bce", "unet-hybrid"]}
    (study / "models.json").write_text(json.dumps({**alike, "unetpp-dice": other}))
    assert told() == (
        " `unetpp-bce` reads `unet-bce` and `unet-dice`. "
        "`unetpp-dice` reads `unet-bce` and `unet-hybrid`."
    )


def test_distances_are_told_as_they_were_taken(study):
    flat = "HD95 and surface Dice are two-dimensional (tolerance 2 px), over slices in which both"
    assert flat in page(Study(study))
    rows = [{**row, "hd95_px": np.nan, "hd95_mm": 3.0} for row in rows_of(DICE)]
    write_results(rows, study, DESCRIPTION)
    solid = "three-dimensional (of one slice two; tolerance 2 mm), over scans in which both"
    assert f"HD95 and surface Dice are {solid}" in page(Study(study))


def test_it_is_said_why_an_interval_above_zero_confirms_nothing(study):
    write_report(study, study.parents[1] / "README.md")
    page = study.with_suffix(".md").read_text()
    assert "2 differences were tested at once" in page
    assert "| `unetpp-bce` minus `fusion_mean` | " in page
    board = json.loads((study / "leaderboard.json").read_text())
    assert "2 differences were tested at once" in board["claims_note"]


def test_longer_trainings_stand_beside_those_begun_and_trained_alike(study):
    told = json.loads((study / "models.json").read_text())
    short = {"total_epochs": 10, "small_epochs": 0}
    anew = {**told["unet-bce"], "total_epochs": 33, "small_epochs": 0,
            "started_from": {"name": "unet-bce", "epochs": 30, "dataset": "lgg"}}  # fmt: skip
    shipped = {
        "unet-bce": {**told["unet-bce"], **short},
        "unet-hybrid": {**anew, "loss": "hybrid"},
    }
    (study / "models.json").write_text(json.dumps(shipped))
    write_results(rows_of({**DICE, "unet-hybrid": (0.8, 0.8, 0.8)}), study, DESCRIPTION)
    longer = study / "longer"
    kept = {"unet-bce": (0.7, 0.7, 0.7), "unet-hybrid": (0.9, 0.9, 0.9)}
    write_results(rows_of(kept), longer, DESCRIPTION)
    through = {**anew, "loss": "hybrid", "started_from": None}
    (longer / "models.json").write_text(json.dumps({"unet-bce": anew, "unet-hybrid": through}))
    write_report(study, study.parents[1] / "README.md")
    page = study.with_suffix(".md").read_text().split("## Trained for longer")[1]
    begun = "33 epochs, the last 3 begun anew from `unet-bce`"
    rows = [line for line in page.split("\n### ")[0].splitlines() if line.startswith("| `")]
    assert rows == [  # the one begun otherwise has no difference, the short one no row
        "| `unet-hybrid` | 33 epochs | 0.750 | 0.900 | 0.900 to 0.900 |  |",
        f"| `unet-bce` | {begun} | 0.750 | 0.700 | 0.700 to 0.700 |  |",
        f"| `unet-hybrid`, shipped | {begun} | 0.750 | 0.800 | 0.800 to 0.800 | "
        "+0.100 [+0.100, +0.100] |",
    ]


def test_healthy_phantoms_are_told_apart(study):
    rows = rows_of({"unet-bce": (0.8, 0.6, 0.0, np.nan), "fusion_mean": (0.9, 0.7, 0.0, 0.0)})
    for row in rows:
        healthy = row["patient"] in ("patient 2", "patient 3")
        row["tumour_px"] = 0 if healthy else 100
        row["predicted_px"] = 0 if np.isnan(row["dice"]) else 90
    write_table(study / "phantoms" / "per_patient.csv", rows, COLUMNS)
    write_report(study, study.parents[1] / "README.md")
    page = study.with_suffix(".md").read_text()
    assert "mean Dice, 2 heads with a tumour | of 2 healthy heads left empty |" in page
    assert page.index("| `fusion_mean` | 0.800 | 0 |") < page.index("| `unet-bce` | 0.700 | 1 |")


def test_where_no_tumour_is_of_a_size_its_column_is_empty(study):
    rows = rows_of({"unet-bce": (0.2, 0.9)})  # the smaller, of 100 px, and one of 200
    write_results(rows, study, {**DESCRIPTION, "patients": 2})
    write_report(study, study.parents[1] / "README.md")
    page = study.with_suffix(".md").read_text().partition("## Dice against the size")[2]
    assert "| mean Dice | 100 to 133 px | 133 to 167 px | 167 to 200 px |" in page
    assert "| `unet-bce` | 0.200 | | 0.900 |" in page


def test_tables_are_whole(study):
    (study / "discussion.md").write_text("## What was learned\n\nA lot.")
    write_report(study, study.parents[1] / "README.md")
    page = study.with_suffix(".md").read_text()
    assert "A lot." in page and "nan" not in page and "None" not in page
    for block in page.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1, block


def test_the_leaderboard_is_strict_json_for_other_programs(study):
    write_report(study, study.parents[1] / "README.md")

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    board = json.loads((study / "leaderboard.json").read_text(), parse_constant=refuse)
    assert (board["dataset"], board["fold"], board["patients"]) == ("made up", 0, 3)
    best = board["rows"][0]
    assert best["name"] == "unetpp-bce" and best["kind"] == "ensemble"
    assert best["dice"]["mean"] == pytest.approx(0.85)
    assert best["hd95_mm"]["mean"] is None and best["rank"]["first_share"] > 0.5
    fused = next(row for row in board["rows"] if row["name"] == "fusion_mean")
    assert fused["kind"] == "fusion" and fused["parameters"] is None


def test_unequal_training_is_said_beside_a_claim_and_in_the_tables(study):
    models = json.loads((study / "models.json").read_text())
    models["unet-bce"] |= {"total_epochs": 3, "small_epochs": 2, "small_size_px": 32}
    models["unet-hybrid"] = {
        **models["unet-bce"], "small_epochs": 0, "total_epochs": 5,
        "started_from": {"name": "unet-bce", "epochs": 2, "dataset": "lgg"},
    }  # fmt: skip
    (study / "models.json").write_text(json.dumps(models))
    write_results(rows_of({**DICE, "unet-hybrid": (0.8, 0.8, 0.8)}), study, DESCRIPTION)
    claim = Study(study).claims[0]
    assert claim["verdict"] == "not tested"
    assert claim["text"].endswith(
        "unequal training: unet-hybrid 5 epochs, unet-bce 3 epochs, 2 at 32 px"
    )
    write_report(study, study.parents[1] / "README.md")
    readme = (study.parents[1] / "README.md").read_text()
    assert "| unet-bce after 2 | 3 |" in readme and "| random | 3, 2 at 32 px |" in readme


def test_few_masks_have_a_section_and_a_figure_once_their_runs_are_scored(study):
    readme = study.parents[1] / "README.md"
    write_report(study, readme)
    assert "## Few masks" not in study.with_suffix(".md").read_text()
    about = {"dataset": "lgg", "checkpoint": "unet-bce", "left_out": "0+1", "without_masks": 9,
             "size": 128, "steps": 800, "batch": 16, "validation_dice": 0.5}  # fmt: skip
    asked = {"semi_weight": 0.1, "semi_ramp": 0.3, "sure": 0.5, "strong": 2}
    rows = [
        {**about, "seed": seed, "labelled": labelled, "with_masks": number, "method": method,
         **(asked if others else dict.fromkeys(asked)), "batch_without_masks": others,
         "patient": f"p{patient}", "dice": dice + 0.01 * patient}
        for labelled, number, method, others, dice in (
            ("4", 4, "supervised", 0, 0.5), ("4", 4, "fixmatch", 8, 0.62),
            ("all", 53, "supervised", 0, 0.8),
        )
        for patient in range(8) for seed in (0, 1)
    ]  # fmt: skip
    write_table(study / "few-labels.csv", [row for row in rows if row["method"] == "supervised"])
    write_report(study, readme)
    assert "these settings" not in study.with_suffix(".md").read_text()  # there are none
    begun = {**rows[0], "left_out": "2+3", "patient": "q0"}  # other folds, of which more is to come
    write_table(study / "few-labels.csv", [*rows, begun])
    assert study / "few-labels.png" in write_report(study, readme)
    page = study.with_suffix(".md").read_text()
    assert "Of `lgg` alone, 8 patients of fold 0 to test." in page
    assert (
        "`unet-bce` 800 of 16 slices with masks, and semi-supervised 8 without, at 128 px" in page
    )
    pays = "pays with masks of 4 patients (`unet-bce`, fixmatch, 2 pairs of runs)"
    assert f"**Learning from scans without masks {pays}.**" in page
    lines = [line for line in page.splitlines() if line.startswith("| `unet-bce` | 4 |")]
    assert "**+0.120 [+0.120, +0.120]** | 0.0078 | +0.120, +0.120 |" in lines[1]
    assert "| `unet-bce` | all (53) | supervised | 2 | 0.500 | 0.835 |" in page
    told = "`semi_weight` 0.1, `semi_ramp` 0.3, `sure` 0.5, `strong` 2); these settings "
    assert told + "are first guesses that nobody has tuned yet." in page
    assert write_report(study, readme, check=True) == []
    tries = [
        {"checkpoint": "unet-bce", "kind": ", masks of 8", "settings": {"semi": semi},
         "validation_dice": dice, "best": dice == 0.6}
        for semi, dice in (("fixmatch", 0.6), (None, 0.5))
    ]  # fmt: skip
    (study / "few-labels-tried.json").write_text(json.dumps({"rows": tries}))
    write_report(study, readme)
    page = study.with_suffix(".md").read_text()
    assert told + "are first guesses, but for those tried below." in page
    eight = "| `unet-bce`, masks of 8 |"
    assert f"{eight} semi fixmatch | **0.600** |\n{eight} semi none | 0.500 |" in page


def test_classes_have_a_section_once_there_are_scores_of_them(study):
    readme = study.parents[1] / "README.md"
    write_report(study, readme)
    assert "## Classes" not in study.with_suffix(".md").read_text()
    head = {"checkpoint": "unet-ce", "dataset": "figshare"}
    dices = {"ann": (0.8, np.nan), "bob": (0.6, np.nan), "cleo": (0.0, 0.5), "dan": (np.nan,) * 2}
    counts = lambda dice: {"true_px": int(dice > 0), "marked_px": int(dice == dice)}  # noqa: E731
    table = [
        {**head, "patient": patient, "class": name, "dice": dice, **counts(dice)}
        for patient, own in dices.items()
        for name, dice in zip(("glioma", "meningioma"), own, strict=True)
    ]
    write_table(study / "per_class.csv", table)
    write_report(study, readme)
    page = study.with_suffix(".md").read_text()
    # Of cleo and dan, who have none, it was marked in cleo.
    glioma = "0.700 | 0.600 to 0.800 | 2 | 1 of 2 | 0.467 | 0.000 to 0.800"
    assert f"| `unet-ce` | glioma | {glioma} |" in page
    assert "| `unet-ce` | meningioma | 0.500 |  | 1 | 0 of 3 | 0.500 |  |" in page
    assert "Kind right" not in page and "mean of these" not in page  # parts are no kinds
    rows = [
        ("ann", "", "glioma", "glioma"),
        ("bob", "", "glioma", ""),
        ("cleo", "", "meningioma", "meningioma"),
        ("dan", "", "", "glioma"),  # healthy
        ("ann", 1, "glioma", "meningioma"),  # slices
        ("ann", 2, "glioma", "glioma"),
        ("ann", 3, "glioma", "glioma"),
        ("bob", 1, "glioma", ""),
        ("cleo", 1, "meningioma", "meningioma"),
        ("dan", 1, "", "glioma"),
    ]
    columns = ("patient", "slice", "true_kind", "predicted_kind")
    kinds = [{**head, **dict(zip(columns, row, strict=True)), "share": 1} for row in rows]
    write_table(study / "kinds.csv", kinds)
    write_report(study, readme)
    page = study.with_suffix(".md").read_text().split("## Classes")[1].split("\n## ")[0]
    assert "| `unet-ce` | mean of these | 0.600 | 0.500 to 0.800 | 3 |  | 0.483 |" in page
    by_slice, by_patient = page.split("A slice is taken")[1].split("A patient is taken")
    # In one resample of 27 there is nobody but bob, who is wrong.
    assert "| `unet-ce` | 0.750 | 0.000 to 1.000 | 5 | 3 |" in by_slice
    assert "| `unet-ce` | 0.750 | 0.000 to 1.000 | 3 |" in by_patient
    for part, counts in ((by_slice, "2 | 1 | 1"), (by_patient, "1 | 0 | 1")):
        assert "| | kind | glioma | meningioma | none |" in part
        assert f"| `unet-ce` | glioma | {counts} |" in part
        assert "| `unet-ce` | meningioma | 0 | 1 | 0 |" in part and "nan" not in part
    assert write_report(study, readme, check=True) == []


def test_classes_scored_out_of_fold_have_the_same_section(study):
    own = study / "out-of-fold" / "figshare"
    told = {**DESCRIPTION, "dataset": "figshare", "selection": "out of fold", "note": "Blocks."}
    write_results(rows_of({"unet-ce": (0.8, 0.7, 0.6)}), own, told)
    head = {"checkpoint": "unet-ce", "dataset": "figshare", "patient": "ann"}
    row = {**head, "class": "glioma", "dice": 0.8, "true_px": 1, "marked_px": 1}
    write_table(own / "per_class.csv", [row])
    write_report(study, study.parents[1] / "README.md")
    page = study.with_suffix(".md").read_text().split("## Classes")[1]
    assert f"On `figshare`: out of fold, {DESCRIPTION['patients']} patients. Blocks." in page
    assert "| `unet-ce` | glioma | 0.800 |" in page and "mean of these" not in page


def test_what_is_not_trained_is_said(study):
    missing = Study(study).missing
    assert "unet-hybrid: not trained yet" in missing and "unet-bce: not trained yet" not in missing
    verdicts = {c["claim"]: c["verdict"] for c in Study(study).claims}
    assert verdicts["DeepLabV3+ is the best single model"] == "not tested"
    assert (
        verdicts["Learning to draw a mask of its own beats averaging the same predictions"]
        == "not confirmed"
    )


def test_a_run_that_watched_nobody_has_an_empty_cell(study):
    told = json.loads((study / "models.json").read_text())
    told["unet-bce"] |= {"validation_dice": None, "total_epochs": 3, "small_epochs": 0}
    (study / "models.json").write_text(json.dumps(told))
    longer = study / "longer"
    write_results(rows_of({"unet-bce": DICE["unet-bce"]}), longer, DESCRIPTION)
    (longer / "models.json").write_text(json.dumps({"unet-bce": told["unet-bce"]}))
    write_report(study, study.parents[1] / "README.md")
    page = study.with_suffix(".md").read_text()
    checkpoints = page.split("## The checkpoints")[1]
    assert re.search(r"^\| `unet-bce` .*\| 0\.40 \|  \|$", checkpoints, re.MULTILINE)
    longer_rows = page.split("## Trained for longer")[1].split("\n### ")[0]
    assert longer_rows.count("| 3 epochs |  | 0.800 |") == 2


def test_calibration_leaks_and_choices_appear_when_they_are_there(study):
    curve = {"low": 0.5, "high": 0.6, "pixels": 10, "mean_probability": 0.55, "tumour_share": 0.3}
    scaled = {**curve, "mean_probability": 0.35}
    write_table(
        study / "calibration.csv",
        [
            {"checkpoint": "unet-bce", "scaled": 0, "temperature": 1.0, **curve},
            {"checkpoint": "unet-bce", "scaled": 1, "temperature": 2.0, **scaled},
        ],
    )
    leak = {"checkpoint": "unet-bce", "what": "by slice", "believed": 0.95, "true": 0.8,
            "low": 0.7, "high": 0.9}  # fmt: skip
    (study / "leak.json").write_text(json.dumps({"rows": [leak]}))
    row = {"checkpoint": "unetpp-bce", "kind": "", "settings": {"stack_inputs": "predictions"}}
    choices = [{**row, "validation_dice": 0.8, "best": True}]
    (study / "choices.json").write_text(json.dumps({"rows": choices}))
    write_report(study, study.parents[1] / "README.md")
    page = study.with_suffix(".md").read_text()
    assert "| `unetpp-bce` | stack_inputs predictions | **0.800** |" in page
    assert "| `unet-bce` | bce | 2.00 | 0.250 | 0.050 |" in page
    assert "by slice | 0.950 | 0.800 | 0.700 to 0.900" in page
    assert "the fold it watched" in page and "fold 1" not in page  # any fold can be
    row = next(r for r in Study(study).leaderboard["rows"] if r["name"] == "unet-bce")
    assert (row["ece_before"], row["ece_after"]) == pytest.approx((0.25, 0.05))


def test_the_time_of_a_stack_includes_its_bases(study):
    (study / "bench.json").write_text(json.dumps({"unet-bce_ms": 20.0, "unetpp-bce_ms": 12.5}))
    found = {row["name"]: row["latency_ms"] for row in Study(study).leaderboard["rows"]}
    assert found == {"unet-bce": 20, "unetpp-bce": 32.5, "fusion_mean": None}
    write_report(study, study.parents[1] / "README.md")
    assert (study / "latency.png").is_file()


def test_a_folder_without_figures_is_one_sentence(tmp_path, capsys):
    assert main(["report", "--study", str(tmp_path)]) == 1
    assert "per_patient.csv" in capsys.readouterr().err
