"""Rows per patient, tables and files, with made-up predictors; and the command."""

import csv
import json
import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from brainseg.__main__ import main
from brainseg.checkpoints.patients import patient_hash
from brainseg.checkpoints.settings import settings_of
from brainseg.config import Config
from brainseg.data import phantom
from brainseg.data.case import Case, CaseRef, DataError
from brainseg.data.splits import fold_of
from brainseg.inference.results import FUSIONS, Result
from brainseg.metrics.statistics import summarise
from brainseg.scans.notes import noting
from brainseg.scans.scan import Scan
from brainseg.study import score as evaluation
from brainseg.study.score import dice_cells, evaluate, select_patients, summary, write_results

DESCRIPTION = {
    "dataset": "made up",
    "selection": "all",
    "patients": 3,
    "slicewise": False,
    "note": "The ids are invented.",
}


def mask(*rows):
    """One slice per argument, each a row of 0 and 1 of equal length."""
    return np.array([[[int(digit) for digit in row]] for row in rows], bool)


def ref(patient, name, truth, spacing_mm=None):
    scan = Scan(np.zeros((*truth.shape, 1), np.uint8), spacing_mm, source=name)
    return CaseRef(patient, name, (), lambda: Case(patient, "made up", scan, truth))


# ann has two scans, one of another size; bob and cleo are healthy.
REFS = [
    ref("ann", "ann 1", mask("1100", "0000"), (2.0, 5.0, 10.0)),
    ref("bob", "bob", mask("0000", "0000")),
    ref("ann", "ann 2", mask("111111"), (1.0, 10.0, 10.0)),
    ref("cleo", "cleo", mask("0000")),
]
ANSWERS = {
    "model-bce": {
        "ann 1": mask("1010", "0001"),
        "ann 2": mask("110000"),
        "bob": mask("0000", "0000"),
        "cleo": mask("0110"),
    },
    "fusion_vote": {
        "ann 1": mask("1100", "0000"),
        "ann 2": mask("111111"),
        "bob": mask("0000", "0000"),
        "cleo": mask("0000"),
    },
}


@pytest.fixture
def predictors(monkeypatch):
    """One made-up checkpoint and one fusion, which give the masks in ANSWERS."""

    def predict_all(scan, predictors, *, slicewise=False):
        assert list(predictors) == ["model-bce"]
        for name, answers in ANSWERS.items():
            found = answers[scan.source]
            found = np.zeros_like(found) if slicewise else found
            yield Result(name, "model", found.astype(np.float32), 0.5)

    monkeypatch.setattr(evaluation, "predict_all", predict_all)
    config = Config(model="unet", dataset="made up", left_out=(3,), seed=7)
    settings = settings_of(config)
    return {"model-bce": SimpleNamespace(checkpoint=SimpleNamespace(settings=settings), bases=())}


def row_of(rows, name, patient):
    (row,) = [r for r in rows if (r["checkpoint"], r["patient"]) == (name, patient)]
    return row


def test_one_row_per_patient_and_predictor(predictors):
    rows = evaluate(predictors, REFS)
    pairs = [(row["patient"], row["checkpoint"]) for row in rows]
    assert sorted(pairs) == sorted((p, name) for p in ("ann", "bob", "cleo") for name in ANSWERS)


def test_counts_are_summed_over_the_scans_of_a_patient(predictors):
    row = row_of(evaluate(predictors, REFS), "model-bce", "ann")
    # First scan: 1 right, 2 wrong, 1 missed; second: 2 right, 4 missed. Mean Dice would be 0.45.
    assert row["dice"] == pytest.approx(2 * 3 / (2 * 3 + 2 + 5))
    assert row["iou"] == pytest.approx(3 / 10)
    assert row["precision"] == pytest.approx(3 / 5)
    assert row["recall"] == pytest.approx(3 / 8)
    assert (row["tumour_px"], row["predicted_px"]) == (8, 5)
    assert (row["slices"], row["false_positive_slices"], row["empty_slices"]) == (3, 1, 1)
    # A pixel of the first scan is 0.1 ml, one of the second too.
    assert row["tumour_ml"] == pytest.approx(0.8)
    assert row["predicted_ml"] == pytest.approx(0.5)


def test_healthy_patients(predictors):
    rows = evaluate(predictors, REFS)
    unmarked, marked = row_of(rows, "model-bce", "bob"), row_of(rows, "model-bce", "cleo")
    assert all(math.isnan(unmarked[key]) for key in ("dice", "iou", "precision", "recall"))
    assert (marked["dice"], marked["iou"], marked["precision"]) == (0, 0, 0)
    assert math.isnan(marked["recall"])
    assert unmarked["false_positive_slices"] == 0 and marked["false_positive_slices"] == 1
    assert math.isnan(unmarked["tumour_ml"])  # without spacing there is no volume


