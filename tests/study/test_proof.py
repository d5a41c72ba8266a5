"""Int8 is proven on patients whom the checkpoint may look at, and from whom no range is taken."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from brainseg.__main__ import main
from brainseg.checkpoints.folder import read_checkpoint, replace_settings
from brainseg.checkpoints.ranges import RangesError, has_proven, read_ranges
from brainseg.config import Config
from brainseg.data.case import CaseRef, DataError
from brainseg.data.phantom import load
from brainseg.data.splits import fold_of
from brainseg.inference import quantising
from brainseg.study import proof

pytest.importorskip("openvino")


def refs(count, name="p"):
    return [CaseRef(f"{name}{i:03}", f"{name}{i:03}", (), lambda: None) for i in range(count)]


def run(**settings):
    config = Config(model="unet", encoder_weights=None, **settings)
    return SimpleNamespace(name=config.name, settings=SimpleNamespace(run=config))


def ids(cases):
    return {ref.patient_id for ref in cases}


def test_nobody_of_the_test_fold_and_all_who_were_watched():
    everyone = {"lgg": refs(60), "figshare": refs(90, "f")}
    training, proving, role = proof.choose_patients(run(left_out=(2, 3)), everyone)
    assert role == "validation"
    for dataset, cases in everyone.items():
        watched = {ref.patient_id for ref in cases if fold_of(ref.patient_id) == 3}
        assert ids(proving[dataset]) == watched
    assert {fold_of(patient) for patient in ids(training)} == {0, 1, 4}
    assert {patient[0] for patient in ids(training)} == {"p", "f"}


def test_who_watched_nobody_is_proven_on_training_patients_without_ranges_from_them():
    training, proving, role = proof.choose_patients(run(left_out=(2,)), {"lgg": refs(60)})
    assert role == "training" and not ids(training) & ids(proving["lgg"])
    assert ids(training) | ids(proving["lgg"]) == {
        ref.patient_id for ref in refs(60) if fold_of(ref.patient_id) != 2
    }


def test_who_was_trained_with_a_mistake_on_purpose_is_not_proven():
    with pytest.raises(DataError, match=r"--leak slices.*not quantised"):
        proof.choose_patients(run(left_out=(2, 3), leak="slices"), {"lgg": refs(60)})


def test_many_training_cases_are_thinned_evenly():
    training, _, _ = proof.choose_patients(run(left_out=(0, 1)), {"lgg": refs(900)})
    assert proof.CALIBRATION_CASES / 2 < len(training) <= proof.CALIBRATION_CASES


def test_too_few_patients_are_said_to_be():
    others = [ref for ref in refs(40) if fold_of(ref.patient_id) != 3]
    with pytest.raises(DataError, match="0 validation patients of lgg"):
        proof.choose_patients(run(left_out=(2, 3)), {"lgg": others})


@pytest.mark.parametrize(
    ("expected", "found", "told"),
    [
        ([0.5, 0.7, 0.9], [0.51, 0.68, 0.9], (0.7, -0.01 / 3, 0.02)),
        ([0.5, np.nan], [0.5, np.nan], (0.5, 0, 0)),  # nothing there, nothing marked, by both
        ([0.5, np.nan], [0.5, 0.0], (0.5, -0.25, 1)),  # by one of them
        ([np.nan], [np.nan], (np.nan, np.nan, np.nan)),
    ],
)
def test_changes_are_as_worked_by_hand(expected, found, told):
    named = [dict(zip("abc", values, strict=False)) for values in (expected, found)]
    np.testing.assert_allclose(proof.compared(*named), told, atol=1e-12)


# ---------------------------------------------------------------- from data to a proof


@pytest.fixture(autouse=True)
def any_processor(monkeypatch):
    """As on a processor with instructions for int8."""
    monkeypatch.setattr(proof, "has_int8", lambda: True)


@pytest.fixture
def checkpoint(random_checkpoints, tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINSEG_CACHE", str(tmp_path / "cache"))
    copied = shutil.copytree(random_checkpoints, tmp_path / "checkpoints")
    found = read_checkpoint(copied / "unet-bce")
    replace_settings(found, replace(found.settings, dataset="phantom"))
    return read_checkpoint(found.folder)


@pytest.fixture
def few(monkeypatch):
    """A handful of small phantoms of each fold that matters."""
    from brainseg.data.phantom import make_case

    found = {}
    for ref in load(None):
        found.setdefault(fold_of(ref.patient_id), []).append(ref.patient_id)

    def small(patient, seed):
        def read():
            case = make_case(seed, "large", size=64, slices=6)
            return replace(case, patient_id=patient)

        return CaseRef(patient, patient, (), read)

    chosen = [*found[1][:2], *found[2][:2], *found[3][:1]]
    return {"phantom": [small(patient, seed) for seed, patient in enumerate(chosen)]}


def test_where_int8_cannot_run_nothing_is_proven(checkpoint, few, monkeypatch):
    monkeypatch.setattr(proof, "has_int8", lambda: False)
    with pytest.raises(RangesError, match="no instructions for int8"):
        proof.quantise(checkpoint, few)
    monkeypatch.undo()
    with pytest.raises(DataError, match="some of its patients only"):
        proof.choose_patients(run(left_out=(0, 1), labelled=4), {"lgg": refs(60)})


def test_without_nncf_it_says_what_to_install(checkpoint, few, monkeypatch):
    monkeypatch.setattr(quantising, "find_spec", lambda name: None)
    with pytest.raises(RangesError, match="pip install nncf"):
        proof.quantise(checkpoint, few)
    assert not has_proven(checkpoint)


def test_a_checkpoint_is_quantised_and_its_proof_is_true(checkpoint, few, monkeypatch):
    pytest.importorskip("nncf")
    monkeypatch.setattr("brainseg.checkpoints.ranges.LARGEST_MEAN_CHANGE", 1)
    monkeypatch.setattr("brainseg.checkpoints.ranges.LARGEST_CHANGE", 1)
    told = []
    found = proof.quantise(checkpoint, few, told.append)
    assert found.holds and found.role == "validation" and found.patients == 1
    assert found.int8_share == 1 and len(told) == 2  # the first attempt was good enough
    ranges, kept = read_ranges(checkpoint)
    assert kept == found and ranges.activations
    in_int8 = proof._predictor(checkpoint)
    in_int8.use("it", quantising.run_of(checkpoint, ranges))
    val = {"phantom": [r for r in few["phantom"] if fold_of(r.patient_id) == 1]}
    val = proof._halves(val)[1]
    again = proof.compared(
        proof._dice(proof._predictor(checkpoint), val), proof._dice(in_int8, val)
    )
    assert again == (kept.mean_dice, kept.mean_change, kept.largest_change)
    assert 0 < kept.largest_change < 0.2


def test_layers_are_left_out_until_it_holds_or_is_not_worth_it(checkpoint, few, monkeypatch):
    pytest.importorskip("nncf")
    changes = iter([0.05, 0.02, 0.002, 0.003])
    monkeypatch.setattr(proof, "compared", lambda *_: (0.8, 0.0, next(changes)))
    told = []
    found = proof.quantise(checkpoint, few, told.append)
    assert found.holds and len(told) == 4 and 0.5 <= found.int8_share < 1
    assert found.largest_change == 0.003  # of those who did not choose
    shares = [float(text.partition("with ")[2].partition("%")[0]) for text in told]
    assert shares == sorted(shares, reverse=True)
    monkeypatch.setattr(proof, "compared", lambda *_: (0.8, 0.0, 0.05))
    assert not proof.quantise(checkpoint, few).holds
    with pytest.raises(RangesError, match="does not hold"):
        read_ranges(checkpoint)


def test_those_who_prove_it_are_looked_at_once(checkpoint, few, monkeypatch):
    pytest.importorskip("nncf")
    changes = iter([0.05, 0.002, 0.05])
    monkeypatch.setattr(proof, "compared", lambda *_: (0.8, 0.0, next(changes)))
    found = proof.quantise(checkpoint, few)
    assert not found.holds and next(changes, None) is None and not has_proven(checkpoint)


def test_nobody_both_chooses_and_proves():
    halves = proof._halves({"lgg": [*refs(9), *refs(9)], "figshare": refs(4, "f")})
    assert [len(half["figshare"]) for half in halves] == [2, 2]
    own = [ids(half["lgg"]) for half in halves]
    assert not own[0] & own[1] and own[0] | own[1] == ids(refs(9))


def test_a_stack_that_changes_by_its_bases_in_int8_is_proven_on_bases_in_float32(
    checkpoint, monkeypatch
):
    base, stack = (replace(checkpoint.settings, name=name) for name in ("base", "stack"))
    base = SimpleNamespace(name="base", bases=(), settings=base)
    stack = SimpleNamespace(name="stack", bases=(base,), settings=stack, folder=checkpoint.folder)
    read = []
    fake = SimpleNamespace(planes=lambda slices: np.zeros((1, 1)), size=64, use=lambda *_: None)
    monkeypatch.setattr(
        proof, "_predictor", lambda _, int8_bases=(): read.append([*int8_bases]) or fake
    )
    monkeypatch.setattr(proof, "choose_patients", lambda *_: ([], {}, "validation"))
    monkeypatch.setattr(proof, "_some_slices", lambda *_: [None])
    monkeypatch.setattr(proof, "find_base", lambda _, one: one)
    monkeypatch.setattr(proof, "has_proven", lambda one: True)
    monkeypatch.setattr(proof, "ranges_sha256", lambda one: f"that of {one.name}")
    monkeypatch.setattr(proof, "calibrate", lambda *_: None)
    monkeypatch.setattr(proof, "run_of", lambda *_: None)
    monkeypatch.setattr(proof, "candidates", lambda *_: iter([(None, 1.0), (None, 0.8)]))
    monkeypatch.setattr(proof, "_dice", lambda *_: {"a": 0.5})
    monkeypatch.setattr(proof, "write_ranges", lambda *_: None)
    monkeypatch.setattr(proof, "compared", lambda *_: (0.5, 0.0, 0.02 if read[-1] else 0.001))
    found = proof.quantise(stack, {})
    assert read == [[], ["base"], []]
    assert found.holds and found.int8_bases == () and found.int8_share == 1.0
    monkeypatch.setattr(proof, "compared", lambda *_: (0.5, 0.0, 0.001))
    assert proof.quantise(stack, {}).int8_bases == (("base", "that of base"),)


def test_the_command_says_what_came_of_it(checkpoint, few, monkeypatch, capsys):
    outcome = proof.Proof("validation", 20, 0.78, -0.0001, 0.004, "bf16", 159, 0.93)
    monkeypatch.setattr(proof, "quantise", lambda checkpoint, refs, tell: outcome)
    command = ["quantise", "unet-bce", "--checkpoints", str(checkpoint.folder.parent)]
    assert main(command) == 0
    assert "unet-bce may run on openvino-int8" in capsys.readouterr().out
    outcome = replace(outcome, largest_change=0.02)
    assert main(command) == 1
    assert "keeps bf16 or float32" in capsys.readouterr().out
