"""Untrained stand-ins for shipped checkpoints, and small scans on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def save_random(folder: Path, model: str, *, encoder: str | None = None, bases=()) -> None:
    """Save an untrained network as ``folder/<model>-bce``; it marks a third of most pictures."""
    from brainseg.checkpoint import architecture_json, read_checkpoint, save_checkpoint
    from brainseg.models import create_model

    names = [f"{base}-bce" for base in bases]
    module = create_model(model, encoder=encoder, bases=names)
    settings = {
        "name": f"{model}-bce",
        "model": model,
        "loss": "bce",
        "encoder": encoder,
        "stack_inputs": "predictions",
        "preprocessing": {"version": "1", "size": 64},
        "threshold": 0.5,
        "run": {},
    }
    if bases:
        checksums = [read_checkpoint(folder / name).sha256() for name in names]
        settings["bases"] = [
            {"name": name, "sha256": sha256} for name, sha256 in zip(names, checksums, strict=True)
        ]
    texts = {"metrics.json": "{}"}
    save_checkpoint(
        folder / f"{model}-bce", module.state_dict(), architecture_json(module), settings, texts
    )


@pytest.fixture(scope="session")
def random_checkpoints(tmp_path_factory) -> Path:
    """A folder with a U-Net, a small smp U-Net and a stack that reads both, all untrained."""
    import torch

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoints")
    save_random(folder, "unet")
    save_random(folder, "unet_resnet34", encoder="resnet18")
    save_random(folder, "unetpp", bases=("unet", "unet_resnet34"))
    return folder


@pytest.fixture
def scan_png(tmp_path) -> Path:
    """A grey picture, 60 by 80 pixels, of a bright disc in a darker one."""
    rows, columns = np.mgrid[:60, :80]
    image = np.where(np.hypot(rows - 30, columns - 40) < 25, 90, 0)
    image[np.hypot(rows - 25, columns - 45) < 8] = 220
    path = tmp_path / "scan.png"
    Image.fromarray(image.astype(np.uint8)).save(path)
    return path


@pytest.fixture
def truth_png(tmp_path, scan_png) -> Path:
    """The mask of the bright disc in ``scan_png``."""
    path = tmp_path / "truth.png"
    image = np.asarray(Image.open(scan_png))
    Image.fromarray(((image > 200) * 255).astype(np.uint8)).save(path)
    return path
