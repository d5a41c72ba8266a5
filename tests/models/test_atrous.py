"""Atrous rates that fit the input, and what those that do not are worth."""

from pathlib import Path

import pytest
import torch

from brainseg.checkpoints.folder import (
    architecture_json,
    load_module,
    read_checkpoint,
    save_checkpoint,
)
from brainseg.checkpoints.settings import settings_of
from brainseg.config import Config, ConfigError, from_json
from brainseg.models.building import create_model
from brainseg.models.specs import atrous_warning

SHIPPED = Path(__file__).parents[2] / "checkpoints" / "deeplabv3plus-bce"
OF_SMP = (12, 24, 36)


def network(rates, size=192):
    """With random weights and the normalisation statistics of ``planes``."""
    torch.manual_seed(0)
    module = create_model("deeplabv3plus", encoder="resnet18", atrous_rates=rates)
    with torch.no_grad():
        module.train()(planes(size))
    return module.eval()


def planes(size):
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def atrous(module):
    """The rates of the decoder's atrous convolutions, with these."""
    layers = module.decoder.aspp.modules()
    return {
        layer.dilation[0]: layer
        for layer in layers
        if isinstance(layer, torch.nn.Conv2d) and layer.dilation[0] > 1
    }


def change_without_context(module, size, rates):
    """How much the logits change when atrous convolutions keep their centre weights alone."""
    with torch.inference_mode():
        before = module(planes(size))
        for rate in rates:
            weight = atrous(module)[rate].weight
            centre = weight[..., 1:2, 1:2].clone()
            weight.zero_()
            weight[..., 1:2, 1:2] = centre
        return (module(planes(size)) - before).abs().max().item()


@pytest.mark.parametrize("size", [128, 192])
def test_rates_of_smp_see_nothing_but_the_centre(size):
    assert change_without_context(network(OF_SMP, size), size, OF_SMP) == 0.0


@pytest.mark.parametrize("rate", [2, 4, 6])
def test_each_of_our_rates_sees_context(rate):
    assert change_without_context(network((2, 4, 6)), 192, [rate]) > 1e-4


def test_the_warning_begins_where_the_last_tap_leaves_the_map():
    for rate in (11, 12):
        warned = atrous_warning("deeplabv3plus", (2, 4, rate), 192) is not None
        assert warned == (change_without_context(network((2, 4, rate)), 192, [rate]) == 0.0)
        assert warned == (rate == 12)


def test_the_warning_names_size_map_rates_and_what_would_fit():
    assert Config("deeplabv3plus").atrous_warning is None
    old = Config("deeplabv3plus", atrous_rates=OF_SMP)
    assert old.atrous_warning == (
        "At 192 px the atrous convolutions read a map of 12 x 12, where those of rate 12, 24, 36 "
        "see nothing but the centre. Rates below 12 have context, such as --atrous-rates 2 4 6."
    )
    at_256 = atrous_warning("deeplabv3plus", OF_SMP, 256)
    assert "16 x 16" in at_256 and "of rate 24, 36 see" in at_256 and "2 5 8." in at_256
    assert atrous_warning("deeplabv3plus", (2, 4, 6), 32).endswith("--atrous-rates 1 1 1.")
    assert atrous_warning("unet_resnet34", OF_SMP, 192) is None


@pytest.mark.parametrize(
    "rates", [(2, 4), (2, 4, 6, 8), (0, 4, 6), (2, 4, 129), (2, 4, 6.0), (True, 4, 6), "246", None]
)
def test_what_are_no_rates(rates):
    with pytest.raises(ConfigError, match=r"atrous_rates is .*three whole numbers from 1 to 128"):
        Config("deeplabv3plus", atrous_rates=rates)


def test_models_without_them_have_the_default():
    for model in ("unet", "unet_resnet34", "unetpp"):
        assert Config(model, atrous_rates=OF_SMP) == Config(model)


def test_they_come_back_with_a_checkpoint(tmp_path):
    for rates in ((2, 3, 5), OF_SMP):
        config = Config("deeplabv3plus", encoder="resnet18", size=64, atrous_rates=rates)
        module = network(rates, 64)
        saved = save_checkpoint(
            tmp_path / "it", module.state_dict(), architecture_json(module), settings_of(config), {}
        )
        assert read_checkpoint(saved.folder).settings.run == config
        back = load_module(saved)
        assert tuple(atrous(back)) == rates
        module.half().float()
        with torch.inference_mode():
            torch.testing.assert_close(back(planes(64)), module(planes(64)))


def test_what_was_trained_before_there_was_a_choice_keeps_its_rates():
    shipped = read_checkpoint(SHIPPED)
    assert shipped.settings.run.atrous_rates == OF_SMP
    assert tuple(atrous(load_module(shipped))) == OF_SMP


def test_older_configurations_are_of_smps_rates():
    values = Config("deeplabv3plus").to_json()
    assert from_json(values).atrous_rates == (2, 4, 6)
    del values["atrous_rates"]
    assert from_json(values) == Config("deeplabv3plus", atrous_rates=OF_SMP)
    assert from_json({**values, "model": "unet"}) == Config("unet")
