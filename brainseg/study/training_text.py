"""How a model of ``models.json`` was trained, in words."""

from __future__ import annotations


def epochs_text(model: dict) -> str:
    """Its own epochs, and how many of these on smaller pictures: ``"10, 7 at 128 px"``."""
    return f"{model['epochs']}{_small_text(model)}"


def training_text(model: dict) -> str:
    """How long it was trained, its start included: ``"10 epochs, 7 at 128 px"``."""
    return f"{model['total_epochs']} epochs{_small_text(model)}"


def begun_text(model: dict) -> str:
    """How long it was trained, and from what it was begun anew."""
    text = training_text(model)
    if start := model.get("started_from"):
        return f"{text}, the last {model['epochs']} begun anew from `{start['name']}`"
    return text


def start_text(model: dict) -> str:
    """Whose weights it began with: ``"unet-bce after 30"``, ``"weights 1a2b3c4d"`` where nobody
    knows whose, ``"ImageNet"`` or ``"random"``."""
    if known := model.get("started_from"):
        return f"{known['name']} after {known['epochs']}"
    if model["init_from"]:
        return f"weights {model['init_from'][:8]}"
    return "ImageNet" if model["encoder_weights"] else "random"


def _small_text(model: dict) -> str:
    small = model.get("small_epochs")
    return f", {small} at {model['small_size_px']} px" if small else ""