def test_rows_tell_the_checkpoint_and_fusions_have_none(predictors):
    rows = evaluate(predictors, REFS)
    keys = ("model", "loss", "encoder", "seed", "fold")
    model, fused = (row_of(rows, name, "ann") for name in ANSWERS)
    assert [model[key] for key in keys] == ["unet", "bce", "", 7, 3]
    assert [fused[key] for key in keys] == ["fusion_vote", "", "", "", ""]


def test_slicewise_is_passed_on(predictors):
    rows = evaluate(predictors, REFS, slicewise=True)
    assert all(row["predicted_px"] == 0 for row in rows)


def test_the_summary_is_over_patients(predictors):
    found = summary(evaluate(predictors, REFS))
    dice = found["model-bce"]["dice"]
    assert dice["mean"] == pytest.approx((6 / 13 + 0) / 2)
    assert (dice["patients"], dice["undefined"]) == (2, 1)
    assert found["fusion_vote"]["dice"]["mean"] == 1
    assert found["fusion_vote"]["dice"]["undefined"] == 2
    assert found["model-bce"]["false_positive_slices"] == 2
    assert found["model-bce"]["empty_slices"] == 4


# ---------------------------------------------------------------- which patients


def test_all_patients_or_those_named_or_those_of_a_fold():
    names = lambda refs: [r.name for r in refs]  # noqa: E731
    assert select_patients(REFS) == REFS
    assert names(select_patients(REFS, patients=["ann"])) == ["ann 1", "ann 2"]
    for fold in range(5):
        expected = [r.name for r in REFS if fold_of(r.patient_id) == fold]
        assert names(select_patients(REFS, fold=fold)) == expected


def unreadable(patient):
    def fail():
        raise DataError(f"{patient}.nii is damaged.")

    return CaseRef(patient, patient, (), fail)


def test_who_cant_be_read_is_left_out_and_named(predictors):
    whole = evaluate(predictors, REFS)
    with noting() as notes:
        rows = evaluate(predictors, [unreadable("adam"), *REFS, unreadable("zoe")])
    assert {row["patient"] for row in rows} == {"ann", "bob", "cleo"} and len(rows) == len(whole)
    assert notes == ["2 of 6 cases are left out. adam.nii is damaged. zoe.nii is damaged."]
    with pytest.raises(DataError, match=r"adam\.nii is damaged"):
        evaluate(predictors, [unreadable("adam")])


def test_a_patient_that_is_not_there_is_named():
    with pytest.raises(DataError, match="'dora'") as error:
        select_patients(REFS, patients=["ann", "dora"])
    assert "'ann'" in str(error.value)  # what ids look like


# ---------------------------------------------------------------- files


def test_the_table_has_the_promised_columns(predictors, tmp_path):
    write_results(evaluate(predictors, REFS), tmp_path / "out", DESCRIPTION)
    with open(tmp_path / "out" / "per_patient.csv", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert list(table[0]) == [
        "checkpoint", "model", "loss", "encoder", "seed", "fold", "patient", "dice", "iou",
        "precision", "recall", "volume_error", "hd95_px", "hd95_mm", "surface_dice", "outlined",
        "one_sided", "false_positive_slices", "empty_slices", "slices", "tumour_px",
        "predicted_px", "tumour_ml", "predicted_ml",
    ]  # fmt: skip
    assert len(table) == 6
    (ann,) = [r for r in table if (r["checkpoint"], r["patient"]) == ("model-bce", "ann")]
    assert float(ann["dice"]) == pytest.approx(6 / 13, abs=1e-5)
    assert (ann["tumour_px"], ann["slices"], ann["seed"]) == ("8", "3", "7")
    (bob,) = [r for r in table if (r["checkpoint"], r["patient"]) == ("model-bce", "bob")]
    assert (bob["dice"], bob["recall"], bob["tumour_ml"]) == ("", "", "")  # undefined, not 0


def test_the_summary_file_is_strict_json(predictors, tmp_path):
    write_results(evaluate(predictors, REFS[1:2]), tmp_path, DESCRIPTION)

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    found = json.loads((tmp_path / "summary.json").read_text(), parse_constant=refuse)
    assert found["dataset"] == "made up" and found["note"] == DESCRIPTION["note"]
    assert found["scores"]["model-bce"]["dice"]["mean"] is None
    assert found["scores"]["model-bce"]["dice"]["undefined"] == 1


def test_the_report_has_the_note_and_the_best_first(predictors, tmp_path):
    write_results(evaluate(predictors, REFS), tmp_path, DESCRIPTION)
    text = (tmp_path / "report.md").read_text()
    assert DESCRIPTION["note"] in text and "made up" in text
    lines = text.splitlines()
    header = next(i for i, line in enumerate(lines) if line.startswith("| predictor"))
    assert lines[header - 1] == "" and set(lines[header + 1]) <= set("|-")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[header:]]
    assert len({len(row) for row in cells}) == 1
    assert [row[0] for row in cells[2:]] == ["fusion_vote", "model-bce"]
    model = dict(zip(cells[0], cells[3], strict=True))
    assert model["mean Dice"] == f"{6 / 13 / 2:.3f}"
    assert model["false-positive slices"] == "2 of 4" and model["undefined"] == "1"


