"""Damaged checkpoints, and those that are not ours: each fault told by name."""

import json

import pytest
from making import RESNET, damaged

from brainseg.checkpoints.folder import (
    load_module,
    read_checkpoint,
)
from brainseg.checkpoints.settings import CheckpointError
from brainseg.inference.loading import load, load_all


def edit(folder, change):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


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
        ("run", {"fold": "0"}),
        ("run", {"fold": {}}),
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


def test_inputs_prepared_by_another_version_are_refused(random_checkpoints, tmp_path):
    folder = damaged(tmp_path, random_checkpoints / "unet-bce")
    edit(folder, lambda config: config["brainseg"]["preprocessing"].update(version="0"))
    with pytest.raises(CheckpointError, match=r"prepared by version 0.* prepares them by version"):
        read_checkpoint(folder)
