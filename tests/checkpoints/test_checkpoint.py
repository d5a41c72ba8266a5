"""Checkpoint folders: the same network back, damage told by name, nothing half-written."""

import hashlib
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from brainseg.checkpoints import folder as checkpoints
from brainseg.checkpoints.folder import (
    Checkpoint,
    architecture_json,
    copy_checkpoint,
    file_stem,
    find_base,
    find_checkpoints,
    labelled,
    load_module,
    read_checkpoint,
    replace_settings,
    save_checkpoint,
)
from brainseg.checkpoints.settings import CheckpointError, settings_from_json
from brainseg.files import WriteError, replacing
from brainseg.inference.loading import load, load_all
from brainseg.models.building import create_model
from brainseg.models.specs import MODELS

SETTINGS = {
    "name": "unet-bce",
    "model": "unet",
    "loss": "bce",
    "encoder": None,
    "stack_inputs": "predictions",
    "preprocessing": {"version": "1", "size": 64},
    "threshold": 0.5,
    "run": {},
}
RESNET = "unet_resnet34-resnet18-bce"


def network(model, encoder, **kwargs):
    """A network with random weights and random normalisation statistics."""
    torch.manual_seed(0)
    module = create_model(model, encoder=encoder, **kwargs)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 2)
    return module.eval()


def write(folder, module, **changes):
    settings = settings_from_json({**SETTINGS, **changes})
    return save_checkpoint(folder, module.state_dict(), architecture_json(module), settings, {})


def outputs(module, channels=3):
    x = torch.randn(2, channels, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return torch.sigmoid(module(x))


def damaged(folder, source):
    """A copy to be damaged."""
    return shutil.copytree(source, folder / source.name)


def edit(folder, change):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def no_leftovers(folder):
    return not [path for path in folder.rglob("*") if path.name.startswith(".")]


# ---------------------------------------------------------------- there and back


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
    assert (
        saved.sha256()
        == hashlib.sha256((tmp_path / "it/model.safetensors").read_bytes()).hexdigest()
    )
    assert no_leftovers(tmp_path)


@pytest.mark.parametrize("inputs", ["predictions", "predictions+image"])
def test_a_stack_comes_back_with_as_many_inputs_as_it_had(inputs, tmp_path):
    bases = ["one", "two", "three"]
    module = network("unetpp", "resnet18", bases=bases, stack_inputs=inputs)
    channels = 3 + 3 * (inputs == "predictions+image")
    entries = [{"name": name, "sha256": ""} for name in bases]
    changes = {"model": "unetpp", "encoder": "resnet18", "stack_inputs": inputs, "bases": entries}
    back = load_module(write(tmp_path / "it", module, **changes))
    assert outputs(back, channels).shape == (2, 1, 64, 64)


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


def test_nothing_told_of_the_old_weights_stays_beside_the_new_ones(random_checkpoints, tmp_path):
    source = write(tmp_path / "untold", network("unet", None))  # no scores, history or card
    there = damaged(tmp_path, random_checkpoints / "unet-bce")
    for name in ("int8.json", "origin.json", "state.safetensors"):
        (there / name).write_text("{}")
    copy_checkpoint(source, there)
    assert {path.name for path in there.iterdir()} == {
        "model.safetensors", "config.json", "state.safetensors"
    }  # fmt: skip
    assert read_checkpoint(there).validation_dice is None
    assert read_checkpoint(there).sha256() == source.sha256()


def stop_after(moved, monkeypatch):
    """The disk is full once so many files have been moved into place."""
    real, calls = os.replace, []

    def move(source, target):
        calls.append(target)
        if len(calls) > moved:
            raise DiskFull("stopped")
        real(source, target)

    monkeypatch.setattr(checkpoints.os, "replace", move)


@pytest.mark.parametrize("moved", range(5))
def test_a_copy_that_is_stopped_leaves_no_old_scores(
    random_checkpoints, tmp_path, monkeypatch, moved
):
    there = damaged(tmp_path, random_checkpoints / "unet_resnet34-resnet18-bce")
    metrics = there / "metrics.json"
    metrics.write_text("old")
    stop_after(moved, monkeypatch)
    with pytest.raises(DiskFull):
        copy_checkpoint(read_checkpoint(random_checkpoints / "unet-bce"), there)
    assert not metrics.is_file() or metrics.read_text() != "old"


# ---------------------------------------------------------------- damage


ORIGIN = {
    "repo": "ada/nets",
    "revision": "ab" * 20,
    "asked": "main",
    "sha256": {"config.json": "c"},
}


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "null", "[]", "{}", "[" * 100_000, "\udcff",
        *(json.dumps({k: v for k, v in ORIGIN.items() if k != key}) for key in ORIGIN),
        *(json.dumps({**ORIGIN, key: 1}) for key in ORIGIN),
        json.dumps({**ORIGIN, "sha256": {"config.json": 1}}),
    ],
    ids=str.__len__,
)  # fmt: skip
def test_a_damaged_origin_is_none(random_checkpoints, tmp_path, text):
    folder = damaged(tmp_path, random_checkpoints / "unet-bce")
    (folder / "origin.json").write_text(json.dumps(ORIGIN))
    assert read_checkpoint(folder).origin == ORIGIN
    (folder / "origin.json").write_bytes(text.encode(errors="surrogateescape"))
    assert read_checkpoint(folder).origin is None


