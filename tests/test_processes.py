"""Two processes under ``accelerate launch`` (gloo on the CPU) against one."""

import json
import subprocess
import sys

import pytest

from brainseg.checkpoint import load_module, read_checkpoint

pytestmark = pytest.mark.slow


def launch(processes: int, *command) -> str:
    # Accelerate starts several processes only as if for GPUs; the scripts then ask for the CPU.
    launcher = [
        sys.executable, "-m", "accelerate.commands.launch", "--num_machines", "1",
        "--num_processes", str(processes), "--mixed_precision", "no", "--dynamo_backend", "no",
        "--multi_gpu" if processes > 1 else "--cpu",
    ]  # fmt: skip
    done = subprocess.run([*launcher, *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_validation_is_the_same_whatever_the_number_of_processes(tmp_path):
    found = {}
    for processes in (1, 2):
        out = launch(processes, "tests/scripts/validation_counts.py", tmp_path)
        (line,) = [line for line in out.splitlines() if line.startswith("counts")]
        _, number, total, values = line.split(maxsplit=3)
        assert int(number) == processes
        found[processes] = (int(total), json.loads(values))
    assert found[1][0] % (32 * 32 * 7) == 0  # every pixel once, no padded duplicates
    assert found[1] == found[2]


def test_two_processes_train_one_run(tmp_path):
    out = launch(
        2, "train.py", "--model", "unet", "--dataset", "phantom", "--size", 32, "--epochs", 2,
        "--batch-size", 8, "--cpu", "--precision", "no", "--set", "limit_patients=10", "--runs",
        tmp_path / "runs", "--cache", tmp_path / "cache",
    )  # fmt: skip
    checkpoint = read_checkpoint(tmp_path / "runs/phantom/unet-bce/fold0-seed0")
    assert checkpoint.settings["epochs_done"] == 2 and "2 processes" in out
    load_module(checkpoint)


def test_killed_trainings_resume_bit_identical():
    script = [sys.executable, "tests/scripts/kill_and_resume.py", "--kills", "4"]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "4 kills" in done.stdout


def test_the_grid_on_a_local_ray_of_two_workers(tmp_path):
    pytest.importorskip("ray")
    command = [
        sys.executable, "train.py", "--model", "unet", "unetpp", "--dataset", "phantom", "--size",
        "32", "--epochs", "1", "--batch-size", "4", "--stack-folds", "2", "--precision", "no",
        "--encoder-weights", "none", "--bases", "unet_resnet34-resnet18-bce", "unet-bce", "--seeds",
        "0", "1", "--set", "limit_patients=10", "--ray", "local", "--runs", str(tmp_path / "runs"),
        "--cache", str(tmp_path / "cache"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [line for line in done.stdout.splitlines() if line.startswith("| unet")]
    # Both models and the one base that was not asked for, with two seeds each.
    assert len(rows) == 6 and not any("failed" in row for row in rows)
    for seed in (0, 1):
        stack = read_checkpoint(tmp_path / f"runs/phantom/unetpp-bce/fold0-seed{seed}")
        assert [base["name"] for base in stack.bases] == ["unet_resnet34-resnet18-bce", "unet-bce"]
