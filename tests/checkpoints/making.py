"""Small checkpoints for tests: made, copied, and looked through for leftovers."""

from __future__ import annotations

import shutil

import torch

from brainseg.checkpoints.folder import architecture_json, save_checkpoint
from brainseg.checkpoints.settings import settings_from_json
from brainseg.models.building import create_model

SETTINGS = {
    "name": "unet-bce",
    "model": "unet",
    "loss": "bce",
    "encoder": None,
    "stack_inputs": "predictions",
    "preprocessing": {"version": "1", "size": 64},
    "threshold": 0.5,
    "run": {},
}
RESNET = "unet_resnet34-resnet18-bce"


def network(model, encoder, **kwargs):
    """A network with random weights and random normalisation statistics."""
    torch.manual_seed(0)
    module = create_model(model, encoder=encoder, **kwargs)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 2)
    return module.eval()


def write(folder, module, **changes):
    settings = settings_from_json({**SETTINGS, **changes})
    return save_checkpoint(folder, module.state_dict(), architecture_json(module), settings, {})


def damaged(folder, source):
    """A copy to be damaged."""
    return shutil.copytree(source, folder / source.name)


def no_leftovers(folder):
    return not [path for path in folder.rglob("*") if path.name.startswith(".")]