def test_no_such_folder(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere"):
        read_checkpoint(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_missing_file_is_named(random_checkpoints, tmp_path, name):
    folder = damaged(tmp_path, random_checkpoints / "unet-bce")
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=name) as error:
        read_checkpoint(folder)
    assert str(folder) in str(error.value)


def cut(data):
    return data[: len(data) // 2]


def cut_in_the_header(data):
    return data[:100]


def nothing(data):
    return b""


def pointer(data):
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 15551\n"


def pickle(data):
    return b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94."


@pytest.mark.parametrize("damage", [cut, cut_in_the_header, nothing, pointer, pickle])
def test_damaged_weights_are_named(random_checkpoints, tmp_path, damage):
    folder = damaged(tmp_path, random_checkpoints / RESNET)
    path = folder / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError) as error:
        load_module(read_checkpoint(folder))
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "unet", "encoder": None},
        {"model": "deeplabv3plus"},
        {"encoder": "resnet34"},
        {"encoder": "no-such-encoder"},
        {"model": "segformer"},
    ],
)
def test_weights_of_another_architecture_are_not_half_loaded(random_checkpoints, tmp_path, change):
    folder = damaged(tmp_path, random_checkpoints / RESNET)
    edit(folder, lambda config: config["brainseg"].update(change))
    with pytest.raises(CheckpointError) as error:
        load_module(read_checkpoint(folder))
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{not json",
        b"\x00\xff\xfe",
        b"[]",
        b"null",
        b'"brainseg"',
        b'{"_model_class": "Unet", "encoder_name": "resnet34"}',
        b'{"brainseg": null}',
        b'{"brainseg": 1}',
        b'{"brainseg": []}',
        b'{"brainseg": {}}',
        b'{"brainseg": "format name model encoder preprocessing threshold run"}',
    ],
)
def test_a_configuration_that_is_not_ours_is_named(random_checkpoints, tmp_path, content):
    folder = damaged(tmp_path, random_checkpoints / "unet-bce")
    (folder / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        read_checkpoint(folder)
    assert str(folder / "config.json") in str(error.value)


@pytest.mark.parametrize("key", ["name", "model", "encoder", "preprocessing", "threshold", "run"])
def test_a_configuration_that_lacks_a_part_names_it(random_checkpoints, tmp_path, key):
    folder = damaged(tmp_path, random_checkpoints / "unet-bce")
    edit(folder, lambda config: config["brainseg"].pop(key))
    with pytest.raises(CheckpointError, match=key) as error:
        read_checkpoint(folder)
    assert str(folder / "config.json") in str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("preprocessing", {"version": "1"}),
        ("preprocessing", None),
        ("threshold", None),
        ("run", None),
        ("bases", [{"name": "unet-bce"}]),
        ("started_from", {"name": "unet-bce", "dataset": "lgg", "epochs": "30"}),
        ("started_from", None),
    ],
)
def test_a_configuration_with_a_part_that_cannot_be_used(random_checkpoints, tmp_path, key, value):
    good = damaged(tmp_path, random_checkpoints / RESNET)
    folder = damaged(tmp_path, random_checkpoints / "unet-bce")
    edit(folder, lambda config: config["brainseg"].update({key: value}))
    with pytest.raises(CheckpointError) as error:
        load(folder)
    assert str(folder) in str(error.value)
    predictors, skipped = load_all(tmp_path)  # the others are not hidden by it
    assert list(predictors) == [good.name] and len(skipped) == 1


