"""The resolved configuration of one run: everything that decides its weights, and nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

STACKS = ("unetpp",)  # models that read other models' predictions
LEAKS = ("slices", "in-sample")  # mistakes made on purpose, see data/splits.py


class ConfigError(ValueError):
    """A setting out of range, an unknown key, or settings that do not go together."""


@dataclass(frozen=True)
class Config:
    """One run. Paths and hardware are not in it: they must not change the result's identity.

    Settings that a model does not have (a stack's for other models, encoder weights for the
    self-defined U-Net) take their default, so that they never make two runs of one.
    """

    model: str = "unet_resnet34"
    loss: str = "bce"
    encoder: str | None = None  # None: the model's default
    encoder_weights: str | None = "imagenet"
    init_from: str | None = None  # sha256 of the weights a run starts from
    stack_inputs: str = "predictions"
    stack_folds: int = 3
    bases: tuple[str, ...] = ("unet_resnet34-bce", "deeplabv3plus-bce")
    dataset: str = "lgg"
    limit_patients: int | None = None
    fold: int = 0
    held_out_block: tuple[int, int] | None = None  # helper of a stack: block i of n is left out
    leak: str | None = None  # one of LEAKS
    size: int = 192
    small_share: float = 0.0  # of the epochs, the first ones, at two thirds of the size
    epochs: int = 30
    val_every: int = 1  # epochs; the first and the last are validated in any case
    batch_size: int = 16
    lr: float = 6e-4
    weight_decay: float = 1e-2
    patience: int = 12
    empty_share: float = 0.6
    slice_share: float = 0.25
    grey_share: float = 0.1
    ema: float = 0.995  # of the weights' running average, which is what is scored and shipped
    seed: int = 0
    precision: str = "auto"

    def __post_init__(self) -> None:
        if self.model not in STACKS:
            for key in ("stack_inputs", "stack_folds", "bases"):
                object.__setattr__(self, key, getattr(Config, key))
        if self.model == "unet":
            object.__setattr__(self, "encoder_weights", None)
        _check(self.size % 32 == 0 and self.size >= 32, "size", self.size, "a multiple of 32")
        _check(self.fold in range(5), "fold", self.fold, "0 to 4")
        _check(self.epochs >= 1, "epochs", self.epochs, "1 or more")
        _check(self.batch_size >= 2, "batch_size", self.batch_size, "2 or more")
        _check(self.lr > 0, "lr", self.lr, "a number above 0")
        _check(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        _check(self.patience >= 1, "patience", self.patience, "1 or more")
        _check(self.stack_folds >= 2, "stack_folds", self.stack_folds, "2 or more")
        leak = LEAKS[self.model in STACKS]
        _check(self.leak in (None, leak), "leak", self.leak, f"{leak} with {self.model}, or none")
        _check(self.empty_share >= 0, "empty_share", self.empty_share, "0 or more")
        _check(self.val_every >= 1, "val_every", self.val_every, "1 or more")
        for share in ("small_share", "slice_share", "grey_share"):
            _check(0 <= getattr(self, share) <= 1, share, getattr(self, share), "0 to 1")
        _check(0 <= self.ema < 1, "ema", self.ema, "0 (off) or more, below 1")
        _check(
            self.encoder_weights in ("imagenet", None),
            "encoder_weights",
            self.encoder_weights,
            "imagenet or none",
        )

    @property
    def small_epochs(self) -> int:
        """How many epochs, from the first one, train at ``small_size`` pixels."""
        return round(self.small_share * self.epochs)

    @property
    def small_size(self) -> int:
        return max(32, round(self.size * 2 / 3 / 32) * 32)

    @property
    def name(self) -> str:
        """The checkpoint's name: ``<model>[-<encoder>]-<loss>``."""
        return "-".join(filter(None, (self.model, self.encoder, self.loss)))

    def run_folder(self, runs: Path) -> Path:
        """``<runs>/<dataset>/<name>/fold<k>-seed<s>``, with ``-image``, ``-from-<sha256>``,
        ``-leak-<which>`` or, for a stack's helper, ``-without<i>of<n>`` behind it."""
        run = f"fold{self.fold}-seed{self.seed}"
        if self.stack_inputs == "predictions+image":
            run += "-image"
        if self.init_from:
            run += f"-from-{self.init_from[:8]}"
        if self.leak:
            run += f"-leak-{self.leak}"
        if self.held_out_block:
            run += "-without{}of{}".format(*self.held_out_block)
        return runs / self.dataset / self.name / run

    def to_json(self) -> dict:
        return dataclasses.asdict(self)

    def differences(self, other: Config) -> str:
        """``"epochs 20 instead of 10, ..."``: what this one has where ``other`` differs."""
        mine, theirs = self.to_json(), other.to_json()
        return ", ".join(
            f"{key} {theirs[key]} instead of {mine[key]}"
            for key in mine
            if mine[key] != theirs[key]
        )

    @property
    def hash(self) -> str:
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def from_json(values: dict) -> Config:
    """A Config from its ``to_json``; an unknown key is an error that names it."""
    known = {field.name for field in dataclasses.fields(Config)}
    if unknown := sorted(set(values) - known):
        raise ConfigError(
            f"Unknown configuration key {unknown[0]!r}: known are {', '.join(sorted(known))}."
        )
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    try:
        return Config(**values)
    except TypeError as error:
        raise ConfigError(f"A configuration value has the wrong type: {error}.") from error


def _check(holds: bool, key: str, value: object, expected: str) -> None:
    if not holds:
        raise ConfigError(f"{key} is {value!r}: expected {expected}.")
