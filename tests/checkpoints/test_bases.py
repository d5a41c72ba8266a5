"""The bases of a stack are found beside it, and are the ones it was fitted on."""

import json
import shutil

import numpy as np
import pytest
from making import RESNET, network, write

from brainseg.checkpoints.folder import (
    Checkpoint,
    find_base,
    read_checkpoint,
)
from brainseg.checkpoints.settings import CheckpointError
from brainseg.inference.loading import load_all


def test_a_base_lies_beside_its_stack(random_checkpoints):
    stack = read_checkpoint(random_checkpoints / "unetpp-bce")
    for base, name in zip(stack.bases, (RESNET, "deeplabv3plus-resnet18-bce"), strict=True):
        found = find_base(stack, base)
        assert found.folder == random_checkpoints / name
        assert found.sha256() == base.sha256


@pytest.mark.parametrize("run", ["fold0-seed0", "fold0-seed0-image"])
def test_in_runs_a_base_is_the_run_of_the_same_fold_and_seed(random_checkpoints, tmp_path, run):
    shutil.copytree(random_checkpoints / "unetpp-bce", tmp_path / "unetpp-bce" / run)
    for seed in (0, 1):
        shutil.copytree(random_checkpoints / RESNET, tmp_path / RESNET / f"fold0-seed{seed}")
    stack = read_checkpoint(tmp_path / "unetpp-bce" / run)
    assert find_base(stack, stack.bases[0]).folder == tmp_path / RESNET / "fold0-seed0"


def test_a_base_with_other_weights_is_refused(random_checkpoints, tmp_path):
    root = shutil.copytree(random_checkpoints, tmp_path / "all")
    write(root / RESNET, network("unet_resnet34", "resnet18"), name=RESNET, model="unet_resnet34",
          encoder="resnet18")  # fmt: skip
    stack = read_checkpoint(root / "unetpp-bce")
    with pytest.raises(CheckpointError, match="other weights") as error:
        find_base(stack, stack.bases[0])
    assert str(root / RESNET) in str(error.value) and str(stack.folder) in str(error.value)
    assert find_base(stack, stack.bases[1]).name == "deeplabv3plus-resnet18-bce"
    predictors, skipped = load_all(root)
    assert "unetpp-bce" not in predictors and len(predictors) == 3
    assert len(skipped) == 1 and "other weights" in skipped[0]


def test_a_base_of_another_size_is_refused(random_checkpoints, tmp_path):
    root = shutil.copytree(random_checkpoints, tmp_path / "all")
    config = json.loads((root / RESNET / "config.json").read_text())
    config["brainseg"]["preprocessing"]["size"] *= 2
    (root / RESNET / "config.json").write_text(json.dumps(config))
    stack = read_checkpoint(root / "unetpp-bce")
    with pytest.raises(CheckpointError, match=r"takes 64 px .* 128"):
        find_base(stack, stack.bases[0])


def test_a_base_replaced_while_a_program_runs_is_refused_too(random_checkpoints, tmp_path):
    root = shutil.copytree(random_checkpoints, tmp_path / "all")
    assert len(load_all(root)[0]) == 4  # and kept in memory
    write(root / RESNET, network("unet_resnet34", "resnet18"), name=RESNET, model="unet_resnet34",
          encoder="resnet18")  # fmt: skip
    predictors, skipped = load_all(root)
    assert "unetpp-bce" not in predictors and "other weights" in skipped[0]


def test_a_stack_that_reads_itself_hides_no_other_model(random_checkpoints, tmp_path):
    root = shutil.copytree(random_checkpoints, tmp_path / "all")
    config = root / "unetpp-bce" / "config.json"
    text = json.loads(config.read_text())
    (part,) = (part for part in text.values() if isinstance(part, dict) and "bases" in part)
    sha256 = read_checkpoint(root / "unetpp-bce").sha256()
    part["bases"][0] = {"name": "unetpp-bce", "sha256": sha256}
    config.write_text(json.dumps(text))
    predictors, skipped = load_all(root)
    assert len(predictors) == 3 and "itself reads others" in skipped[0]


def test_a_missing_base_is_named(random_checkpoints, tmp_path):
    shutil.copytree(random_checkpoints / "unetpp-bce", tmp_path / "unetpp-bce")
    stack = read_checkpoint(tmp_path / "unetpp-bce")
    with pytest.raises(CheckpointError, match=RESNET):
        find_base(stack, stack.bases[0])


def test_a_checkpoint_without_bases_has_none(random_checkpoints):
    one = read_checkpoint(random_checkpoints / "unet-bce")
    assert isinstance(one, Checkpoint) and one.bases == () and one.name == "unet-bce"
    assert np.isclose(one.settings.threshold, 0.5)
