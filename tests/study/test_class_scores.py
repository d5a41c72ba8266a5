"""Scores of classes: of made-up models on made-up patients, by observer and by command."""

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from brainseg.__main__ import main
from brainseg.checkpoints.settings import settings_of
from brainseg.commands import evaluate as command
from brainseg.config import Config
from brainseg.data import phantom
from brainseg.data.case import Case, CaseRef, DataError
from brainseg.inference.results import Result
from brainseg.scans.notes import noting
from brainseg.scans.scan import Scan
from brainseg.study import out_of_fold, score
from brainseg.study.class_scores import ClassScores

NAMES = ("glioma", "meningioma")  # as the data set numbers them
KINDS = ("meningioma", "glioma")  # as the model does


def labels(*slices):
    """One slice per argument, each a row of digits."""
    return np.array([[[int(digit) for digit in row]] for row in slices], np.uint8)


def case(patient, name, classes):
    scan = Scan(np.zeros((*classes.shape, 1), np.uint8), source=name)
    return Case(patient, "phantom", scan, classes > 0, classes)


# ann has a glioma and two scans, bob is healthy, cleo's meningioma is not found.
CASES = [
    case("ann", "ann 1", labels("1100", "0000")),
    case("ann", "ann 2", labels("111111")),
    case("bob", "bob", labels("0000", "0000")),
    case("cleo", "cleo", labels("0220")),
]
FOUND = {  # 1 is a meningioma here
    "ann 1": labels("2100", "0010"),
    "ann 2": labels("221000"),
    "bob": labels("0000", "0000"),
    "cleo": labels("0000"),
}
REFS = [CaseRef(own.patient_id, own.scan.source, (), lambda own=own: own) for own in CASES]


def result(name, source, classes=KINDS):
    table = np.stack([FOUND[source] == number for number in (1, 2)]).astype(np.float32)
    told = (None, classes, table) if classes else ()
    return Result(name, "model", table.sum(0), 0.5, *told)


def predict_all(scan, predictors, *, slicewise=False):
    yield result("unet-ce", scan.source)
    yield result("unet-bce", scan.source, ())


@pytest.fixture
def named(monkeypatch):
    """The phantoms as a data set with classes, and these patients."""
    monkeypatch.setattr(phantom, "CLASSES", NAMES, raising=False)
    monkeypatch.setattr(phantom, "load", lambda path=None: REFS)
    monkeypatch.setattr(score, "predict_all", predict_all)


def observed(classes=KINDS, cases=CASES):
    seen = ClassScores(lambda: NAMES)
    for own in cases:
        seen(own, result("unet-ce", own.scan.source, classes))
    return seen


def written(seen, out, patients=("ann", "bob", "cleo")):
    seen.write(out, [{"checkpoint": "unet-ce", "patient": patient} for patient in patients])
    return rows_in(out / "per_class.csv"), rows_in(out / "kinds.csv")


def rows_in(path):
    if not path.is_file():
        return None
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def check(classes, kinds):
    """That the files say of these patients what one works out by hand."""
    assert list(classes[0]) == [
        "checkpoint", "dataset", "patient", "class", "dice", "true_px", "marked_px"
    ]  # fmt: skip
    assert {(r["checkpoint"], r["dataset"]) for r in (*classes, *kinds)} == {("unet-ce", "phantom")}
    assert [[*row.values()][2:] for row in classes] == [
        ["ann", "meningioma", "0", "0", "3"],
        ["ann", "glioma", "0.545455", "8", "3"],  # over both scans: 2 * 3 / (8 + 3)
        ["bob", "meningioma", "", "0", "0"],
        ["bob", "glioma", "", "0", "0"],
        ["cleo", "meningioma", "0", "2", "0"],
        ["cleo", "glioma", "", "0", "0"],
    ]
    assert list(kinds[0]) == [
        "checkpoint", "dataset", "patient", "slice", "true_kind", "predicted_kind", "share"
    ]  # fmt: skip
    assert [[*row.values()][2:] for row in kinds] == [
        ["ann", "", "glioma", "meningioma", "0.5"],  # of equal ones the first
        ["ann", "1", "glioma", "meningioma", "0.5"],
        ["ann", "2", "", "meningioma", "1"],
        ["ann", "3", "glioma", "glioma", "0.666667"],
        ["bob", "", "", "", ""],
        ["cleo", "", "meningioma", "", ""],
        ["cleo", "1", "meningioma", "", ""],
    ]


@pytest.mark.usefixtures("named")
def test_classes_are_compared_by_their_names(tmp_path):
    check(*written(observed(), tmp_path))


@pytest.mark.usefixtures("named")
def test_figures_for_a_card_are_of_those_who_have_a_class_and_of_slices():
    figures = observed().figures()
    assert {name: own["patients"] for name, own in figures["dice"].items()} == {
        "meningioma": 1, "glioma": 1
    }  # fmt: skip
    assert figures["dice"]["glioma"]["mean"] == pytest.approx(6 / 11)
    # Ann's slices 1 and 3 are of a glioma, of which one is taken for that, cleo's is not found.
    right = figures["kind_right"]
    assert (right["mean"], right["slices"], right["patients"]) == (0.25, 3, 2)
    assert observed(()).figures() == {}


@pytest.mark.usefixtures("named")
def test_who_has_no_row_among_the_scores_has_none_here(tmp_path):
    classes, kinds = written(observed(), tmp_path, ["cleo"])
    assert {row["patient"] for row in (*classes, *kinds)} == {"cleo"}
    # What was there of others goes, instead of standing beside new scores.
    assert written(ClassScores(lambda: NAMES), tmp_path) == (None, None)


