"""``train.py --unlabelled``: scans of strangers on the command line."""

import json
from dataclasses import replace

import numpy as np
import pytest

import train
from brainseg.checkpoints.patients import UNMASKED, standing
from brainseg.checkpoints.settings import read_settings
from brainseg.data import phantom
from brainseg.data.splits import fold_of
from brainseg.models.specs import MODELS
from brainseg.models.unet import UNet
from brainseg.scans.notes import noting

TESTED = next(f"phantom_{n:04}" for n in range(12) if fold_of(f"phantom_{n:04}") == 0)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    load, narrow = phantom.load, replace(MODELS["unet"], builder=lambda n, out: UNet(n, 8, out))
    monkeypatch.setattr(phantom, "load", lambda path=None: load(path, size=32, slices=4))
    monkeypatch.setitem(MODELS, "unet", narrow)


@pytest.fixture
def scans(tmp_path):
    """Two strangers' scans with masks beside them, and one of a patient who is tested on."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for seed, name in ((50, "stranger_a"), (51, "phantom_0051"), (52, TESTED)):
        case = phantom.make_case(seed, size=32, slices=4)
        np.save(folder / f"{name}.npy", case.scan.pixels)
        np.save(folder / f"{name}_mask.npy", case.mask.astype(np.uint8))
    return folder


def main(tmp_path, runs, *flags):
    return train.main([
        "--model", "unet", "--dataset", "phantom", "--size", "32", "--epochs", "1", "--no-test",
        "--batch-size", "4", "--cpu", "--precision", "no", "--semi", "fixmatch",
        "--set", "limit_patients=12", "sure=0.5", "semi_ramp=0",
        "--cache", str(tmp_path / "cache"), "--runs", str(tmp_path / runs), *flags,
    ])  # fmt: skip


def run_in(tmp_path, runs):
    (folder,) = (tmp_path / runs / "phantom" / "unet-bce").iterdir()
    return folder


def test_scans_without_masks_teach_and_masks_beside_them_do_not(tmp_path, scans):
    given = ["--unlabelled", str(scans)]
    with noting() as notes:
        assert main(tmp_path, "told", *given) == 0
    (said,) = [text for text in notes if "tested on" in text]
    assert said.startswith("1 of 3 scans of --unlabelled are left out") and TESTED in said
    told = run_in(tmp_path, "told")
    settings = read_settings(told / "config.json")
    assert settings.patients["unlabelled"] == 2
    assert standing(settings, "phantom", "phantom_0051") == UNMASKED
    assert standing(settings, "phantom", TESTED) == ""
    assert told.name == f"without0+1-seed0-fixmatch-and-{settings.run.unlabelled[:8]}"

    for mask in scans.glob("*_mask.npy"):
        mask.unlink()
    assert main(tmp_path, "deleted", *given) == 0
    deleted = run_in(tmp_path, "deleted")
    assert deleted.name == told.name
    weights = [(folder / "model.safetensors").read_bytes() for folder in (told, deleted)]
    assert weights[0] == weights[1]

    np.save(scans / "stranger_a.npy", phantom.make_case(60, size=32, slices=4).scan.pixels)
    assert main(tmp_path, "others", *given) == 0
    other = run_in(tmp_path, "others")
    assert other.name != told.name
    assert (other / "model.safetensors").read_bytes() != weights[0]


def test_a_picture_of_who_is_tested_on_is_known_under_any_name(tmp_path, scans):
    (ref,) = [ref for ref in phantom.load() if ref.patient_id == TESTED]
    np.save(scans / "nobody.npy", ref.read().scan.pixels)
    with noting() as notes:
        assert main(tmp_path, "told", "--unlabelled", str(scans)) == 0
    (said,) = [text for text in notes if "tested on" in text]
    assert said.startswith("2 of 4 scans") and "nobody" in said and "stranger" not in said


def test_a_run_goes_on_with_the_scans_it_began_with(tmp_path, scans, capsys):
    given = ["--unlabelled", str(scans)]
    assert main(tmp_path, "first", *given) == 0
    config = run_in(tmp_path, "first") / "config.json"
    again = ["--config", str(config)]
    assert main(tmp_path, "second", *again) == 1
    assert "give them by --unlabelled" in capsys.readouterr().err
    assert main(tmp_path, "third", *again, *given) == 0
    told = json.loads(config.read_text())["brainseg"]
    assert run_in(tmp_path, "third").name == config.parent.name
    assert told["run"]["unlabelled"] and told["run"]["semi"] == "fixmatch"


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--unlabelled", "nowhere"], "--unlabelled nowhere is no folder"),
        (["--plan", "docs/study/plan.toml", "--unlabelled", "."], "does not go with --plan"),
    ],
)
def test_what_does_not_go_is_said(flags, sentence, capsys):
    assert train.main(flags) == 2
    assert sentence in capsys.readouterr().err
