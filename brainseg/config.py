"""The resolved configuration of one run: everything that decides its weights, and nothing else."""

from __future__ import annotations

import dataclasses
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path

from brainseg.data.splits import FOLDS
from brainseg.models.consistency import SEMI
from brainseg.models.losses import LOSSES
from brainseg.models.specs import (
    ATROUS_RATES,
    CLASSES_SUFFIX,
    CORRECTION,
    MASK,
    MODELS,
    PAIRS,
    PREDICTIONS,
    SINGLES,
    STACK_INPUTS,
    STACK_MAPS,
    STACK_OUTPUTS,
    WITH_IMAGE,
    atrous_warning,
    maps_of,
    reads_image,
)

LEAKS = {  # mistakes made on purpose, in words
    "slices": "split by slice: a patient's slices on both sides",
    "in-sample": "stack fitted on predictions for its bases' own training patients",
}
# Keys of older configurations that no longer decide anything, or are said otherwise now.
DROPPED = ("precision", "stack_folds", "held_out_block")
# Settings of semi-supervised runs alone.
SEMI_SETTINGS = ("unlabelled_ratio", "semi_weight", "semi_ramp", "sure", "strong")
# What runs did before these could be set, where that is not the default.
BEFORE = {
    "atrous_rates": (12, 24, 36),
    "stack_output": MASK,
    "missing_share": 0.0,
    "strip_share": 0.0,
}

MAX_SIZE = 2048  # pixels; far above any real network input
_LEAST = {"seed": 0, "batch_size": 2, "size": 32}  # of whole numbers; the others are 1 or more


class ConfigError(ValueError):
    """A setting out of range, an unknown key, or settings that do not go together."""


def _setting(default, text: str, **flag):
    """A field with what ``train.py --help`` says of it: ``text`` with its unit, and ``group``,
    ``metavar``, ``choices``, ``nargs`` or ``type`` of the flag; without a group it has none of its
    own and is given by ``--set``."""
    return field(default=default, metadata={"help": text, **flag})


WHAT, DATA, HOW = "what to train", "data", "optimisation"


