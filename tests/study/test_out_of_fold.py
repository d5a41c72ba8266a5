"""Out-of-fold scores of tiny runs, against scoring each run alone on its own patients."""

import csv
import json
import shutil
import weakref
from collections import Counter
from dataclasses import replace

import pytest

from brainseg.__main__ import main
from brainseg.checkpoints.folder import (
    METRICS,
    WEIGHTS,
    copy_checkpoint,
    find_checkpoints,
    read_checkpoint,
    replace_settings,
)
from brainseg.config import Config
from brainseg.data import phantom
from brainseg.data.case import CaseRef
from brainseg.data.splits import fold_of
from brainseg.inference.loading import load
from brainseg.inference.predictor import Predictor
from brainseg.inference.results import FUSIONS
from brainseg.models.specs import MODELS
from brainseg.models.unet import UNet
from brainseg.study import out_of_fold, score

BASES = ("unet-bce", "unet-dice")
NAMES = (*BASES, "unetpp-bce")
REFS = phantom.load(patients=15, size=32, slices=4)  # somebody in every fold


@pytest.fixture(scope="module", autouse=True)
def trained(tmp_path_factory, save_random):
    """Five runs each of two U-Nets and a stack that reads both, as train.py leaves them."""
    place, narrow = tmp_path_factory.mktemp("trained"), lambda n, out: UNet(n, 4, out)

    def save(model, loss, fold, bases=()):
        names = tuple(base.name for base in bases)
        config = Config(model, loss, dataset="phantom", bases=names, left_out=(fold,))
        about = {"name": config.name, "loss": loss, "run": config.to_json()}
        saved = save_random(place, model, bases=bases, seed=5 * len(loss) + fold, **about)
        validation = {"unseen": bool(bases), "mean_dice": 0.5 + fold / 10}
        (saved.folder / METRICS).write_text(json.dumps({"validation": validation}))
        folder = config.run_folder(place / "runs")
        folder.parent.mkdir(parents=True, exist_ok=True)
        return read_checkpoint(saved.folder.rename(folder))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phantom, "load", lambda path=None: REFS)
        patch.setitem(MODELS, "unet", replace(MODELS["unet"], builder=narrow))
        for fold in range(5):
            save("unetpp", "bce", fold, [save("unet", loss, fold) for loss in ("bce", "dice")])
        yield place / "runs"


@pytest.fixture
def runs(trained, tmp_path):
    """A copy of the U-Nets' runs, to be spoiled."""
    for checkpoint in find_checkpoints(trained)[0]:
        if checkpoint.name in BASES:
            copy_checkpoint(checkpoint, tmp_path / checkpoint.folder.relative_to(trained))
    return tmp_path


@pytest.fixture(scope="module")
def found(trained):
    found, skipped = out_of_fold.find_runs(trained)
    assert tuple(found) == NAMES and skipped == []
    return found


@pytest.fixture(scope="module")
def rows(found):
    return out_of_fold.evaluate(found, REFS)


def folder_of(runs, name, fold):
    return runs / "phantom" / name / f"without{fold}-seed0"


def patients_of(fold):
    return [ref for ref in REFS if fold_of(ref.patient_id) == fold]


def of_fold(rows, fold, name=None):
    """Rows of a fold's patients, comparable though they may hold NaN."""
    return [
        {key: repr(value) for key, value in row.items()}
        for row in rows
        if fold_of(row["patient"]) == fold and name in (None, row["checkpoint"])
    ]


def change_run(folder, **changes):
    """Let a checkpoint say that it was trained with other settings."""
    checkpoint = read_checkpoint(folder)
    run = replace(checkpoint.settings.run, **changes)
    replace_settings(checkpoint, replace(checkpoint.settings, run=run))


def without_validation(folder):
    metrics = read_checkpoint(folder).metrics
    del metrics["validation"]
    (folder / METRICS).write_text(json.dumps(metrics))


# ---------------------------------------------------------------- scores


def test_every_patient_is_scored_once_by_the_run_without_their_fold(trained, rows):
    everyone = Counter(ref.patient_id for ref in REFS)
    for name in NAMES:
        own = [row for row in rows if row["checkpoint"] == name]
        assert Counter(row["patient"] for row in own) == everyone
        for fold in range(5):
            alone = load(folder_of(trained, name, fold), backend="pytorch")
            expected = score.evaluate({name: alone}, patients_of(fold))
            assert of_fold(own, fold) == of_fold(expected, fold) != []
            # And this tells the runs apart: another one scores these patients otherwise.
            other = load(folder_of(trained, name, (fold + 1) % 5), backend="pytorch")
            others = score.evaluate({name: other}, patients_of(fold), distances=False)
            figures = [[row["dice"], row["predicted_px"]] for row in expected]
            assert figures != [[row["dice"], row["predicted_px"]] for row in others]


