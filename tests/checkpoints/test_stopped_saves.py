"""A save that fails or is stopped leaves the old checkpoint, or none."""

import os

import pytest
from making import SETTINGS, damaged, network, no_leftovers, write

from brainseg.checkpoints import folder as checkpoints
from brainseg.checkpoints.folder import (
    copy_checkpoint,
    find_checkpoints,
    read_checkpoint,
    save_checkpoint,
)
from brainseg.checkpoints.settings import CheckpointError, settings_from_json
from brainseg.files import WriteError, replacing


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


class DiskFull(OSError):
    pass


def fail(*args, **kwargs):
    raise DiskFull("No space left on device")


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
