"""Whole commands: the grid, two processes under ``accelerate launch``, kills, a local Ray."""

import json
import subprocess
import sys

import numpy as np
import pytest

from brainseg.checkpoints.folder import load_module, read_checkpoint
from brainseg.data.phantom import make_case
from brainseg.inference.loading import load_all
from brainseg.inference.predictor import predict_all
from brainseg.inference.results import FUSIONS
from brainseg.models.specs import MODELS

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


@pytest.mark.parametrize(
    ("flags", "folder"),
    [([], ""), (["--labelled", 3, "--semi", "fixmatch"], "-labelled3-fixmatch")],
    ids=["supervised", "semi"],
)
def test_two_processes_train_one_run(tmp_path, flags, folder):
    out = launch(
        2, "train.py", "--model", "unet", "--dataset", "phantom", "--size", 32, "--epochs", 2,
        "--batch-size", 8, "--cpu", "--precision", "no", "--set", "limit_patients=10", "--runs",
        tmp_path / "runs", "--cache", tmp_path / "cache", *flags,
    )  # fmt: skip
    checkpoint = read_checkpoint(tmp_path / f"runs/phantom/unet-bce/without0+1-seed0{folder}")
    assert checkpoint.settings.epochs_done == 2 and "2 processes" in out
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
        "32", "--epochs", "1", "--batch-size", "4", "--precision", "no",
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
        stack = read_checkpoint(tmp_path / f"runs/phantom/unetpp-bce/without0+1-seed{seed}")
        assert [base.name for base in stack.bases] == ["unet_resnet34-resnet18-bce", "unet-bce"]


def test_the_whole_grid(tmp_path):
    """Every combination in one command; each writes a checkpoint that loads."""
    command = [
        sys.executable, "train.py", "--model", "all", "--loss", "all", "--dataset", "phantom",
        "--encoder-weights", "none", "--size", "32", "--epochs", "1", "--batch-size", "4",
        "--cpu", "--precision", "no", "--set", "limit_patients=10", "--runs",
        str(tmp_path / "runs"), "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "all"),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    predictors, skipped = load_all(tmp_path / "all")
    assert skipped == [] and len(predictors) == 3 * len(MODELS)
    results = list(predict_all(make_case(3, size=64, slices=2).scan, predictors))
    assert [result.name for result in results[3 * len(MODELS) :]] == list(FUSIONS)
    assert all(np.isfinite(result.probabilities).all() for result in results)
