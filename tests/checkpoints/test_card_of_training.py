"""What a model card says of how a checkpoint was trained."""

from dataclasses import replace

from brainseg.checkpoints.card import model_card
from brainseg.checkpoints.settings import settings_of
from brainseg.config import Config


def card(config, **changes):
    settings = settings_of(config)
    patients = {"train": 3, "val": 1, "test": 1}
    return model_card(replace(settings, patients=patients, epochs_done=2, **changes), {})


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
