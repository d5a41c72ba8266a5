"""What the command says of scans that show no head, and of what reading them assumed."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from brainseg.__main__ import main
from brainseg.checkpoints.folder import read_checkpoint, replace_settings
from brainseg.checkpoints.patients import patient_hash
from brainseg.study.effects import EFFECTS


@pytest.fixture(scope="module")
def one_model(random_checkpoints, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    shutil.copytree(random_checkpoints / "unet-bce", folder / "unet-bce")
    return folder


@pytest.fixture
def predict(one_model, tmp_path):
    def run(*args):
        common = ["--checkpoints", one_model, "--out", tmp_path / "out"]
        return main(["predict", *map(str, [*args, *common])])

    return run


@pytest.fixture
def head(tmp_path, phantom_case):
    path = tmp_path / "head.png"
    Image.fromarray(phantom_case.scan.pixels[3, ..., 1]).save(path)
    return path


NO_HEADS = {
    "black": (np.zeros((64, 64), np.uint8), "one shade of grey"),
    "constant": (np.full((64, 64), 90, np.uint8), "one shade of grey"),
    "dot": (np.full((1, 1), 90, np.uint8), "1 x 1 pixels"),
    "strip": (np.tile(np.arange(200, dtype=np.uint8), (15, 1)), "200 x 15 pixels"),
    "photo": (np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8), "not a brain MRI"),
}


@pytest.mark.parametrize("name", NO_HEADS)
def test_what_shows_no_head_is_refused_and_the_others_go_on(predict, head, tmp_path, capsys, name):
    pixels, words = NO_HEADS[name]
    path = tmp_path / f"{name}.png"
    Image.fromarray(pixels).save(path)
    assert predict(path, head) == 1
    assert [folder.name for folder in (tmp_path / "out").iterdir()] == ["head"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and f"{name}.png" in line and words in line
    assert "--anyway" in line


@pytest.mark.parametrize("name", NO_HEADS)
def test_anyway_segments_it_and_keeps_what_was_found(predict, tmp_path, capsys, name):
    pixels, words = NO_HEADS[name]
    path = tmp_path / f"{name}.png"
    Image.fromarray(pixels).save(path)
    assert predict(path, "--anyway") == 0
    folder = tmp_path / "out" / name
    with Image.open(folder / "unet-bce.png") as mask:
        assert mask.size == pixels.shape[::-1]
    (finding, *_) = json.loads((folder / "scores.json").read_text())["findings"]
    told = capsys.readouterr()
    assert words in finding and f"  note: {finding}" in told.out.splitlines() and not told.err


def test_hints_and_what_reading_assumed_are_told_and_kept(predict, tmp_path, phantom_case, capsys):
    path = tmp_path / "a.npy"
    np.save(path, phantom_case.scan.pixels[:3, ..., 1])
    assert predict(path) == 0
    findings = json.loads((tmp_path / "out" / "a" / "scores.json").read_text())["findings"]
    assert "One sequence stands for all three" in findings[0]
    assert EFFECTS["one sequence"] in findings[0]  # as the page tells it
    assert "(3, 64, 64)" in findings[1] and "3 slices" in findings[1]
    told = capsys.readouterr().out.splitlines()
    assert [f"  note: {text}" for text in findings] == told[1:3]


def test_a_patient_whom_the_model_was_trained_on_is_told(
    predict, one_model, head, tmp_path, monkeypatch, capsys
):
    checkpoint = read_checkpoint(one_model / "unet-bce")
    hashes = {"train": (patient_hash("lgg", "TCGA_CS_4941_19960909"),), "watched": ()}
    replace_settings(checkpoint, replace(checkpoint.settings, patient_hashes=hashes))
    try:
        known = shutil.copy(head, tmp_path / "TCGA_CS_4941_19960909_3.png")
        assert predict(known) == predict(head) == 0
    finally:
        replace_settings(checkpoint, checkpoint.settings)
    told = capsys.readouterr().out
    assert told.count("on whom unet-bce was trained") == 1


def test_what_a_folder_names_like_a_mask_is_left_out_and_said(predict, head, tmp_path, capsys):
    folder = tmp_path / "scans"
    folder.mkdir()
    shutil.copy(head, folder / "a.png")
    shutil.copy(head, folder / "a_seg.png")
    assert predict(folder) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
    assert "left out as masks by their names: a_seg.png" in capsys.readouterr().out
    (folder / "a.png").unlink()
    assert predict(folder) == 0  # with nothing else there it is what is meant
