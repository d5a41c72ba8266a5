"""Checkpoint folders: the same network back, copied whole, and found below a folder."""

import hashlib
import os
import shutil
import time
from dataclasses import replace

import pytest
import torch
from making import RESNET, damaged, network, no_leftovers, write

from brainseg.checkpoints.folder import (
    copy_checkpoint,
    file_stem,
    find_checkpoints,
    find_named,
    labelled,
    load_module,
    read_checkpoint,
    replace_settings,
)
from brainseg.checkpoints.settings import CheckpointError
from brainseg.models.specs import MODELS


def outputs(module, channels=3):
    x = torch.randn(2, channels, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return torch.sigmoid(module(x))


@pytest.mark.parametrize("model", MODELS)
def test_every_model_comes_back_with_the_same_outputs(model, tmp_path):
    encoder = None if MODELS[model].encoder is None else "resnet18"
    module = network(model, encoder)
    channels = 2 if MODELS[model].is_stack else 3
    bases = [{"name": name, "sha256": ""} for name in ("one", "two")] if channels == 2 else []
    saved = write(tmp_path / "it", module, model=model, encoder=encoder, bases=bases)
    back = load_module(read_checkpoint(tmp_path / "it"))
    assert not back.training
    assert all(p.dtype == torch.float32 and p.device.type == "cpu" for p in back.parameters())
    torch.testing.assert_close(
        outputs(back, channels), outputs(module, channels), atol=5e-3, rtol=0
    )
    # What is lost is the rounding to half precision and nothing else.
    module.half().float()
    torch.testing.assert_close(outputs(back, channels), outputs(module, channels))
    weights = tmp_path / "it/model.safetensors"
    assert saved.sha256() == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert no_leftovers(tmp_path)
    for age_s in (0, 100, 100):  # as a file that may change again at once, and as an old one
        weights.write_bytes(weights.read_bytes() + b" ")
        then = time.time() - age_s
        os.utime(weights, (then, then))
        assert saved.sha256() == hashlib.sha256(weights.read_bytes()).hexdigest()


@pytest.mark.parametrize("inputs", ["predictions", "predictions+image"])
def test_a_stack_comes_back_with_as_many_inputs_as_it_had(inputs, tmp_path):
    bases = ["one", "two", "three"]
    module = network("unetpp", "resnet18", bases=bases, stack_inputs=inputs)
    channels = 3 + 3 * (inputs == "predictions+image")
    entries = [{"name": name, "sha256": ""} for name in bases]
    changes = {"model": "unetpp", "encoder": "resnet18", "stack_inputs": inputs, "bases": entries}
    back = load_module(write(tmp_path / "it", module, **changes))
    assert outputs(back, channels).shape == (2, 1, 64, 64)


@pytest.mark.parametrize(
    "dice, found",
    [("0.8", 0.8), ("0", 0.0), ("NaN", None), ("-1", None), ("1.5", None), ('"x"', None)],
)
def test_a_validation_dice_that_is_none_is_not_believed(random_checkpoints, tmp_path, dice, found):
    folder = damaged(tmp_path, random_checkpoints / "unet-bce")
    (folder / "metrics.json").write_text(f'{{"validation": {{"mean_dice": {dice}}}}}')
    assert read_checkpoint(folder).validation_dice == found


def test_weights_are_half_precision_and_counters_keep_their_type(random_checkpoints):
    from safetensors.torch import load_file

    state = load_file(random_checkpoints / "unet-bce" / "model.safetensors")
    types = {value.dtype for value in state.values()}
    assert types == {torch.float16, torch.int64}


@pytest.mark.parametrize("name", [RESNET, "deeplabv3plus-resnet18-bce", "unetpp-bce"])
def test_smp_loads_the_folder_too(random_checkpoints, name):
    smp = pytest.importorskip("segmentation_models_pytorch")
    ours = load_module(read_checkpoint(random_checkpoints / name))
    theirs = smp.from_pretrained(str(random_checkpoints / name)).eval()
    assert type(theirs) is type(ours)
    channels = 2 if name == "unetpp-bce" else 3
    torch.testing.assert_close(outputs(theirs, channels), outputs(ours, channels))


def test_smp_loads_a_timm_encoder_too(tmp_path):
    # Those take no keyword that they do not know, so whatever is ours must not reach them.
    smp = pytest.importorskip("segmentation_models_pytorch")
    module = network("unet_resnet34", "tu-resnet18")
    write(tmp_path / "it", module, model="unet_resnet34", encoder="tu-resnet18")
    ours = load_module(read_checkpoint(tmp_path / "it"))
    theirs = smp.from_pretrained(str(tmp_path / "it")).eval()
    torch.testing.assert_close(outputs(theirs), outputs(ours))


def test_a_second_save_replaces_the_first(tmp_path):
    module = network("unet", None)
    write(tmp_path / "it", module, threshold=0.3)
    (tmp_path / "it" / "state.safetensors").write_bytes(b"to resume from")
    with torch.no_grad():
        module.head.bias += 1
    assert write(tmp_path / "it", module, threshold=0.4).settings.threshold == 0.4
    torch.testing.assert_close(
        load_module(read_checkpoint(tmp_path / "it")).head.bias, module.head.bias, atol=1e-3, rtol=0
    )
    assert (tmp_path / "it" / "state.safetensors").read_bytes() == b"to resume from"


def test_a_copy_has_the_checkpoint_and_nothing_else(random_checkpoints, tmp_path):
    source = damaged(tmp_path, random_checkpoints / "unet-bce")
    (source / "state.safetensors").write_bytes(b"to resume from")
    copy_checkpoint(read_checkpoint(source), tmp_path / "there" / "unet-bce")
    names = {path.name for path in (tmp_path / "there" / "unet-bce").iterdir()}
    assert names == {
        "model.safetensors", "config.json", "metrics.json", "history.csv", "README.md"
    }  # fmt: skip
    copied = read_checkpoint(tmp_path / "there" / "unet-bce")
    assert copied.sha256() == read_checkpoint(source).sha256()
    assert no_leftovers(tmp_path)


def test_all_below_a_folder_are_found_and_the_rest_has_reasons(random_checkpoints, tmp_path):
    shutil.copytree(random_checkpoints / "unet-bce", tmp_path / "b" / "deep" / "run")
    shutil.copytree(random_checkpoints / RESNET, tmp_path / "a")
    (tmp_path / "notes").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "config.json").write_text("{}")
    broken = shutil.copytree(random_checkpoints / RESNET, tmp_path / "broken")
    (broken / "model.safetensors").unlink()
    found, skipped = find_checkpoints(tmp_path)
    assert [c.name for c in found] == ["unet-bce", RESNET]  # by name
    assert len(skipped) == 2
    assert any("foreign" in reason for reason in skipped)
    assert any("broken" in reason and "model.safetensors" in reason for reason in skipped)