def test_fusions_are_of_the_same_runs_and_have_a_fold(trained, rows):
    fused = {"fusion_mean", "fusion_weighted", "fusion_vote", "fusion_staple"}
    assert {row["checkpoint"] for row in rows} == {*NAMES, *fused}
    assert all(row["fold"] == fold_of(row["patient"]) for row in rows)
    for fold in range(5):
        together = {name: load(folder_of(trained, name, fold), backend="pytorch") for name in NAMES}
        expected = score.evaluate(together, patients_of(fold))
        for row in expected:
            if row["checkpoint"] in FUSIONS:
                assert row["fold"] == ""
            row["fold"] = fold
        assert of_fold(rows, fold) == of_fold(expected, fold)


def test_slices_alone_are_passed_on(trained, found):
    rows = out_of_fold.evaluate({"unet-bce": found["unet-bce"]}, REFS, slicewise=True)
    alone = load(folder_of(trained, "unet-bce", 3), backend="pytorch")
    expected = score.evaluate({"unet-bce": alone}, patients_of(3), slicewise=True)
    assert of_fold(rows, 3) == of_fold(expected, 3)


def test_a_base_runs_once_and_a_fold_is_gone_before_the_next_is_read(trained, found, monkeypatch):
    passes, held, reading = Counter(), [], []
    probabilities, ready = Predictor.probabilities, Predictor._ready

    def counted(self, prepared, base_maps, **options):
        passes[self.checkpoint.folder] += 1
        return probabilities(self, prepared, base_maps, **options)

    def watched(self):
        fold = self.checkpoint.settings.fold
        if all(one() is not self for _, one in held):
            held.append((fold, weakref.ref(self)))
        reading.append({own for own, one in held if one() is not None} == {fold})
        return ready(self)

    monkeypatch.setattr(Predictor, "probabilities", counted)
    monkeypatch.setattr(Predictor, "_ready", watched)
    folds = (0, 2, 4)
    out_of_fold.evaluate(found, [ref for fold in folds for ref in patients_of(fold)])
    assert passes == {
        folder_of(trained, name, fold): len(patients_of(fold)) for name in NAMES for fold in folds
    }
    assert all(reading) and len(held) == len(folds) * len(NAMES)


def test_without_patients_of_a_fold_the_others_are_scored(found):
    found = {"unet-bce": found["unet-bce"]}
    rows = out_of_fold.evaluate(found, [*patients_of(1), *patients_of(4)])
    assert [row["patient"] for row in rows] == [
        ref.patient_id for fold in (1, 4) for ref in patients_of(fold)
    ]
    assert out_of_fold.evaluate(found, []) == []


# ---------------------------------------------------------------- which runs


def test_missing_folds_are_told(runs):
    shutil.rmtree(folder_of(runs, "unet-bce", 3))
    stopped = read_checkpoint(folder_of(runs, "unet-bce", 1))
    replace_settings(stopped, replace(stopped.settings, interrupted=True))
    found, (told,) = out_of_fold.find_runs(runs)
    assert list(found) == ["unet-dice"] and list(found["unet-dice"]) == [0, 1, 2, 3, 4]
    assert "unet-bce" in told and "without fold 1, 3:" in told

    shutil.rmtree(folder_of(runs, "unet-dice", 0))
    with pytest.raises(ValueError, match="--left-out all") as error:
        out_of_fold.find_runs(runs)
    assert "fold 1, 3:" in str(error.value) and "fold 0:" in str(error.value)


def test_runs_that_leave_out_two_folds_do_not_count(runs):
    change_run(folder_of(runs, "unet-bce", 2), left_out=(2, 3))
    found, (told,) = out_of_fold.find_runs(runs)
    assert list(found) == ["unet-dice"] and "fold 2:" in told


def test_two_runs_of_one_name_and_fold_are_refused(runs):
    one = folder_of(runs, "unet-dice", 2)
    other = one.with_name("without2-seed0-image")
    shutil.copytree(one, other)
    with pytest.raises(ValueError, match="only one of them") as error:
        out_of_fold.find_runs(runs)
    assert f"{one} and {other}" in str(error.value)


def test_the_seed_chooses(runs):
    for fold in range(5):
        other = folder_of(runs, "unet-bce", fold).with_name(f"without{fold}-seed7")
        shutil.copytree(folder_of(runs, "unet-bce", fold), other)
        change_run(other, seed=7)
    found, told = out_of_fold.find_runs(runs)
    assert tuple(found) == BASES and told == []
    assert {run.folder.name[-5:] for run in found["unet-bce"].values()} == {"seed0"}
    found, (told,) = out_of_fold.find_runs(runs, 7)
    assert list(found) == ["unet-bce"]
    assert {run.folder.name[-5:] for run in found["unet-bce"].values()} == {"seed7"}
    assert "unet-dice has no finished run of seed 7" in told


def test_runs_of_two_recipes_are_refused(runs):
    for fold in range(5):  # each may start from weights of its own
        change_run(folder_of(runs, "unet-bce", fold), init_from=f"{fold}" * 64)
    assert "unet-bce" in out_of_fold.find_runs(runs)[0]
    change_run(folder_of(runs, "unet-bce", 4), epochs=2)
    with pytest.raises(ValueError, match="epochs 2 instead of 30") as error:
        out_of_fold.find_runs(runs)
    assert str(folder_of(runs, "unet-bce", 4)) in str(error.value)


