"""What a run needs to go on after a stop: one file, replaced in one step, never a pickle."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from brainseg.checkpoints.settings import CheckpointError
from brainseg.config import Config, ConfigError, from_json
from brainseg.files import replacing

STATE, BEST = "state.safetensors", "best.safetensors"


@dataclass
class Progress:
    """What a run knows about itself between two epochs. encoder_source: of the weights that its
    encoder began with, which another machine may take from elsewhere when it goes on. data_key: of
    the prepared slices it was last trained on."""

    encoder_source: str | None = None
    epochs_done: int = 0
    best_epoch: int = 0
    best_dice: float = -1.0
    history: list[dict] = field(default_factory=list)
    data_key: str | None = None

    @property
    def unimproved(self) -> int:
        """Epochs after the best one that were validated."""
        later = (row["val_dice"] for row in self.history if row["epoch"] > self.best_epoch)
        return sum(not math.isnan(dice) for dice in later)


def save_weights(path: Path, model) -> None:
    with replacing(path) as aside:
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, aside)


def save_state(path: Path, config: Config, progress: Progress, learner) -> None:
    """Write what ``load_state`` reads. ``learner``: a ``Learner``."""
    tensors = {f"model/{k}": v.contiguous() for k, v in learner.bare.state_dict().items()}
    tensors |= {f"average/{k}": v.contiguous() for k, v in learner.average.state_dict().items()}
    for index, slots in learner.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{k}": v.contiguous() for k, v in slots.items()}
    scaler = learner.accelerator.scaler  # of fp16 alone
    metadata = {
        "config": json.dumps(config.to_json()),
        "progress": json.dumps(vars(progress)),
        "scaler": json.dumps(scaler.state_dict() if scaler else {}),
    }
    with replacing(path) as aside:
        save_file(tensors, aside, metadata=metadata)


def read_state_config(path: Path) -> Config:
    """The configuration a resume state was written with. Raises CheckpointError if damaged."""
    try:
        with safe_open(path, "pt") as file:
            saved = json.loads(file.metadata()["config"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is no resume state of this program ({error}): start anew with --overwrite."
        ) from error
    return from_json(saved)


def load_state(path: Path, config: Config, learner) -> Progress:
    """Put a run's weights, averages and optimiser back, and return how far it had come.

    Raises ConfigError if the state was written by another configuration.
    """
    if read_state_config(path) != config:
        raise ConfigError(f"{path} belongs to another configuration: start with --overwrite.")
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    progress = Progress(**json.loads(metadata["progress"]))
    scaler = json.loads(metadata.get("scaler", "{}"))
    if scaler and learner.accelerator.scaler:  # it may go on in another precision
        learner.accelerator.scaler.load_state_dict(scaler)
    for prefix, module in (("model/", learner.bare), ("average/", learner.average)):
        module.load_state_dict(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
    parameters = learner.optimizer.param_groups[0]["params"]
    slots: dict[int, dict] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            _, index, slot = key.split("/")
            own = parameters[int(index)]
            if value.shape == own.shape:  # laid out in memory as the fused optimiser expects
                value = torch.empty_like(own).copy_(value)
            slots.setdefault(int(index), {})[slot] = value
    learner.optimizer.load_state_dict({**learner.optimizer.state_dict(), "state": slots})
    return progress
