"""What the tests of a comparison share: its names, and folders of models."""

from __future__ import annotations

from pathlib import Path

from brainseg.ui import session
from brainseg.ui.inputs import read_files

MODELS = ["unet-bce", "unet_resnet34-bce", "unetpp-bce"]
FUSIONS = ["fusion_mean", "fusion_vote", "fusion_staple"]


def finished(paths: dict, checkpoints: Path) -> list:
    """All steps of a comparison; the last is of all models."""
    return list(session.run(read_files(paths), checkpoints))


def add(checkpoint: Path, folder: Path) -> None:
    """Put a checkpoint into a folder of others."""
    (folder / checkpoint.name).mkdir(parents=True)
    for file in checkpoint.iterdir():
        if file.is_file():
            (folder / checkpoint.name / file.name).symlink_to(file)