def test_what_cannot_be_read_is_left_out_before_anything_is_scored(runs, trained):
    (folder_of(runs, "unet-bce", 4) / WEIGHTS).write_bytes(b"damaged")
    found, (told,) = out_of_fold.find_runs(runs)
    assert list(found) == ["unet-dice"] and str(folder_of(runs, "unet-bce", 4)) in told

    for fold in range(5):
        stack = read_checkpoint(folder_of(trained, "unetpp-bce", fold))
        copy_checkpoint(stack, folder_of(runs, "unetpp-bce", fold))
    found, told = out_of_fold.find_runs(runs)
    assert list(found) == ["unet-dice"]
    assert len(told) == 2 and "fitted on other weights of unet-bce" in told[1]


# ---------------------------------------------------------------- what must be known


def test_thresholds_that_passed_through_runs_which_had_seen_the_fold(found):
    assert out_of_fold.note(found, "phantom", []) == (
        "Thresholds (and fusion weights) of unet-bce (fold 0, 1, 2, 3, 4), unet-dice (fold 0, 1, "
        "2, 3, 4) were chosen by runs that had seen the patients scored."
    )
    found = {"unetpp-bce": found["unetpp-bce"]}
    refs = [CaseRef("meningioma-0", "0", (), None)]
    assert out_of_fold.note(found, "phantom", refs) == ""
    assert "approximation" in out_of_fold.note(found, "figshare", refs)
    of_mat = [CaseRef("figshare_100360", "0", (), None)]
    assert "approximation" not in out_of_fold.note(found, "figshare", of_mat)


def test_a_stand_in_is_told_and_takes_the_weighted_fusion_with_it(runs):
    for fold in (1, 3):
        without_validation(folder_of(runs, "unet-bce", fold))
    found, _ = out_of_fold.find_runs(runs)
    told = out_of_fold.note(found, "phantom", [])
    assert told.startswith(
        "No threshold was chosen yet for unet-bce (fold 1, 3): a stand-in was used there. "
    )
    refs = [*patients_of(1), *patients_of(2)]
    times = Counter(row["checkpoint"] for row in out_of_fold.evaluate(found, refs))
    kept = (*BASES, "fusion_mean", "fusion_vote", "fusion_staple")
    assert times == dict.fromkeys(kept, len(refs))


# ---------------------------------------------------------------- the command


def evaluate(runs, out, *args):
    common = ("--dataset", "phantom", "--checkpoints", runs, "--out", out)
    return main(["evaluate", *map(str, (*common, *args))])


def test_the_command_writes_scores_of_everybody_and_a_sheet(runs, tmp_path, capsys):
    shutil.rmtree(folder_of(runs, "unet-bce", 3))
    out, sheet = tmp_path / "scores", tmp_path / "sheet.png"
    assert evaluate(runs, out, "--out-of-fold", "--sheet", sheet) == 0
    told = capsys.readouterr()
    assert told.err.startswith("skipped: unet-bce") and len(told.err.splitlines()) == 1
    assert sheet.read_bytes().startswith(b"\x89PNG")
    with open(out / "per_patient.csv", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [row["patient"] for row in sorted(table, key=lambda row: row["patient"])] == [
        ref.patient_id for ref in REFS
    ]
    assert all(row["fold"] == str(fold_of(row["patient"])) for row in table)
    text = (out / "report.md").read_text()
    assert text in told.out and "Not a fair test" not in text
    assert "15 patients (out of fold: each patient by the run that had left their fold out)" in text
    note = json.loads((out / "summary.json").read_text())["note"]
    assert note.startswith("Thresholds (and fusion weights) of unet-dice (fold 0, 1, 2, 3, 4)")
    assert note in text

    assert evaluate(runs, tmp_path / "again", "--out-of-fold", "--against", out) == 0
    assert f"largest difference in mean Dice from {out}: 0.0000" in capsys.readouterr().out


def test_a_sheet_shows_the_run_without_the_patients_fold(trained, found, rows):
    for row in rows:
        if row["checkpoint"] in NAMES:
            predictor = out_of_fold.predictor_of(found, row)
            fold = fold_of(row["patient"])
            assert predictor.checkpoint.folder == folder_of(trained, row["checkpoint"], fold)


def test_what_does_not_go_together_is_refused(runs, tmp_path, capsys):
    assert evaluate(runs, tmp_path / "out", "--out-of-fold", "--study") == 1
    assert "--study goes with --fold" in capsys.readouterr().err
    assert evaluate(runs, tmp_path / "out", "--seed", "1") == 1
    assert "--seed goes with --out-of-fold" in capsys.readouterr().err
    for other in (("--fold", "1"), ("--all",), ("--patients", "list.txt")):
        with pytest.raises(SystemExit):
            evaluate(runs, tmp_path / "out", "--out-of-fold", *other)
    assert not (tmp_path / "out").exists()
