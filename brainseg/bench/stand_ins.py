"""The models for a measurement of speed: all that are shipped, and of the six that were compared
first those that are not with seeded random weights, for speed does not depend on what they hold."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from brainseg.checkpoints.folder import (
    Checkpoint,
    architecture_json,
    copy_checkpoint,
    find_base,
    find_checkpoints,
    load_module,
    read_checkpoint,
    save_checkpoint,
)
from brainseg.checkpoints.settings import Base, CheckpointError, settings_of
from brainseg.config import Config
from brainseg.data.phantom import make_case
from brainseg.models.building import create_model
from brainseg.scans import preprocessing
from brainseg.study.claims import ROWS
from brainseg.training.planning import parse_name


def gather(shipped: Path, folder: Path, size: int = preprocessing.SIZE) -> list[str]:
    """Put all that is shipped into ``folder``, and all of ``ROWS``; returns the names of those with
    random weights.

    ``size``: side of the stand-ins' input.
    """
    image = _example(size)
    random = []
    for seed, name in enumerate(ROWS):
        model, encoder, loss = parse_name(name)
        config = Config(
            model=model, loss=loss, encoder=encoder, encoder_weights=None, dataset="phantom",
            size=size, seed=seed,
        )  # fmt: skip
        bases = config.bases if config.is_stack else ()
        try:
            if set(bases) & set(random):
                raise CheckpointError(f"{config.name} was not fitted on stand-ins")
            copy_checkpoint(read_checkpoint(shipped / config.name), folder / config.name)
        except CheckpointError:
            _save_random(config, [read_checkpoint(folder / base) for base in bases], image, folder)
            random.append(config.name)
    for checkpoint in find_checkpoints(shipped)[0] if shipped.is_dir() else ():
        if checkpoint.name not in ROWS:
            with suppress(CheckpointError):  # a stack alone
                for base in checkpoint.bases:
                    find_base(checkpoint, base)
                copy_checkpoint(checkpoint, folder / checkpoint.name)
    return random


def _example(size: int) -> torch.Tensor:
    prepared = preprocessing.prepare(make_case(3, "large", slices=3).scan.pixels, size)
    return torch.from_numpy(preprocessing.normalise(prepared.images, prepared.statistics))


def _save_random(config: Config, bases: list[Checkpoint], x: torch.Tensor, folder: Path) -> None:
    torch.manual_seed(config.seed)
    module = create_model(config.model, encoder=config.encoder, bases=config.bases)
    if bases:
        with torch.inference_mode():
            x = torch.cat([torch.sigmoid(load_module(base)(x)) for base in bases], dim=1)
    spread_out(module, x)
    named = tuple(Base(base.name, base.sha256()) for base in bases)
    settings = replace(settings_of(config), bases=named)
    texts = {"README.md": "Random weights, to measure speed with.\n"}
    save_checkpoint(
        folder / config.name, module.state_dict(), architecture_json(module), settings, texts
    )


def spread_out(module: torch.nn.Module, x: torch.Tensor) -> None:
    """Let a network with random weights mark a fifth of ``x``, its probabilities spread over
    [0, 1]. Normalisation stays the identity: fitted to ``x`` it would blow up channels that hold
    next to nothing, and with them the rounding of bf16.

    x: what the network reads, float32 (n, channels, height, width).
    """
    head = getattr(module, "segmentation_head", None)
    head = module.head if head is None else head[0]
    module.eval()
    with torch.no_grad():
        head.weight *= 2 / module(x).std()
        head.bias.zero_()
        head.bias -= np.quantile(module(x).numpy(), 0.8)