def test_the_folder_may_itself_be_the_checkpoint(random_checkpoints):
    found, skipped = find_checkpoints(random_checkpoints / "unet-bce")
    assert [c.name for c in found] == ["unet-bce"] and skipped == []


def test_no_folder_to_look_in(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere"):
        find_checkpoints(tmp_path / "nowhere")
    assert find_checkpoints(tmp_path) == ([], [])


def test_checkpoints_are_named_by_their_names_or_folders(random_checkpoints, tmp_path):
    one, other = random_checkpoints / "unet-bce", random_checkpoints / "unetpp-bce"
    found = find_named(["unet-bce", str(other)], random_checkpoints)
    assert [checkpoint.folder for checkpoint in found] == [one, other]
    assert one in [checkpoint.folder for checkpoint in find_named([], random_checkpoints)]
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        find_named([], tmp_path)
    with pytest.raises(CheckpointError, match="is not a checkpoint folder"):
        find_named(["unet"], tmp_path)


def test_labels_are_names_or_where_these_repeat_paths(random_checkpoints, tmp_path):
    for folder in ("a/one", "a/two", "b"):
        name = RESNET if folder == "b" else "unet-bce"
        shutil.copytree(random_checkpoints / name, tmp_path / folder)
    found, skipped = labelled(tmp_path)
    assert {label: c.folder for label, c in found.items()} == {
        "a/one": tmp_path / "a" / "one", "a/two": tmp_path / "a" / "two", RESNET: tmp_path / "b",
    }  # fmt: skip
    assert skipped == [] and file_stem("a/one") == "a_one" and file_stem(RESNET) == RESNET
    helper = read_checkpoint(tmp_path / "a" / "two")
    run = replace(helper.settings.run, left_out=(0, 2), watch=False)
    replace_settings(helper, replace(helper.settings, run=run))
    assert set(labelled(tmp_path)[0]) == {"unet-bce", RESNET}  # no name repeats any longer
