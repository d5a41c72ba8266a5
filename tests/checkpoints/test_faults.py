"""Full disks, short memory, two processes in one folder: told in a sentence, nothing lost."""

import os
import resource
import subprocess
import sys

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file

from brainseg.checkpoints.folder import (
    architecture_json,
    load_module,
    read_checkpoint,
    save_checkpoint,
)
from brainseg.checkpoints.settings import settings_from_json
from brainseg.files import WriteError, replacing
from brainseg.models.unet import UNet
from brainseg.training.loop import _is_out_of_memory

SETTINGS = {
    "name": "unet-bce", "model": "unet", "encoder": None, "preprocessing": {"size": 32},
    "threshold": 0.5, "run": {},
}  # fmt: skip


@pytest.fixture
def small_files():
    """No file may grow beyond a megabyte, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def save(folder, module):
    state = module.state_dict()
    return save_checkpoint(
        folder,
        state,
        architecture_json(module),
        settings_from_json(SETTINGS),
        {"metrics.json": "{}"},
    )


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path, request):
    torch.manual_seed(0)
    first = UNet()
    save(tmp_path / "c", first)
    request.getfixturevalue("small_files")
    with pytest.raises(WriteError, match=r"could not be written .* free some space"):
        save(tmp_path / "c", UNet())
    found = load_module(read_checkpoint(tmp_path / "c"))
    torch.testing.assert_close(found.head.weight, first.head.weight, atol=1e-3, rtol=1e-3)
    assert [p.name for p in tmp_path.iterdir()] == ["c"]  # nothing half-written lies about


def test_a_full_disk_leaves_the_previous_state(tmp_path, request):
    path = tmp_path / "state.safetensors"
    with replacing(path) as aside:
        save_file({"x": torch.ones(3)}, aside)
    request.getfixturevalue("small_files")
    with pytest.raises(WriteError, match="unharmed"), replacing(path) as aside:
        save_file({"x": torch.zeros(2**20)}, aside)
    assert load_file(path)["x"].sum() == 3
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_short_memory_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert _is_out_of_memory(caught.value)
    assert not _is_out_of_memory(RuntimeError("shape mismatch"))


def test_a_second_process_refuses_the_same_folder(tmp_path):
    folder = tmp_path / "phantom" / "unet-bce" / "without0+1-seed0"
    folder.mkdir(parents=True)
    command = [
        sys.executable, "train.py", "--model", "unet", "--dataset", "phantom", "--runs", tmp_path,
        "--cpu",
    ]  # fmt: skip
    with FileLock(folder / ".lock"):
        done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 1
    assert "Another process is training into" in done.stderr and "Traceback" not in done.stderr