def test_the_report_without_a_note(predictors, tmp_path):
    write_results(evaluate(predictors, REFS), tmp_path, {**DESCRIPTION, "note": ""})
    assert (tmp_path / "report.md").read_text().count("\n\n\n") == 0


def test_of_one_patient_there_is_no_interval():
    assert dice_cells(summarise([0.8])) == ["0.800", "", "0.800"]
    assert dice_cells(summarise([math.nan])) == ["undefined", "", "undefined"]
    assert dice_cells(summarise([0.0, 1.0])) == ["0.500", "0.000 to 1.000", "0.500"]


# ---------------------------------------------------------------- the command


@pytest.fixture
def small_phantoms(monkeypatch):
    """The phantom data set as six tiny patients."""
    monkeypatch.setattr(phantom, "load", partial(phantom.load, patients=6, size=64, slices=2))


def run(*args):
    return main(["evaluate", *map(str, args)])


@pytest.mark.usefixtures("small_phantoms")
def test_the_command_scores_the_patients_in_a_file(random_checkpoints, tmp_path, capsys):
    chosen = tmp_path / "patients.txt"
    chosen.write_text("phantom_0003\n\n  phantom_0001 \n")
    out = tmp_path / "scores"
    common = ("--dataset", "phantom", "--checkpoints", random_checkpoints, "--out", out)
    assert run(*common, "--patients", chosen) == 0
    with open(out / "per_patient.csv", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert {row["patient"] for row in table} == {"phantom_0001", "phantom_0003"}
    names = {row["checkpoint"] for row in table}
    assert {"unet-bce", "unetpp-bce", *FUSIONS} < names
    assert len(table) == 2 * len(names) == 2 * (4 + len(FUSIONS))
    # Trained on fold 0, so they say, of the data set that these patients are of.
    report = (out / "report.md").read_text()
    assert "Not a fair test of" in report and "unetpp-bce" in report
    assert "patients.txt" in report and "2 patients" in report
    assert report in capsys.readouterr().out


@pytest.mark.usefixtures("small_phantoms")
def test_the_command_names_an_unknown_patient(random_checkpoints, tmp_path, capsys):
    chosen = tmp_path / "patients.txt"
    chosen.write_text("phantom_0003\nphantom_9999\n")
    out = tmp_path / "scores"
    common = ("--dataset", "phantom", "--checkpoints", random_checkpoints, "--out", out)
    assert run(*common, "--patients", chosen) == 1
    error = capsys.readouterr().err
    assert "phantom_9999" in error and len(error.splitlines()) == 1
    assert not out.exists()


@pytest.mark.usefixtures("small_phantoms")
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_list_of_patients_from_windows(random_checkpoints, tmp_path, encoding):
    chosen = tmp_path / "patients.txt"
    chosen.write_bytes("phantom_0003\r\n\r\nPhantom_0001 \t\r\nphantom_0003;".encode(encoding))
    common = ("--dataset", "phantom", "--checkpoints", random_checkpoints, "--out", tmp_path / "o")
    assert run(*common, "--patients", chosen) == 0
    with open(tmp_path / "o" / "per_patient.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["patient"] for row in rows} == {"phantom_0001", "phantom_0003"}


@pytest.mark.usefixtures("small_phantoms")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "can't be read"),
        (b"\r\n \n", "lists nobody"),
        (b"PK\3\4", "is a spreadsheet"),
        (b"phantom_\xe4\n", "'phantom_\u00e4'"),
    ],
)
def test_a_list_that_cant_be_used_is_named(tmp_path, capsys, content, words):
    chosen = tmp_path / "patients.txt"
    if content:
        chosen.write_bytes(content)
    common = ("--dataset", "phantom", "--checkpoints", tmp_path, "--out", tmp_path / "o")
    assert run(*common, "--patients", chosen) == 1
    error = capsys.readouterr().err
    assert str(chosen) in error and words in error


