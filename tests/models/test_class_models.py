"""Networks of several classes: their probabilities, losses and stacks, against plain numpy."""

import numpy as np
import pytest
import torch

from brainseg.models.building import ModelError, create_model
from brainseg.models.classes import to_probabilities, tumour_logits
from brainseg.models.losses import create_loss

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 2, (2, 4, 5, 6)).astype(np.float32)
LABELS = RNG.integers(0, 4, (2, 5, 6))
WEIGHTS = np.array([1, 0.5, 2, 1], np.float32)


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_probabilities_are_those_of_a_softmax_without_the_first():
    found = to_probabilities(torch.from_numpy(LOGITS)).numpy()
    np.testing.assert_allclose(found, softmax(LOGITS)[:, 1:], atol=1e-6)
    one = torch.randn(2, 1, 5, 6)
    assert (to_probabilities(one) == torch.sigmoid(one)).all()


def test_the_tumour_is_all_classes_together():
    found = torch.sigmoid(tumour_logits(torch.from_numpy(LOGITS))).numpy()[:, 0]
    np.testing.assert_allclose(found, 1 - softmax(LOGITS)[:, 0], atol=1e-6)
    one = torch.randn(2, 1, 5, 6)
    assert tumour_logits(one) is one


def test_losses_are_those_of_their_definitions():
    p = softmax(LOGITS.astype(float))
    own = np.take_along_axis(p, LABELS[:, None], 1)[:, 0]
    entropy = (WEIGHTS[LABELS] * -np.log(own)).sum() / WEIGHTS[LABELS].sum()
    dices = [
        2 * (p[:, c] * (c == LABELS)).sum() / (p[:, c].sum() + (c == LABELS).sum())
        for c in (1, 2, 3)
    ]
    expected = {"bce": entropy, "dice": 1 - np.mean(dices)}
    expected["hybrid"] = 0.7 * expected["bce"] + 0.3 * expected["dice"]
    for name, value in expected.items():
        loss = create_loss(name, torch.from_numpy(WEIGHTS))
        found = loss(torch.from_numpy(LOGITS), torch.from_numpy(LABELS))
        assert found.item() == pytest.approx(value, rel=1e-4), name


@pytest.mark.parametrize("name", ["unet", "unet_resnet34", "deeplabv3plus"])
def test_models_have_a_logit_for_each_class_and_for_none(name):
    encoder = None if name == "unet" else "resnet18"
    module = create_model(name, encoder=encoder, classes=3).eval()
    with torch.inference_mode():
        assert module(torch.zeros(1, 3, 64, 64)).shape == (1, 4, 64, 64)


def test_a_stack_reads_the_maps_of_bases_with_classes_and_of_others():
    bases = ("unet-bce-classes", "unet-bce")
    module = create_model("unetpp", encoder="resnet18", bases=bases, classes=3).eval()
    with torch.inference_mode():
        assert module(torch.zeros(1, 4, 32, 32)).shape == (1, 4, 32, 32)
    with pytest.raises(ModelError, match=r"some tell classes apart and others don't"):
        create_model("unetpp", bases=bases, classes=3, stack_output="correction")


def test_an_untrained_correction_is_the_mean_of_its_bases():
    bases = ("unet-bce-classes", "unet_resnet34-bce-classes")
    module = create_model(
        "unetpp", encoder="resnet18", bases=bases, classes=2, stack_output="correction"
    ).eval()
    p = np.array([[0.2, 0.3], [0.6, 0.1]])  # of each base, both classes
    x = torch.tensor(p.ravel(), dtype=torch.float32)[None, :, None, None].expand(1, 4, 32, 32)
    with torch.inference_mode():
        found = to_probabilities(module(x))[0, :, 0, 0].numpy()
    odds = np.exp(np.log(p / (1 - p.sum(1, keepdims=True))).mean(0))
    np.testing.assert_allclose(found, odds / (1 + odds.sum()), rtol=1e-4)
