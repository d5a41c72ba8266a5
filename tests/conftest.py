"""Untrained checkpoints that still mark something, and small phantoms, for every test."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import tests.checkpoints.hub.loopback  # noqa: F401  first of all: no test can reach the real Hub

# Tests of backends name theirs; the others shall not wait for measurements, nor keep any.
os.environ["BRAINSEG_BACKEND"] = "pytorch"

SIZE = 64
METRICS = '{"validation": {"fold": 1, "patients": 2, "mean_dice": 0.5, "threshold": 0.5}}'
BASES = (("unet_resnet34", "resnet18"), ("deeplabv3plus", "resnet18"))


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory):
    """No test finds, nor leaves, anything in the cache of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRAINSEG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def phantom_case():
    """One phantom patient: uint8 (6, 64, 64, 3) with a large tumour and spacing."""
    from brainseg.data.phantom import make_case

    return make_case(3, "large", size=SIZE, slices=6)


@pytest.fixture
def narrow_unet(monkeypatch):
    """A narrow U-Net in the place of ``unet``, for tests that do not depend on its width."""
    from dataclasses import replace

    from brainseg.models.specs import MODELS
    from brainseg.models.unet import UNet

    narrow = replace(MODELS["unet"], builder=lambda n, out: UNet(n, 8, out))
    monkeypatch.setitem(MODELS, "unet", narrow)


@pytest.fixture(scope="session")
def save_random(phantom_case):
    """A function that saves a network with random weights as ``folder/<name>``.

    Activations and the last layer are scaled on a phantom, so that the network's probabilities
    spread over [0, 1] and about a fifth of the phantom is above 0.5.
    """
    import torch

    from brainseg.checkpoints.folder import architecture_json, load_module, save_checkpoint
    from brainseg.checkpoints.settings import settings_from_json, settings_of
    from brainseg.config import Config
    from brainseg.models.building import create_model
    from brainseg.scans import preprocessing

    prepared = preprocessing.prepare(phantom_case.scan.pixels, SIZE)
    image = torch.from_numpy(preprocessing.normalise(prepared.images, prepared.statistics))

    def save(folder: Path, model: str, *, encoder=None, bases=(), seed=0, **changes):
        torch.manual_seed(seed)
        config = Config(
            model=model,
            encoder=encoder,
            encoder_weights=None,
            dataset="phantom",
            size=SIZE,
            bases=tuple(base.name for base in bases) or Config.bases,
            stack_inputs=changes.get("stack_inputs", "predictions"),
        )
        module = create_model(
            model, encoder=encoder, stack_inputs=config.stack_inputs, bases=config.bases
        )
        x = image
        if bases:
            with torch.inference_mode():
                x = torch.cat([torch.sigmoid(load_module(base)(image)) for base in bases], 1)
            if config.stack_inputs == "predictions+image":
                x = torch.cat([x, image], 1)
        spread_out(module, x)
        settings = {
            **settings_of(config).to_json(),
            "patients": {"train": 4, "val": 2, "test": 2},
            "epochs_done": 0,
            **changes,
        }
        if bases:
            settings["bases"] = [{"name": b.name, "sha256": b.sha256()} for b in bases]
        texts = {"metrics.json": METRICS, "history.csv": "epoch\n", "README.md": "untrained\n"}
        return save_checkpoint(
            folder / settings["name"],
            module.state_dict(),
            architecture_json(module),
            settings_from_json(settings),
            texts,
        )

    return save


def spread_out(module, x) -> None:
    """Set normalisation statistics by one pass over ``x`` and rescale the last convolution."""
    import torch

    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # a plain average, so that one pass sets it
    head = getattr(module, "segmentation_head", None)
    head = module.head if head is None else head[0]
    with torch.no_grad():
        module.train()(x)
        logits = module.eval()(x)
        head.weight *= 2 / logits.std()
        head.bias.zero_()
        head.bias -= np.quantile(module(x).numpy(), 0.8)


@pytest.fixture(scope="session")
def random_checkpoints(tmp_path_factory, save_random) -> Path:
    """A folder with a U-Net, two smp networks and a stack that reads those two, all untrained.

    Their names: unet-bce, unet_resnet34-resnet18-bce, deeplabv3plus-resnet18-bce, unetpp-bce.
    """
    folder = tmp_path_factory.mktemp("checkpoints")
    save_random(folder, "unet", seed=1)
    bases = [
        save_random(folder, model, encoder=encoder, seed=seed)
        for seed, (model, encoder) in enumerate(BASES, start=2)
    ]
    save_random(folder, "unetpp", bases=bases, seed=4)
    return folder
