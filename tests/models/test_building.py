"""The contract that every model keeps, and what is particular to each."""

import pytest
import torch

from brainseg.models import building
from brainseg.models.building import ModelError, create_model, list_models
from brainseg.models.specs import MODELS

CHANNELS = {name: 2 if spec.is_stack else 3 for name, spec in MODELS.items()}


def parameters(model) -> int:
    return sum(p.numel() for p in model.parameters())


def test_the_models_are_listed():
    assert list_models() == [
        "unet", "unet_resnet34", "unet_efficientnet", "deeplabv3plus",
        "deeplabv3plus_efficientnet", "unetpp", "unetpp_efficientnet",
    ]  # fmt: skip


@pytest.mark.parametrize("name", list_models())
def test_contract(name):
    torch.manual_seed(0)
    model = create_model(name)
    x = torch.randn(2, CHANNELS[name], 64, 96)
    logits = model(x)
    assert logits.shape == (2, 1, 64, 96) and logits.dtype == torch.float32
    assert logits.min() < 0 < logits.max()  # logits, not probabilities
    logits.square().mean().backward()
    idle = [key for key, p in model.named_parameters() if p.grad is None]
    assert not idle, f"parameters that nothing reads: {idle}"
    model.eval()
    with torch.inference_mode():
        assert torch.equal(model(x), model(x))
        alone, together = model(x[:1]), model(x)[:1]
    torch.testing.assert_close(alone, together, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("unet_resnet34", "efficientnet-b0"),
        ("unet_resnet34", "densenet121"),
        ("unet_resnet34", "tu-resnet10t"),
        ("deeplabv3plus", "efficientnet-b0"),
        ("deeplabv3plus", "tu-resnet10t"),
        ("deeplabv3plus", "tu-tf_efficientnet_lite0"),
        ("unetpp", "efficientnet-b0"),
        ("unetpp", "densenet121"),
    ],
)
def test_other_encoders(name, encoder):
    model = create_model(name, encoder=encoder).eval()
    with torch.inference_mode():
        assert model(torch.randn(1, CHANNELS[name], 64, 64)).shape == (1, 1, 64, 64)


def test_an_encoder_that_can_not_be_dilated_is_refused_in_a_sentence():
    with pytest.raises(ModelError, match="'densenet121' does not fit this architecture"):
        create_model("deeplabv3plus", encoder="densenet121")


def test_sizes():
    assert parameters(create_model("unet")) == pytest.approx(7.8e6, rel=0.01)
    assert parameters(create_model("unet_efficientnet")) == pytest.approx(5.2e6, rel=0.01)
    assert parameters(create_model("unetpp")) < 12e6
    assert parameters(create_model("unetpp", stack_inputs="predictions+image")) < 12e6


def test_stack_reads_one_map_per_base_and_the_image_if_asked():
    with_image = create_model("unetpp", stack_inputs="predictions+image", bases=("a", "b", "c"))
    with torch.inference_mode():
        assert with_image.eval()(torch.rand(1, 6, 32, 32)).shape == (1, 1, 32, 32)


def test_unknown_model_lists_the_known():
    with pytest.raises(ModelError, match="'unet3d'.*" + ", ".join(list_models())):
        create_model("unet3d")


def test_unet_takes_no_encoder():
    with pytest.raises(ModelError, match="--encoder resnet18 does not go with unet"):
        create_model("unet", encoder="resnet18")


def test_unknown_encoder_is_told_from_missing_weights():
    with pytest.raises(ModelError, match=r"Unknown encoder 'resnet7'.*resnet34"):
        create_model("unet_resnet34", encoder="resnet7")


def test_weights_without_a_network_name_the_remedy(monkeypatch):
    def offline(spec, encoder, weights, **settings):
        raise OSError("Name or service not known")

    monkeypatch.setattr(building, "_of_smp", offline)
    with pytest.raises(ModelError, match="--encoder-weights none"):
        create_model("unet_resnet34", encoder_weights="imagenet")
