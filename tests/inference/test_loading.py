"""Models by name or folder, and what importing brainseg brings."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from stand_ins import BASES, MODELS

import brainseg
from brainseg.checkpoints.settings import CheckpointError
from brainseg.inference.loading import load, load_all


def test_what_is_remembered_runs_without_torch(random_checkpoints, tmp_path):
    pytest.importorskip("openvino")
    root = shutil.copytree(random_checkpoints, tmp_path / "all")
    code = """
import sys
from unittest.mock import patch
from brainseg.inference import predictor
from brainseg.inference.backends import fastest
from brainseg.inference.loading import load_usable
known = fastest.Choice("openvino", {"openvino": 1.0}, {"openvino": 0.0})
with patch.object(fastest, "remembered", lambda checkpoint: known):
    predictors, skipped = load_usable(sys.argv[1], "auto")
    assert len(predictors) == 4 and not skipped
    scan = predictor.example_scan()
    assert len(list(predictor.predict_all(scan, predictors))) == 9
print("torch" in sys.modules)
"""
    printed = []
    for _ in range(2):  # the first time, graphs are exported
        command = [sys.executable, "-c", code, str(root)]
        cwd = Path(brainseg.__file__).parents[1]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
        printed.append(done.stdout.strip())
    assert printed == ["True", "False"]


def test_a_predictor_travels_as_its_checkpoint(random_checkpoints):
    stack = load("unetpp-bce", random_checkpoints)
    stack.read_weights()
    travelling = pickle.dumps(stack)
    assert len(travelling) < 10_000 and pickle.loads(travelling) is stack


def test_a_name_or_a_folder_gives_the_same_predictor(random_checkpoints):
    by_name = load("unet-bce", random_checkpoints)
    assert load(random_checkpoints / "unet-bce") is by_name
    assert isinstance(by_name.module, torch.nn.Module) and not by_name.module.training
    assert load("unetpp-bce", random_checkpoints).bases[0] is load(BASES[0], random_checkpoints)


def test_an_unknown_name_lists_the_known(random_checkpoints, tmp_path):
    with pytest.raises(CheckpointError, match="'unet-dice'") as error:
        load("unet-dice", random_checkpoints)
    assert all(name in str(error.value) for name in MODELS)
    with pytest.raises(CheckpointError, match="none found"):
        load("unet-dice", tmp_path / "nowhere")
    for path in ("../nowhere/unet-bce", "a/b/c/d"):  # which the Hub has no names for
        with pytest.raises(CheckpointError, match="expected a folder, user/repo/name on the Hub"):
            load(path, random_checkpoints)


def test_changed_weights_are_read_anew(random_checkpoints, tmp_path, save_random):
    folder = shutil.copytree(random_checkpoints / "unet-bce", tmp_path / "unet-bce")
    before = load(folder)
    weights = before.module.head.weight
    save_random(tmp_path, "unet", seed=9)
    after = load(folder)
    assert after is not before
    assert not torch.equal(after.module.head.weight, weights)


def test_names_that_repeat_are_told_apart_by_their_folders(random_checkpoints, tmp_path):
    for run in ("fold0-seed0", "fold0-seed1"):
        shutil.copytree(random_checkpoints / "unet-bce", tmp_path / "unet-bce" / run)
    shutil.copytree(random_checkpoints / BASES[0], tmp_path / "other")
    predictors, skipped = load_all(tmp_path)
    assert set(predictors) == {"unet-bce/fold0-seed0", "unet-bce/fold0-seed1", BASES[0]}
    assert skipped == []


def test_helpers_of_stacks_are_passed_over(random_checkpoints, tmp_path):
    folder = shutil.copytree(random_checkpoints / "unet-bce", tmp_path / "helper")
    config = json.loads((folder / "config.json").read_text())
    config["brainseg"]["run"] |= {"left_out": [0, 3], "watch": False}
    (folder / "config.json").write_text(json.dumps(config))
    assert load_all(tmp_path) == ({}, [])


def test_importing_brainseg_is_cheap():
    heavy = ("torch", "gradio", "SimpleITK", "segmentation_models_pytorch", "scipy", "cv2")
    code = f"import sys, brainseg; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(brainseg.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_there():
    for name in ("read_scan", "load", "compare", "create_model", "list_models", "Scan"):
        assert callable(getattr(brainseg, name)) and name in dir(brainseg)
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = brainseg.nothing_such
