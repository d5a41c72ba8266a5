"""What a model card says of how a checkpoint was trained."""

from dataclasses import replace

from brainseg.checkpoints.card import model_card
from brainseg.checkpoints.settings import Base, settings_of
from brainseg.config import Config

VALIDATION = {"patients": 1, "mean_dice": 0.7, "threshold": 0.5}


def card(config, metrics=None, **changes):
    settings = settings_of(config)
    patients = {"train": 3, "val": 1, "test": 1}
    settings = replace(settings, patients=patients, epochs_done=2, **changes)
    return model_card(settings, metrics or {})


def test_the_start_names_where_weights_came_from():
    run = Config("unet_efficientnet")
    told = card(run, encoder_source="a-package 1.0")
    assert "- Start: ImageNet encoder weights (a-package 1.0)\n" in told
    assert "- Start: ImageNet encoder weights\n" in card(run)
    assert "- Start: random initialisation\n" in card(replace(run, encoder_weights=None))


def test_atrous_rates_are_told_and_what_they_can_not_see():
    run = Config("deeplabv3plus")
    assert "- Atrous rates: 2, 4, 6.\n" in card(run)
    told = card(replace(run, atrous_rates=(12, 24, 36)))
    assert "- Atrous rates: 12, 24, 36. At 192 px the atrous convolutions read a map" in told
    assert "trous" not in card(Config("unet_resnet34"))


def test_a_mistake_on_purpose_is_told_and_the_honest_way_is_not():
    honest, leaking = Config("unet"), Config("unet", leak="slices")
    told = card(honest, {"validation": {**VALIDATION, "fold": 1}})
    assert "split by patient)" in told and "validation (fold 1; epoch" in told
    assert "mistake" not in told
    for fold in ({}, {"fold": 1}):  # which earlier runs have
        told = card(leaking, {"validation": {**VALIDATION, **fold}})
        assert "what it feigns: split by slice: a patient's slices on both sides\n" in told
        assert "1 to test on (fold 0 of 5)\n" in told
        assert "validation (other slices of the patients it was trained on; epoch and" in told
        assert "fold 1" not in told

    bases = (Base("unet_resnet34-bce", ""), Base("deeplabv3plus-bce", ""))
    unseen = "deeplabv3plus-bce; fitted on predictions for patients whom the predicting network"
    stack = Config("unetpp")
    assert unseen in card(stack, bases=bases)
    told = card(replace(stack, leak="in-sample"), bases=bases)
    assert "fitted on predictions for its bases' own training patients\n" in told
    assert "deeplabv3plus-bce\n" in told and "had not seen" not in told