@dataclass(frozen=True)
class Config:
    """One run. Paths and hardware are not in it: they must not change the result's identity.
    Precision is hardware in this sense: bf16 is used where the processor has it, and changes a
    result no more than another number of threads or processes does, so that a run can move
    between machines. The checkpoint records which one was used.

    Settings that a model does not have (a stack's or atrous rates for other models, encoder
    weights for the self-defined U-Net) take their default, as an encoder does that is the model's
    own, so that they never make two runs of one.
    """

    model: str = _setting("unet_resnet34", "one or several", group=WHAT, nargs="+",
        choices=(*MODELS, "all"))  # fmt: skip
    loss: str = _setting("bce", "hybrid: 0.7 BCE + 0.3 Dice", group=WHAT, nargs="+",
        choices=(*LOSSES, "all"))  # fmt: skip
    encoder: str | None = _setting(None, "any smp or timm (tu-...) encoder; not for unet",
        group=WHAT, metavar="NAME")  # fmt: skip
    encoder_weights: str | None = _setting("imagenet", "what encoders start from", group=WHAT,
        choices=("imagenet", "none"))  # fmt: skip
    atrous_rates: tuple[int, int, int] = _setting(ATROUS_RATES, "of the three atrous convolutions "
        "of both DeepLabV3+; those of size / 16 or more see nothing but the centre", group=WHAT,
        nargs=3, type=int, metavar="N")  # fmt: skip
    init_from: str | None = None  # sha256 of the weights a run starts from
    stack_inputs: str = _setting(PREDICTIONS, "what a U-Net++ reads", group=WHAT,
        choices=STACK_INPUTS)  # fmt: skip
    stack_output: str = _setting(MASK, "what a U-Net++ gives: a mask of its own, or a correction "
        "of the mean of what it reads", group=WHAT, choices=STACK_OUTPUTS)  # fmt: skip
    stack_maps: str = _setting(PAIRS, "whose predictions a U-Net++ is fitted on: of pairs, bases "
        "that have left out the predicted fold and its test fold, or of singles, which have left "
        "out the predicted one alone: fewer runs, but they know the test fold", group=WHAT,
        choices=STACK_MAPS)  # fmt: skip
    bases: tuple[str, ...] = _setting((), "checkpoints whose predictions a U-Net++ reads (default: "
        "the U-Net and the DeepLabV3+ of its kind, with BCE)", group=WHAT, nargs="+",
        metavar="NAME")  # fmt: skip
    leak: str | None = _setting(None, "make a mistake on purpose, to measure what it feigns: split "
        "by slice, or fit a U-Net++ on predictions for its bases' own training patients",
        group=WHAT, choices=tuple(LEAKS))  # fmt: skip
    dataset: str = _setting("lgg", "one, or several for one training", group=DATA, nargs="+")
    classes: tuple[str, ...] = ()  # told apart, in the order of their values; () is tumour or not
    shares: tuple[float, ...] = _setting((), "of each data set's tumour slices, drawn anew each "
        "epoch (default: all)", group=DATA, nargs="+", metavar="SHARE", type=float)  # fmt: skip
    labelled: float | None = _setting(None, "training patients of each data set whose masks are "
        "used: a share, or, from 2 on, how many. A hash chooses, by the seed; few lie among many "
        "(default: all)", group=DATA, metavar="SHARE", type=float)  # fmt: skip
    unlabelled: str | None = None  # sha256 of the scans of --unlabelled
    limit_patients: int | None = _setting(None, "only the first so many patients of each data set")
    left_out: tuple[int, ...] = (0, 1)  # folds not trained on: one is tested, a second watched
    watch: bool = _setting(True, "whether the second fold left out chooses epoch and threshold; "
        "the weights are those at the end if not")  # fmt: skip
    size: int = _setting(192, "side of the square network input", group=DATA, metavar="PIXELS")
    small_share: float = _setting(0.0, "of the epochs, the first ones, at two thirds of the size")
    epochs: int = _setting(30, "every tumour slice once an epoch", group=HOW, metavar="N")
    semi: str | None = _setting(None, "learn from slices without a mask too: those of training "
        "patients whom --labelled leaves out, and of --unlabelled (default: don't)", group=HOW,
        choices=tuple(SEMI))  # fmt: skip
    steps_per_epoch: int | None = _setting(None, "optimisation steps in an epoch, however many "
        "slices there are; null: as many as see every tumour slice once")  # fmt: skip
    val_every: int = _setting(1, "epochs; the first and the last are validated in any case")
    batch_size: int = _setting(16, "lower it when memory is short", group=HOW, metavar="SLICES")
    lr: float = _setting(6e-4, "peak learning rate of AdamW, one cycle", group=HOW, metavar="RATE")
    weight_decay: float = _setting(1e-2, "of AdamW")
    patience: int = _setting(12, "validated epochs without a better Dice, after which it stops")
    empty_share: float = _setting(0.6, "slices without tumour an epoch, of those with")
    slice_share: float = _setting(0.25, "of the samples, normalised by their own slice")
    grey_share: float = _setting(0.1, "of the samples, one sequence in all channels")
    missing_share: float = _setting(0.2, "of the samples, FLAIR in the place of T1 or T1c")
    strip_share: float = _setting(0.2, "of the samples, the skull taken away")
    augmentation: float = _setting(1.0, "strength of flips, turns, shifts, grey levels and noise")
    ema: float = _setting(0.995, "of the weights' running average, which is scored and shipped; "
        "at step n it is at most (1 + n) / (10 + n), so 0.995 from step 1,790 on")  # fmt: skip
    unlabelled_ratio: float = _setting(1.0, "with semi: slices without a mask in a batch, to each "
        "of batch_size with one")  # fmt: skip
    semi_weight: float = _setting(1.0, "with semi: of the disagreement in the loss")
    semi_ramp: float = _setting(0.3, "with semi: share of all steps, in which that weight rises")
    sure: float = _setting(0.9, "with semi: probability from which the teacher is sure of a pixel")
    strong: float = _setting(2.0, "with semi: how much stronger than elsewhere grey levels and "
        "noise change in what the student sees")  # fmt: skip
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self.model in MODELS, "model", self.model, f"one of {', '.join(MODELS)}")
        _check(self.loss in LOSSES, "loss", self.loss, f"one of {', '.join(LOSSES)}")
        self._check_numbers()
        if not self.is_stack:
            for key in ("stack_inputs", "stack_output", "stack_maps", "bases"):
                object.__setattr__(self, key, getattr(Config, key))
        elif not self.bases:
            suffix = CLASSES_SUFFIX if self.classes else ""
            bases = tuple(base + suffix for base in MODELS[self.model].bases)
            object.__setattr__(self, "bases", bases)
        self._check_bases()
        if self.leak:  # which has its own maps
            object.__setattr__(self, "stack_maps", PAIRS)
        if not MODELS[self.model].is_atrous:
            object.__setattr__(self, "atrous_rates", ATROUS_RATES)
        if self.encoder == MODELS[self.model].encoder:
            object.__setattr__(self, "encoder", None)
        if MODELS[self.model].encoder is None:
            object.__setattr__(self, "encoder_weights", None)
        self._check_datasets()
        self._check_classes()
        self._check_labels()
        good = self.size % 32 == 0 and self.size <= MAX_SIZE
        _check(good, "size", self.size, f"a multiple of 32 up to {MAX_SIZE}")
        self._check_folds()
        rates = self.atrous_rates
        good = isinstance(rates, tuple) and len(rates) == 3
        good = good and all(type(rate) is int and 1 <= rate <= 128 for rate in rates)
        _check(good, "atrous_rates", rates, "three whole numbers from 1 to 128")
        for key in ("weight_decay", "empty_share", "augmentation"):
            _check(getattr(self, key) >= 0, key, getattr(self, key), "0 or more")
        for key in ("small_share", "slice_share", "grey_share", "missing_share", "strip_share"):
            _check(0 <= getattr(self, key) <= 1, key, getattr(self, key), "0 to 1")
        _check(self.lr > 0, "lr", self.lr, "a number above 0")
        leak = tuple(LEAKS)[self.is_stack]
        _check(self.leak in (None, leak), "leak", self.leak, f"{leak} with {self.model}, or none")
        _check(0 <= self.ema < 1, "ema", self.ema, "0 (off) or more, below 1")
        weights = self.encoder_weights
        _check(weights in ("imagenet", None), "encoder_weights", weights, "imagenet or none")

    def _check_numbers(self) -> None:
        # What JSON gives may be 2.5, true or Infinity, and Python takes true for 1.
        for setting in dataclasses.fields(self):
            key, kind, value = setting.name, setting.type, getattr(self, setting.name)
            if kind == "bool":
                _check(type(value) is bool, key, value, "true or false")
            elif kind == "float":
                good = type(value) in (int, float) and abs(value) <= sys.float_info.max
                _check(good, key, value, "a number")
            elif kind == "int" or (kind == "int | None" and value is not None):
                least = _LEAST.get(key, 1)
                good = type(value) is int and least <= value < 2**32
                expected = f"a whole number from {least} to 2**32 - 1"
                _check(good, key, value, expected + ", or null" * (kind != "int"))

    def _check_bases(self) -> None:
        for base in self.bases:
            _check(isinstance(base, str), "bases", base, "names")
            spec = MODELS.get(base.partition("-")[0])
            good = not (spec and spec.is_stack)
            _check(good, "bases", base, "models that read images, not others' predictions")
            good = bool(self.classes) or not base.endswith(CLASSES_SUFFIX)
            _check(good, "bases", base, "no base that tells classes apart, or --classes too")
        kinds = {maps_of(base, len(self.classes)) for base in self.bases}
        good = self.stack_output != CORRECTION or len(kinds) == 1
        expected = "for a correction bases that all tell classes apart, or none"
        _check(good, "bases", self.bases, expected)

    def _check_datasets(self) -> None:
        _check(isinstance(self.dataset, str), "dataset", self.dataset, "a name")
        names, shares = self.datasets, tuple(self.shares)
        _check(len(set(names)) == len(names), "dataset", self.dataset, "each data set once")
        wanted = f"one for each data set ({', '.join(names)}), or none"
        _check(len(shares) in (0, len(names)), "shares", self.shares, wanted)
        for share in shares:
            is_number = isinstance(share, int | float)
            _check(is_number and 0 < share <= 1, "shares", share, "above 0 and up to 1")
        shares = () if set(shares) == {1} else tuple(map(float, shares))
        object.__setattr__(self, "shares", shares)

    def _check_classes(self) -> None:
        names = self.classes
        good = isinstance(names, tuple) and len(set(names)) == len(names) and len(names) != 1
        good = good and all(isinstance(name, str) and name for name in names)
        _check(good, "classes", names, "two or more different names, or none")

    def _check_labels(self) -> None:
        if self.semi is None:
            for key in SEMI_SETTINGS:
                object.__setattr__(self, key, getattr(Config, key))
        _check(self.semi in (None, *SEMI), "semi", self.semi, f"one of {', '.join(SEMI)}, or none")
        labelled = self.labelled
        if labelled is not None:
            good = isinstance(labelled, int | float) and math.isfinite(labelled)
            good = good and (0 < labelled < 1 or (labelled >= 2 and labelled == int(labelled)))
            _check(good, "labelled", labelled, "a share between 0 and 1, or a number from 2 on")
            object.__setattr__(self, "labelled", float(labelled))
        plain = not (self.is_stack or self.leak)  # whose bases, or twin, have other masks
        for key in ("labelled", "semi"):
            expected = "none for a stack, and with a leak"
            _check(plain or getattr(self, key) is None, key, getattr(self, key), expected)
        expected = "a method, since --unlabelled gives scans to learn from"
        _check(self.semi is not None or self.unlabelled is None, "semi", self.semi, expected)
        _check(self.unlabelled_slices >= 1, "unlabelled_ratio", self.unlabelled_ratio,
               f"a slice or more beside {self.batch_size} with masks")  # fmt: skip
        _check(self.semi_weight >= 0, "semi_weight", self.semi_weight, "0 or more")
        _check(0 <= self.semi_ramp <= 1, "semi_ramp", self.semi_ramp, "0 to 1")
        _check(0.5 <= self.sure < 1, "sure", self.sure, "0.5 or more, below 1")
        _check(self.strong >= 0, "strong", self.strong, "0 or more")

    def _check_folds(self) -> None:
        folds = self.left_out
        good = isinstance(folds, tuple) and len(folds) in (1, 2) and len(set(folds)) == len(folds)
        good = good and all(type(fold) is int and fold in range(FOLDS) for fold in folds)
        _check(good, "left_out", folds, f"one fold or two different ones, 0 to {FOLDS - 1}")
        if len(folds) == 1:
            object.__setattr__(self, "watch", False)
        _check(self.watch or not self.leak, "leak", self.leak, "none where no fold is watched")

    @property
    def test_fold(self) -> int:
        """The fold whose patients it is tested on."""
        return self.left_out[0]

    @property
    def watched_fold(self) -> int | None:
        """The fold that chooses the epoch and the threshold, if one does."""
        return self.left_out[1] if self.watch else None

    @property
    def is_helper(self) -> bool:
        """Whether it is there for other runs: two folds left out, and neither has a part in it."""
        return len(self.left_out) == 2 and not self.watch

    @property
    def unseen_folds(self) -> tuple[int, ...]:
        """The folds that had no part in the run, whose patients it may be judged by."""
        return tuple(fold for fold in self.left_out if fold != self.watched_fold)

    @property
    def training_folds(self) -> tuple[int, ...]:
        return tuple(fold for fold in range(FOLDS) if fold not in self.left_out)

    @property
    def datasets(self) -> tuple[str, ...]:
        """The names of its data sets, the first of which is the one it is mainly scored on."""
        return tuple(self.dataset.split("+"))

    @property
    def is_stack(self) -> bool:
        """Whether it reads other models' predictions."""
        return MODELS[self.model].is_stack

    @property
    def reads_image(self) -> bool:
        """Whether it reads the image, and not predictions alone."""
        return reads_image(self.model, self.stack_inputs)

    @property
    def unlabelled_slices(self) -> int:
        """Slices without a mask in a batch of a semi-supervised run."""
        return round(self.unlabelled_ratio * self.batch_size)

    @property
    def small_epochs(self) -> int:
        """How many epochs, from the first one, train at ``small_size`` pixels."""
        return round(self.small_share * self.epochs)

    @property
    def small_size(self) -> int:
        return max(32, round(self.size * 2 / 3 / 32) * 32)

    @property
    def name(self) -> str:
        """The checkpoint's name: ``<model>[-<encoder>]-<loss>``, with ``-classes`` behind it if it
        tells some apart."""
        name = "-".join(filter(None, (self.model, self.encoder, self.loss)))
        return name + CLASSES_SUFFIX if self.classes else name

    @property
    def masks_suffix(self) -> str:
        """``-labelled8-fixmatch-and-1a2b3c4d``: which masks it does without, what it learns there,
        and from which scans beside; "" where it uses all."""
        suffix = f"-labelled{self.labelled:g}" if self.labelled else ""
        suffix += f"-{self.semi}" if self.semi else ""
        return suffix + (f"-and-{self.unlabelled[:8]}" if self.unlabelled else "")

    @property
    def atrous_warning(self) -> str | None:
        """What to say if some of its atrous convolutions see nothing but the centre."""
        return atrous_warning(self.model, self.atrous_rates, self.size)

    @property
    def variant(self) -> str:
        """``-correction-from-1a2b3c4d``: what is unusual of it; "" of most."""
        parts = (
            "-image" * (self.stack_inputs == WITH_IMAGE),
            "-correction" * (self.stack_output == CORRECTION),
            "-singles" * (self.stack_maps == SINGLES),
            f"-from-{self.init_from[:8]}" if self.init_from else "",
            self.masks_suffix,
            f"-leak-{self.leak}" if self.leak else "",
            "-unwatched" * self.is_helper,
        )
        return "".join(parts)

    @property
    def title(self) -> str:
        """What tells it from others of a command: ``unet-bce on lgg without fold 3, seed 1``."""
        folds = " and ".join(map(str, self.left_out))
        return f"{self.name}{self.variant} on {self.dataset} without fold {folds}, seed {self.seed}"

    def run_folder(self, runs: Path) -> Path:
        """``<runs>/<dataset>/<name>/without<k>+<j>-seed<s>``, with its variant behind it."""
        run = f"without{'+'.join(map(str, self.left_out))}-seed{self.seed}{self.variant}"
        return runs / self.dataset / self.name / run

    def to_json(self) -> dict:
        return dataclasses.asdict(self)

    def differences(self, other: Config) -> str:
        """``"epochs 20 instead of 10, ..."``: what ``other`` has instead of what this one has."""
        mine, theirs = self.to_json(), other.to_json()
        return ", ".join(
            f"{key} {theirs[key]} instead of {mine[key]}"
            for key in mine
            if mine[key] != theirs[key]
        )


def from_json(values: dict) -> Config:
    """A Config from its ``to_json``, also that of an older version; an unknown key is an error that
    names it."""
    known = {field.name for field in dataclasses.fields(Config)}
    values = BEFORE | {key: value for key, value in values.items() if key not in DROPPED}
    fold = values.pop("fold", None)
    if unknown := sorted(set(values) - known):
        raise ConfigError(
            f"Unknown configuration key {unknown[0]!r}: known are {', '.join(sorted(known))}."
        )
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    try:
        if fold is not None:
            values["left_out"] = (fold, (fold + 1) % FOLDS)
        return Config(**values)
    except ConfigError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"A configuration value has the wrong type: {error}.") from error


def _check(holds: bool, key: str, value: object, expected: str) -> None:
    if not holds:
        raise ConfigError(f"{key} is {value!r}: expected {expected}.")