def test_a_format_of_the_future(random_checkpoints, tmp_path):
    folder = damaged(tmp_path, random_checkpoints / "unet-bce")
    edit(folder, lambda config: config["brainseg"].update(format=2))
    with pytest.raises(CheckpointError, match=r"format 2.*Update brainseg") as error:
        read_checkpoint(folder)
    assert str(folder / "config.json") in str(error.value)


# ---------------------------------------------------------------- finding them


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


# ---------------------------------------------------------------- a stack's bases


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


# ---------------------------------------------------------------- in one piece or not at all


class DiskFull(OSError):
    pass


def fail(*args, **kwargs):
    raise DiskFull("No space left on device")


@pytest.fixture
def module():
    return network("unet", None)


def test_a_save_that_fails_leaves_the_old_checkpoint(tmp_path, module, monkeypatch):
    before = write(tmp_path / "it", module)
    files = {path.name: path.read_bytes() for path in before.folder.iterdir()}
    monkeypatch.setattr("safetensors.torch.save_file", fail)
    with pytest.raises((WriteError, DiskFull)):
        write(tmp_path / "it", module, threshold=0.1)
    assert {path.name: path.read_bytes() for path in before.folder.iterdir()} == files
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_a_first_save_that_fails_leaves_nothing_that_looks_complete(tmp_path, module, monkeypatch):
    monkeypatch.setattr("safetensors.torch.save_file", fail)
    with pytest.raises((WriteError, DiskFull)):
        write(tmp_path / "it", module)
    assert find_checkpoints(tmp_path) == ([], [])
    assert no_leftovers(tmp_path)


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_a_save_stopped_between_two_files_is_no_checkpoint(tmp_path, module, monkeypatch, moved):
    write(tmp_path / "it", module)
    stop_after(moved, monkeypatch)
    with pytest.raises((WriteError, DiskFull)):
        settings = settings_from_json({**SETTINGS, "threshold": 0.1})
        save_checkpoint(tmp_path / "it", module.state_dict(), {}, settings, {"a.txt": "a"})
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_checkpoint(tmp_path / "it")


def test_what_a_killed_save_leaves_is_no_checkpoint(tmp_path, module, monkeypatch):
    # SIGKILL: everything is written aside, nothing is moved yet, and nothing cleans up.
    monkeypatch.setattr(checkpoints, "_move_files", fail)
    monkeypatch.setattr(checkpoints.shutil, "rmtree", lambda *args, **kwargs: None)
    with pytest.raises((WriteError, DiskFull)):
        write(tmp_path / "it", module)
    assert list(tmp_path.iterdir()) != []  # else this tests nothing
    assert find_checkpoints(tmp_path) == ([], [])


@pytest.mark.parametrize("error", [DiskFull, ValueError, KeyboardInterrupt])
def test_replacing_leaves_the_old_file_upon_an_error(tmp_path, error):
    path = tmp_path / "scores.json"
    path.write_text("old")
    with pytest.raises((error, WriteError)), replacing(path) as aside:
        aside.write_text("half of the n")
        raise error("stopped")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["scores.json"]


def test_replacing_puts_the_new_file_in_place_only_at_the_end(tmp_path):
    path = tmp_path / "new" / "scores.json"
    with replacing(path) as aside:
        aside.write_text("new")
        assert not path.exists() and aside.parent == path.parent
    assert path.read_text() == "new"
    assert [p.name for p in path.parent.iterdir()] == ["scores.json"]


def test_a_checkpoint_without_bases_has_none(random_checkpoints):
    one = read_checkpoint(random_checkpoints / "unet-bce")
    assert isinstance(one, Checkpoint) and one.bases == () and one.name == "unet-bce"
    assert np.isclose(one.settings.threshold, 0.5)


def test_inputs_prepared_by_another_version_are_refused(random_checkpoints, tmp_path):
    folder = damaged(tmp_path, random_checkpoints / "unet-bce")
    edit(folder, lambda config: config["brainseg"]["preprocessing"].update(version="0"))
    with pytest.raises(CheckpointError, match=r"prepared by version 0.* prepares them by version"):
        read_checkpoint(folder)


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
