"""From checkpoints to the study's page, and two evaluations held against each other."""

import json
import shutil
from functools import partial

import numpy as np
import pytest
from made_up import DESCRIPTION, DICE, rows_of

from brainseg.__main__ import main
from brainseg.config import Config
from brainseg.data import phantom
from brainseg.data.splits import fold_of
from brainseg.files import read_table, write_table
from brainseg.scans.notes import noting
from brainseg.study import score
from brainseg.study.record import disagreement
from brainseg.study.report import MARKS
from brainseg.study.score import COLUMNS, summary, write_results


def test_tables_survive_writing_and_reading(tmp_path):
    rows = rows_of(DICE)
    write_table(tmp_path / "t.csv", rows, COLUMNS)
    again = read_table(tmp_path / "t.csv")
    assert list(again) == list(COLUMNS)
    assert again["dice"].tolist() == [r["dice"] for r in rows]
    assert again["patient"][0] == "patient 0" and np.isnan(again["hd95_mm"][0])
    assert summary(again)["unet-bce"]["dice"]["mean"] == pytest.approx(0.8)
    assert len(read_table(tmp_path / "none.csv")) == 0 and summary([]) == {}


def test_two_evaluations_are_compared_by_their_means():
    mine, theirs = rows_of(DICE), rows_of({**DICE, "unet-bce": (0.80, 0.70, 0.93)})
    name, gap = disagreement(mine, theirs)
    assert name == "unet-bce" and gap == pytest.approx(0.01)
    with pytest.raises(ValueError, match="fusion_mean on patient 0"):
        disagreement([row for row in mine if row["checkpoint"] != "fusion_mean"], theirs)
    with noting() as notes:
        assert disagreement(rows_of({**DICE, "mine": (0.1, 0.1, 0.1)}), mine)[1] == 0
    assert notes == ["Not there to compare with: mine."]
    with pytest.raises(ValueError, match=r"differ in what they score.*\(12 such"):
        disagreement(rows_of({"mine": (0.1, 0.1, 0.1)}), mine)


def test_a_model_without_any_dice_hides_no_disagreement():
    nan = float("nan")
    earlier = rows_of({"unet-bce": (nan, nan, nan), "unetpp-bce": (0.8, 0.7, 0.9)})
    now = rows_of({"unet-bce": (nan, nan, nan), "unetpp-bce": (0.8, 0.7, 0.6)})
    name, gap = disagreement(now, earlier)
    assert name == "unetpp-bce" and gap == pytest.approx(0.1)
    found = rows_of({"unet-bce": (0.5, nan, nan), "unetpp-bce": (0.8, 0.7, 0.9)})
    assert disagreement(found, earlier) == ("unet-bce", float("inf"))


def test_from_checkpoints_to_the_page(
    random_checkpoints, save_random, tmp_path, monkeypatch, capsys, caplog
):
    load = phantom.load
    monkeypatch.setattr(phantom, "load", partial(load, patients=8, size=64, slices=2))
    study, readme = tmp_path / "docs" / "study", tmp_path / "README.md"
    readme.write_text(f"{MARKS[0]}\n{MARKS[1]}\n")
    common = ["--dataset", "phantom", "--checkpoints", str(random_checkpoints), "--fold", "0"]
    sheet = study / "phantoms.png"
    assert main(["evaluate", *common, "--study", "--sheet", str(sheet), "--out", str(study)]) == 0
    assert sheet.read_bytes().startswith(b"\x89PNG")
    for name in ("per_patient.csv", "validation.csv", "calibration.csv", "staple.csv"):
        assert len(read_table(study / name)) > 0, name
    models = json.loads((study / "models.json").read_text())
    bases = sum(models[name]["parameters"] for name in models["unetpp-bce"]["bases"])
    assert models["unetpp-bce"]["parameters"] > bases
    assert main(["report", "--study", str(study), "--readme", str(readme)]) == 0
    page = study.with_suffix(".md").read_text()
    for heading in ("Leaderboard", "Claims", "Fusion bench", "Calibration", "On phantoms"):
        assert f"## {heading}" in page
    assert main(["report", "--study", str(study), "--readme", str(readme), "--check"]) == 0
    again = ["evaluate", *common, "--out", str(tmp_path / "again"), "--against", str(study)]
    assert main(again) == 0
    assert "largest difference in mean Dice" in capsys.readouterr().out

    more = shutil.copytree(random_checkpoints, tmp_path / "more")
    save_random(more, "unet_efficientnet")  # which would change the mean of all
    again[again.index(str(random_checkpoints))] = str(more)
    assert main(again) == 0
    assert f"mean Dice from {study}: 0.0000" in capsys.readouterr().out
    assert f"Left out, since {study} does not have them: unet_efficientnet-bce." in caplog.text
    monkeypatch.setattr(phantom, "load", partial(load, patients=24, size=64, slices=2))
    assert main(again) == 0  # as who has all patients of a set does of which the study had some
    assert f"mean Dice from {study}: 0.0000" in capsys.readouterr().out
    assert f"{study} does not have them: " in caplog.text.splitlines()[-1]
    assert caplog.text.splitlines()[-1].endswith(" of the patients.")

    rows = read_table(study / "per_patient.csv")
    write_table(study / "per_patient.csv", rows.assign(dice=rows["dice"] + 0.1))
    assert main(again) == 1
    again[again.index(str(tmp_path / "again"))] = str(study)  # held against what it replaces
    capsys.readouterr()
    assert main(again) == 1
    assert f"mean Dice from {study}: 0.1000" in capsys.readouterr().out


