"""What a checkpoint says of itself: there and back, and what old and odd ones become."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from brainseg.checkpoints.settings import (
    Base,
    CheckpointError,
    Start,
    join_parts,
    our_part,
    read_settings,
    settings_from_json,
    settings_of,
)
from brainseg.config import Config

SHIPPED = sorted((Path(__file__).parents[2] / "checkpoints").glob("*/config.json"))
FULL = replace(
    settings_of(Config("unetpp", bases=("unet-bce", "unet-dice"))),
    threshold=0.25,
    bases=(Base("unet-bce", "a" * 64), Base("unet-dice", "b" * 64)),
    started_from=Start("unetpp-bce", "figshare", 6),
    encoder_source="timm/some_encoder.in1k from the Hugging Face Hub",
    patients={"train": 3, "val": 2, "test": 1},
    epochs_done=4,
    best_epoch=2,
    interrupted=True,
    precision="bf16",
    data_key="key",
    versions={"torch": "2"},
    git_revision="c" * 40,
)


@pytest.mark.parametrize("settings", [FULL, settings_of(Config("unet"))])
def test_there_and_back(settings, tmp_path):
    assert settings_from_json(json.loads(json.dumps(settings.to_json()))) == settings
    path = tmp_path / "config.json"
    path.write_text(json.dumps(join_parts({"encoder_name": "tu-resnet18"}, settings)))
    assert read_settings(path) == settings


def test_several_data_sets_are_one_name(tmp_path):
    both = replace(
        settings_of(Config("unet", dataset="lgg+figshare")),
        started_from=Start("unet-bce", "lgg+figshare", 6),
    )
    assert settings_from_json(json.loads(json.dumps(both.to_json()))) == both
    assert both.datasets == ("lgg", "figshare") and replace(both, dataset=None).datasets == ()
    for wrong in ("lgg+", "lgg+../x"):
        start = {"name": "unet-bce", "dataset": wrong, "epochs": 6}
        with pytest.raises(ValueError, match="started_from"):
            settings_from_json({**both.to_json(), "started_from": start})


def test_what_a_network_reads():
    assert (FULL.reads_image, FULL.channels, FULL.total_epochs) == (False, 2, 10)
    both = replace(FULL, stack_inputs="predictions+image")
    assert (both.reads_image, both.channels) == (True, 5)
    single = settings_of(Config("unet"))
    assert (single.reads_image, single.channels, single.total_epochs) == (True, 3, 0)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_shipped_checkpoints_are_read_as_they_were_trained(path):
    told = our_part(json.loads(path.read_text()))
    settings = read_settings(path)
    assert settings.name == path.parent.name and settings.threshold == told["threshold"]
    said_otherwise = ("precision", "stack_folds", "held_out_block", "fold")
    before = {"atrous_rates": (12, 24, 36)}  # that there was no choice yet
    before |= {"missing_share": 0.0, "strip_share": 0.0}
    assert settings.run == Config(**before | {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in told["run"].items() if key not in said_otherwise
    })  # fmt: skip
    left_out = tuple(told["run"].get("left_out", (0, 1)))  # folds were said otherwise before
    assert (settings.run.left_out, settings.run.watch) == (left_out, len(left_out) == 2)
    assert settings.fold == 0
    told["preprocessing"].setdefault("square_pixels", True)  # it was not said yet
    again = json.loads(json.dumps(settings.to_json()))
    rewritten = {"run", "run_hash", "precision", "fold"}
    assert {k: v for k, v in again.items() if k not in rewritten} == {
        k: v for k, v in told.items() if k not in rewritten and v != []
    }


def test_a_run_that_names_its_models_own_encoder_is_what_it_was(tmp_path):
    name = "unet_resnet34-resnet34-bce"
    told = replace(settings_of(Config("unet_resnet34")), name=name).to_json()
    told["run"]["encoder"] = "resnet34"
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"brainseg": told}))
    settings = read_settings(path)
    assert (settings.name, settings.encoder) == (name, "resnet34")
    assert settings.run == Config("unet_resnet34")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "segformer"}, "Unknown model 'segformer', expected one of unet, "),
        ({"bases": []}, "it names no bases, which does not go with unetpp"),
        ({"encoder_source": "x\n# y"}, "encoder_source is 'x\\n# y', expected up to 120 letters"),
        ({"encoder_source": "x" * 121}, "expected up to 120 letters"),
        ({"encoder_source": 1}, "encoder_source is 1, expected a name"),
        ({"run": {"size": 33}}, "size is 33"),
        ({"run": {"epochs": float("inf")}}, "epochs is inf: expected a whole number"),
        ({"run": {"model": "deeplabv3plus", "atrous_rates": [2, 4]}}, "atrous_rates is (2, 4)"),
        ({"run": {"sizes": 33}}, "Unknown configuration key 'sizes'"),
        ({"run": {"model": {}}}, "run"),
        ({"run": {"dataset": 3}}, "dataset is 3"),
        ({"run": {"shares": ["half"]}}, "shares is 'half'"),
        ({"run": {"shares": 0.5}}, "run"),
        (
            {"preprocessing": {**FULL.preprocessing, "square_pixels": False}},
            "was trained on slices as they are stored",
        ),
    ],
)
def test_odd_ones_are_told_with_the_part_and_the_file(tmp_path, change, said):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"brainseg": {**FULL.to_json(), **change}}))
    with pytest.raises(CheckpointError) as error:
        read_settings(path)
    assert said in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize("threshold", [1, 1.0, -0.1])
def test_a_threshold_above_which_nothing_is_is_refused(threshold, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(join_parts({}, replace(FULL, threshold=threshold))))
    with pytest.raises(CheckpointError, match=rf"threshold is {threshold}, expected from 0 to"):
        read_settings(path)