@pytest.mark.usefixtures("small_phantoms")
def test_a_report_names_who_could_not_be_read(random_checkpoints, tmp_path, monkeypatch, capsys):
    load = phantom.load
    monkeypatch.setattr(phantom, "load", lambda path: [*load(path), unreadable("zoe")])
    out = tmp_path / "scores"
    common = ("--dataset", "phantom", "--checkpoints", random_checkpoints, "--out", out)
    assert run(*common, "--all") == 0
    report = (out / "report.md").read_text()
    assert "6 patients" in report and "could not be read: zoe." in report


@pytest.mark.usefixtures("small_phantoms")
def test_a_fold_without_patients_is_an_error(random_checkpoints, tmp_path, capsys):
    taken = {fold_of(f"phantom_{seed:04d}") for seed in range(6)}
    empty = min(set(range(5)) - taken)
    common = ("--dataset", "phantom", "--checkpoints", random_checkpoints, "--out", tmp_path)
    assert run(*common, "--fold", empty) == 1
    assert f"fold {empty}" in capsys.readouterr().err


@pytest.mark.usefixtures("small_phantoms")
def test_the_command_scores_whom_no_model_has_seen(save_random, tmp_path, capsys):
    def hashes(*numbers):
        return [patient_hash("phantom", f"phantom_{number:04}") for number in numbers]

    models, out = tmp_path / "models", tmp_path / "out"
    for name, train, watched in (("unet-bce", [0, 1], [2]), ("unet-dice", [1, 3], [])):
        told = {"train": hashes(*train), "watched": hashes(*watched)}
        save_random(models, "unet", name=name, patient_hashes=told)
    common = ("--dataset", "phantom", "--checkpoints", models, "--out", out, "--unseen")
    assert run(*common) == 0
    with open(out / "per_patient.csv", newline="") as stream:
        assert {row["patient"] for row in csv.DictReader(stream)} == {
            "phantom_0004",
            "phantom_0005",
        }
    report = (out / "report.md").read_text()
    assert "unseen by all models" in report and "Not a fair test" not in report
    save_random(models, "unet", name="unet-hybrid")
    assert run(*common) == 1
    assert "unet-hybrid can't tell" in capsys.readouterr().err


@pytest.mark.parametrize("dataset", ["lgg", "figshare"])
def test_trained_on_both_is_no_fair_test_of_either(predictors, dataset):
    # "a" is of fold 4, held out here, and "b" of fold 0, which such a run validates on.
    held_out, known = (ref(patient, patient, mask("10")) for patient in "ab")
    settings = settings_of(Config(model="unet", dataset="lgg+figshare", left_out=(4, 0)))
    model = SimpleNamespace(checkpoint=SimpleNamespace(settings=settings), bases=())
    both = {"both": model}
    assert "Not a fair test of both" in evaluation.note(both, dataset, [held_out, known])
    assert "Not a fair test" not in evaluation.note(both, dataset, [held_out])
    assert "Not a fair test" not in evaluation.note(both, "brats", [held_out, known])
    assert ("approximation" in evaluation.note(both, dataset, [known])) == (dataset == "figshare")
    alone = settings_of(Config(model="unetpp", dataset="phantom", left_out=(4, 0)))
    stack = SimpleNamespace(checkpoint=SimpleNamespace(settings=alone), bases=(model,))
    assert "Not a fair test of stack" in evaluation.note({"stack": stack}, dataset, [known])


def test_a_time_point_that_was_a_patient_once_is_no_fair_test(predictors):
    was = {"train": [patient_hash("brats", "Gli-1-000")], "watched": []}
    settings = replace(settings_of(Config(model="unet", dataset="brats")), patient_hashes=was)
    model = SimpleNamespace(checkpoint=SimpleNamespace(settings=settings), bases=())
    cases = [ref(name, "Gli-1", mask("10")) for name in ("Gli-1-000", "Gli-1-001")]
    assert "Not a fair test of old" in evaluation.note({"old": model}, "brats", cases[:1])
    assert "Not a fair test" not in evaluation.note({"old": model}, "brats", cases[1:])


def test_figshare_pictures_carry_their_warning(random_checkpoints, tmp_path):
    data = tmp_path / "data"
    for kind, top in (("images", 120), ("masks", 255)):
        (data / kind).mkdir(parents=True)
        square = np.zeros((40, 40), np.uint8)
        square[10:30, 10:30] = top
        Image.fromarray(square).save(data / kind / "1.png")
    (data / "labels.csv").write_text("id,tumor_type\n1,glioma\n")
    out = tmp_path / "scores"
    common = ("--dataset", "figshare", "--data", data, "--checkpoints", random_checkpoints)
    assert run(*common, "--all", "--out", out) == 0
    report = (out / "report.md").read_text()
    assert "approximation" in report
    assert "Not a fair test" not in report  # the checkpoints are of another data set