def test_a_study_needs_one_fold(random_checkpoints, tmp_path, capsys):
    args = ["--dataset", "phantom", "--checkpoints", str(random_checkpoints), "--all"]
    assert main(["evaluate", *args, "--study", "--out", str(tmp_path)]) == 1
    assert "--fold" in capsys.readouterr().err


def test_a_folder_without_scores_is_refused_before_scoring(
    random_checkpoints, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(score, "evaluate", no_scoring)
    args = ["--dataset", "phantom", "--checkpoints", str(random_checkpoints), "--fold", "0"]
    args += ["--against", str(tmp_path / "docs" / "studdy"), "--out", str(tmp_path / "new")]
    assert main(["evaluate", *args]) == 1
    assert "studdy has no scores to compare with" in capsys.readouterr().err


def no_scoring(*args, **kwargs):
    raise AssertionError("this takes long, and shall not start")


@pytest.mark.parametrize("left_out", [(0,), (0, 2), (1, 0)])
def test_a_study_is_not_calibrated_on_training_patients(
    save_random, random_checkpoints, tmp_path, monkeypatch, capsys, left_out
):
    monkeypatch.setattr(phantom, "load", partial(phantom.load, patients=8, size=64, slices=2))
    evaluate = score.evaluate
    monkeypatch.setattr(score, "evaluate", no_scoring)
    there = tmp_path / "there"
    shutil.copytree(random_checkpoints / "unet-bce", there / "unet-bce")
    run = Config(model="unet", loss="dice", dataset="phantom", size=64, left_out=left_out)
    save_random(there, "unet", name="unet-dice", run=run.to_json())
    args = ["--dataset", "phantom", "--checkpoints", str(there), "--fold", "0", "--study", "--out"]
    assert main(["evaluate", *args, str(tmp_path / "new")]) == 1
    said = capsys.readouterr().err
    assert "fold 1, which these did not watch" in said and "trained on: unet-dice. Leave" in said
    assert not (tmp_path / "new").exists()
    # An earlier evaluation without it leaves it out, and then nothing is in the way.
    write_results(rows_of({"unet-bce": (0.5,)}), tmp_path / "old", DESCRIPTION)
    monkeypatch.setattr(score, "evaluate", evaluate)
    against = ["--against", str(tmp_path / "old")]
    main(["evaluate", *args, str(tmp_path / "new"), *against])  # whose patients are others
    assert list(json.loads((tmp_path / "new" / "models.json").read_text())) == ["unet-bce"]


def test_a_study_without_patients_to_calibrate_on_is_refused_before_scoring(
    random_checkpoints, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(score, "evaluate", no_scoring)
    everyone = phantom.load(patients=8, size=64, slices=2)
    kept = [ref for ref in everyone if fold_of(ref.patient_id) != 1]
    monkeypatch.setattr(phantom, "load", lambda path=None: kept)
    args = ["--dataset", "phantom", "--checkpoints", str(random_checkpoints), "--fold", "0"]
    assert main(["evaluate", *args, "--study", "--out", str(tmp_path / "new")]) == 1
    assert "fold 1, in which no patient is" in capsys.readouterr().err


def test_a_study_is_not_of_single_slices(random_checkpoints, tmp_path, capsys):
    args = ["--dataset", "phantom", "--checkpoints", str(random_checkpoints), "--slicewise"]
    assert main(["evaluate", *args, "--study", "--out", str(tmp_path / "new")]) == 1
    assert "by --slicewise without --study" in capsys.readouterr().err
