"""Mistakes on purpose: what they train on, and the meter that compares them."""

import json
from dataclasses import replace

import numpy as np
import pytest

import train as train_command
from brainseg.__main__ import main
from brainseg.checkpoints.folder import read_checkpoint, replace_settings
from brainseg.checkpoints.settings import CheckpointError
from brainseg.config import Config, ConfigError
from brainseg.study.leak import leak_meter
from brainseg.training import planning, runs, stacking
from brainseg.training.learner import make_accelerator
from brainseg.training.planning import Planned


def train(tmp_path, *args):
    return train_command.main([
        "--dataset", "phantom", "--size", "32", "--epochs", "1", "--batch-size", "4", "--cpu",
        "--precision", "no",  # one process can hold one precision only
        "--set", "limit_patients=12", "--runs", str(tmp_path / "runs"),
        "--cache", str(tmp_path / "cache"), *args,
    ])  # fmt: skip


def test_the_meter_sets_each_mistake_beside_its_honest_twin(tmp_path, capsys):
    assert train(tmp_path, "--model", "unet") == 0
    assert train(tmp_path, "--model", "unet", "--leak", "slices") == 0
    out = tmp_path / "leak.json"
    assert main(["leak", "--runs", str(tmp_path / "runs"), "--out", str(out)]) == 0
    honest, leaking = json.loads(out.read_text())["rows"]
    assert honest["checkpoint"] == leaking["checkpoint"] == "unet-bce"
    assert "by patient" in honest["what"] and "by slice" in leaking["what"]
    folder = tmp_path / "runs/phantom/unet-bce/without0+1-seed0-leak-slices"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert leaking["believed"] == metrics["validation"]["mean_dice"]
    assert "fold" not in metrics["validation"]  # for it is of no fold
    assert leaking["true"] == metrics["test"]["dice"]["mean"]
    honest = read_checkpoint(folder.with_name("without0+1-seed0"))
    told = honest.settings
    for changed, why in (
        (replace(told, run=replace(told.run, epochs=30)), r"mistake \(epochs 30 instead of 1\)"),
        (replace(told, interrupted=True), "without0.1-seed0 was interrupted"),
    ):
        replace_settings(honest, changed)
        with pytest.raises(CheckpointError, match=why):
            leak_meter(tmp_path / "runs")
    replace_settings(honest, told)
    metrics["test"] = {"fold": 0}  # as where nobody is in it
    (folder / "metrics.json").write_text(json.dumps(metrics))
    capsys.readouterr()
    assert main(["leak", "--runs", str(tmp_path / "runs"), "--out", str(out)]) == 1
    assert "was not scored on test patients" in capsys.readouterr().err


def test_without_a_leaking_run_the_meter_says_what_to_do(tmp_path, capsys):
    (tmp_path / "runs").mkdir()
    assert main(["leak", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "l.json")]) == 1
    assert "--leak" in capsys.readouterr().err


def test_an_in_sample_stack_reads_its_bases_own_training_predictions(tmp_path):
    config = Config(model="unet", dataset="phantom", size=32, epochs=1, batch_size=4,
                    limit_patients=12)  # fmt: skip
    place = runs.Workplace(
        None, tmp_path / "c", tmp_path / "r", accelerator=make_accelerator("no", cpu=True)
    )
    base = runs.run(Planned(config), place)
    stack = Config(model="unetpp", bases=("unet-bce",), dataset="phantom", size=32, batch_size=4,
                   limit_patients=12, leak="in-sample")  # fmt: skip
    assert list(planning.plan([stack], tmp_path / "r")) == [config, stack]  # no helpers
    _, data = place.dataset(config)
    maps = stacking.base_maps(stack, [base], [[]], data, place.accelerator)
    assert np.isfinite(maps).all() and (maps.reshape(len(maps), -1).max(1) > 0).all()


@pytest.mark.parametrize(("model", "leak"), [("unet", "in-sample"), ("unetpp", "slices")])
def test_a_leak_goes_with_its_kind_of_model(model, leak):
    with pytest.raises(ConfigError, match="leak"):
        Config(model=model, leak=leak)


def test_a_leaking_run_lives_beside_the_honest_one(tmp_path):
    honest, leaking = Config(model="unet"), Config(model="unet", leak="slices")
    assert leaking.run_folder(tmp_path).parent == honest.run_folder(tmp_path).parent
    assert leaking.run_folder(tmp_path) != honest.run_folder(tmp_path)


def test_a_run_that_was_not_scored_is_named(tmp_path, capsys):
    assert train(tmp_path, "--model", "unet", "--no-test") == 0
    assert train(tmp_path, "--model", "unet", "--leak", "slices", "--no-test") == 0
    capsys.readouterr()
    assert main(["leak", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "l.json")]) == 1
    assert "--no-test" in capsys.readouterr().err