@pytest.mark.usefixtures("named")
def test_without_classes_or_with_other_ones_there_is_nothing(tmp_path):
    assert written(observed(classes=()), tmp_path) == (None, None)
    assert written(observed(("necrosis", "glioma")), tmp_path) == (None, None)
    seen = ClassScores(tuple)  # the data set tells none apart
    seen(CASES[0], result("unet-ce", "ann 1"))
    assert written(seen, tmp_path) == (None, None)


@pytest.mark.usefixtures("named")
def test_a_mask_with_a_wrong_class_is_left_out_here_alone(tmp_path):
    def classes():
        raise DataError("bob's mask holds 9: expected 0 to 3.")

    first, second, bob, last = CASES
    bob = replace(bob, classes=classes)
    with noting() as notes:
        found, _ = written(observed(cases=[first, second, bob, last]), tmp_path)
    assert {row["patient"] for row in found} == {"ann", "cleo"}
    assert notes == ["bob's mask holds 9: expected 0 to 3."]


@pytest.mark.usefixtures("named")
def test_parts_of_one_tumour_have_regions_and_no_kinds(tmp_path, monkeypatch):
    monkeypatch.setattr(phantom, "REGIONS", {"whole": ("glioma", "meningioma")}, raising=False)
    classes, kinds = written(observed(NAMES), tmp_path)
    assert kinds is None
    ann = {r["class"]: [r["true_px"], r["marked_px"]] for r in classes if r["patient"] == "ann"}
    assert ann == {"whole": ["8", "6"], "glioma": ["8", "3"], "meningioma": ["0", "3"]}


@pytest.mark.usefixtures("named")
def test_evaluate_writes_them_beside_everything_else(tmp_path, monkeypatch):
    settings = settings_of(Config(model="unet", dataset="lgg"))
    predictors = {
        "unet-ce": SimpleNamespace(checkpoint=SimpleNamespace(settings=settings), bases=())
    }
    monkeypatch.setattr(command, "load_predictors", lambda *args, **options: (predictors, []))
    args = ["evaluate", "--dataset", "phantom", "--all", "--out"]
    assert main([*args, str(tmp_path / "with")]) == 0
    check(*(rows_in(tmp_path / "with" / file) for file in ("per_class.csv", "kinds.csv")))
    monkeypatch.delattr(phantom, "CLASSES")
    assert main([*args, str(tmp_path / "without")]) == 0
    files = {path.name: path.read_bytes() for path in (tmp_path / "without").iterdir()}
    assert sorted(files) == ["per_patient.csv", "report.md", "summary.json"]
    assert all((tmp_path / "with" / name).read_bytes() == own for name, own in files.items())


@pytest.mark.usefixtures("named")
def test_out_of_fold_too(tmp_path, monkeypatch):
    settings = settings_of(Config(model="unet", dataset="phantom", left_out=(0,)))
    checkpoint = SimpleNamespace(settings=settings, folder=Path("unet-ce"))
    opened = {
        "unet-ce": SimpleNamespace(checkpoint=checkpoint, kind="model", classes=KINDS, bases=[])
    }
    runs = {"unet-ce": dict.fromkeys(range(5))}
    monkeypatch.setattr(out_of_fold, "find_runs", lambda *args: (runs, []))
    monkeypatch.setattr(out_of_fold, "note", lambda *args: "")
    monkeypatch.setattr(out_of_fold, "open_together", lambda runs: opened)
    out = tmp_path / "out"
    args = ["evaluate", "--dataset", "phantom", "--out-of-fold", "--out", str(out)]
    assert main(args) == 0
    classes, kinds = rows_in(out / "per_class.csv"), rows_in(out / "kinds.csv")
    order = {name: number for number, name in enumerate(("ann", "bob", "cleo"))}
    by_patient = lambda row: order[row["patient"]]  # noqa: E731  folds come in their own order
    check(sorted(classes, key=by_patient), sorted(kinds, key=by_patient))


def test_classes_of_an_own_folder_are_those_that_it_names(tmp_path, monkeypatch):
    data, out = tmp_path / "data", tmp_path / "out"
    for part in ("images", "masks"):
        (data / part).mkdir(parents=True)
    truth = np.zeros((32, 32), np.uint8)
    truth[:4, :8], truth[8:12] = 1, 2
    cv2.imwrite(str(data / "masks" / "ann.png"), truth)
    cv2.imwrite(str(data / "images" / "ann.png"), np.arange(1024, dtype=np.uint8).reshape(32, 32))
    (data / "classes.csv").write_text("value,name\n1,glioma\n2,meningioma\n")
    settings = settings_of(Config(model="unet", dataset="figshare"))
    opened = {"unet-ce": SimpleNamespace(checkpoint=SimpleNamespace(settings=settings), bases=())}

    def found(scan, predictors, *, slicewise=False):
        planes = np.stack([np.zeros_like(truth), truth == 1])[:, None]  # each glioma, all else none
        told = (None, KINDS, planes.astype(np.float32))
        yield Result("unet-ce", "model", planes.sum(0).astype(np.float32), 0.5, *told)

    monkeypatch.setattr(command, "load_predictors", lambda *args, **options: (opened, []))
    monkeypatch.setattr(score, "predict_all", found)
    args = ["evaluate", "--dataset", "folder", "--data", str(data), "--all", "--out", str(out)]
    assert main(args) == 0
    rows = {row["class"]: row for row in rows_in(out / "per_class.csv")}
    assert (rows["glioma"]["dice"], rows["glioma"]["true_px"]) == ("1", "32")
    assert (rows["meningioma"]["dice"], rows["meningioma"]["true_px"]) == ("0", "128")
