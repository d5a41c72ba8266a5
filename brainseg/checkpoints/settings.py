"""What a checkpoint says of itself: the ``brainseg`` part of its ``config.json``, read and checked.

Whatever is read may have been written by a stranger, so every value is looked at before it is used.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from brainseg.config import MAX_SIZE, Config, ConfigError, from_json
from brainseg.models.specs import (
    CORRECTION,
    IMAGE_CHANNELS,
    MODELS,
    PREDICTIONS,
    STACK_INPUTS,
    input_channels,
    reads_image,
)
from brainseg.scans.preprocessing import VERSION

FORMAT = 1
_PLAIN, _HIDDEN = "brainseg", "_brainseg"  # smp hands keys it does not know on to timm encoders,
PARTS = (_PLAIN, _HIDDEN)  # unless hidden
_REQUIRED = ("format", "name", "model", "encoder", "preprocessing", "threshold", "run")
# Bounds far above any real checkpoint, against folders made to exhaust whoever opens them.
MAX_CONFIG_BYTES = 2**20
_MAX_BASES = 16
_MAX_CLASSES = 16
HASHED_ROLES = ("train", "unlabelled", "watched", "start", "maps")
_WRITTEN_APART = ("size", "run", "threshold", "encoder")


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged or not ours; the message names the file."""


@dataclass(frozen=True)
class Base:
    """A checkpoint that a stack reads, by name, and the sha256 of its weights."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Start:
    """What the weights that a run began with had learned: whose, on what, for how many epochs."""

    name: str
    dataset: str
    epochs: int


@dataclass(frozen=True)
class Settings:
    """All that is needed to rebuild a model and use it, and how it was trained.

    size: side of its square input in pixels. threshold: probabilities above it are tumour.
    encoder: by name even where it is the default one, which may change; None if it has none.
    run: the configuration it was trained with; settings that a run is too old to have recorded are
        what ``config.from_json`` makes of them. What is not told is None, 0 or empty.
    classes: names of the classes it tells apart, in the order of its maps; () if there is one map,
        that of tumour.
    encoder_source: the repository or package from which the encoder's first weights came.
    patients: how many it was trained, validated and tested on, by role.
    patient_hashes: by role (``HASHED_ROLES``) whom it was trained on, with masks and without, whom
        it watched to choose epoch and threshold, whom the weights that it began with knew, and whom
        the maps of its bases; see ``checkpoints/patients.py``. Empty where it does not tell.
    precision: in which it was trained: ``bf16``, ``fp16`` or ``no`` (float32).
    """

    name: str
    model: str
    encoder: str | None
    size: int
    threshold: float
    run: Config
    loss: str | None = None
    stack_inputs: str = PREDICTIONS
    dataset: str | None = None
    bases: tuple[Base, ...] = ()
    classes: tuple[str, ...] = ()
    started_from: Start | None = None
    encoder_source: str | None = None
    patients: dict[str, int] = field(default_factory=dict)
    patient_hashes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    epochs_done: int | None = None
    best_epoch: int | None = None
    interrupted: bool = False
    precision: str | None = None
    data_key: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    git_revision: str | None = None

    @property
    def datasets(self) -> tuple[str, ...]:
        """The names of the data sets it was trained on, the first of which it is mainly scored on;
        none if it does not tell."""
        return tuple(dict.fromkeys(self.dataset.split("+"))) if self.dataset else ()

    @property
    def fold(self) -> int:
        """The fold that it is tested on."""
        return self.run.test_fold

    @property
    def is_stack(self) -> bool:
        """Whether it reads other models' predictions."""
        return MODELS[self.model].is_stack

    @property
    def reads_image(self) -> bool:
        """Whether it reads the image, and not predictions alone."""
        return reads_image(self.model, self.stack_inputs)

    @property
    def channels(self) -> int:
        """How many planes it reads: the maps of each base, then those of the image."""
        bases = [base.name for base in self.bases]
        return input_channels(self.model, self.stack_inputs, bases, len(self.classes))

    @property
    def preprocessing(self) -> dict:
        """How its input is prepared: version, size in pixels, channels in their order, and that
        slices whose voxels state other proportions are given square pixels first."""
        return {
            "version": VERSION,
            "size": self.size,
            "channels": list(IMAGE_CHANNELS),
            "square_pixels": True,
        }

    @property
    def total_epochs(self) -> int:
        """Epochs that the weights have seen, those of the weights they started from included."""
        return (self.epochs_done or 0) + (self.started_from.epochs if self.started_from else 0)

    def to_json(self) -> dict:
        """The ``brainseg`` part of ``config.json``; what is not told is left out."""
        told = {
            key: value
            for key, value in asdict(self).items()
            if key not in _WRITTEN_APART and value not in (None, (), {}) and value is not False
        }
        return {
            "format": FORMAT,
            **told,
            "encoder": self.encoder,
            "preprocessing": self.preprocessing,
            "threshold": self.threshold,
            "run": self.run.to_json(),
        }


def settings_of(config: Config) -> Settings:
    """What a run's configuration says of its checkpoint; training adds the rest."""
    return Settings(
        name=config.name,
        model=config.model,
        encoder=config.encoder or MODELS[config.model].encoder,
        size=config.size,
        threshold=0.5,
        run=config,
        loss=config.loss,
        stack_inputs=config.stack_inputs,
        dataset=config.dataset,
        classes=config.classes,
    )


def read_settings(path: Path) -> Settings:
    """The settings in a ``config.json``. Raises CheckpointError for anything not ours."""
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise CheckpointError(
            f"{path} has {path.stat().st_size} bytes: expected at most {MAX_CONFIG_BYTES}."
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        values = dict(our_part(config))
        missing = [key for key in _REQUIRED if key not in values]
    except OSError as error:
        raise CheckpointError(
            f"{path} can't be read ({error.strerror}): expected a file that you may read."
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is not a brainseg configuration ({type(error).__name__}): expected JSON with "
            "a 'brainseg' section. Train or download the checkpoint again."
        ) from error
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(missing)} in its 'brainseg' section.")
    if values["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has format {values['format']}: this version reads {FORMAT}. Update brainseg."
        )
    try:
        settings = settings_from_json(values)
        _check_class(config.get("_model_class"), settings)
    except _Unusable as error:
        raise CheckpointError(
            f"{path} has a part that can't be used: {error}. Train or download it again."
        ) from error
    # What says nothing of square pixels was trained on data for which they make no difference.
    if values["preprocessing"].get("square_pixels", True) is not True:
        raise CheckpointError(
            f"{path} was trained on slices as they are stored, and this brainseg gives them square "
            "pixels first: use the brainseg it was trained with, or train it again."
        )
    found = values["preprocessing"].get("version", VERSION)
    if found != VERSION:
        raise CheckpointError(
            f"{path} was trained on inputs prepared by version {found}, and this brainseg prepares "
            f"them by version {VERSION}: use the brainseg it was trained with, or train it again."
        )
    return settings


def our_part(config: dict) -> dict:
    """What ``config.json`` holds for brainseg. Raises KeyError if there is nothing."""
    return config[_HIDDEN] if _HIDDEN in config else config[_PLAIN]


def join_parts(architecture: dict, settings: Settings) -> dict:
    """``config.json`` from smp's own keys and ours."""
    key = _HIDDEN if str(architecture.get("encoder_name")).startswith("tu-") else _PLAIN
    return {**architecture, key: settings.to_json()}


def is_plain_name(value: object) -> bool:
    """Whether it can be a folder's name, and nothing else: no path, no address, not hidden."""
    return isinstance(value, str) and bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", value))


class _Unusable(ValueError):
    """A value that is not what training writes."""


def settings_from_json(values: dict) -> Settings:
    """Settings from what ``Settings.to_json`` gives, checked. Raises ValueError that names the
    part. Encoders must be plain names because timm takes some with a colon or slash for addresses
    on the Hub."""
    preprocessing, encoder = values["preprocessing"], values["encoder"]
    size = preprocessing.get("size") if isinstance(preprocessing, dict) else None
    for key in ("name", "model"):
        _need(is_plain_name(values[key]), key, values[key], "a plain name")
    if values["model"] not in MODELS:
        known = ", ".join(MODELS)
        raise _Unusable(f"Unknown model {_short(values['model'])!r}, expected one of {known}")
    stack_inputs = values.get("stack_inputs", PREDICTIONS)
    _need(stack_inputs in STACK_INPUTS, "stack inputs", stack_inputs, " or ".join(STACK_INPUTS))
    _need(encoder is None or is_plain_name(encoder), "encoder", encoder, "null or a plain name")
    _need(
        type(size) is int and size % 32 == 0 and 32 <= size <= MAX_SIZE,
        "preprocessing.size", size, f"a multiple of 32 up to {MAX_SIZE}",
    )  # fmt: skip
    threshold = values["threshold"]
    _need(
        type(threshold) in (int, float) and 0 <= threshold < 1,
        "threshold", threshold, "from 0 to below 1, above which nothing is marked",
    )  # fmt: skip
    told = {key: values[key] for key in _OPTIONAL if values.get(key) is not None}
    for key, value in told.items():
        kinds, expected = _OPTIONAL[key]
        _need(isinstance(value, kinds), key, value, expected)
    source = told.get("encoder_source", "-")  # cards show it
    plain = re.fullmatch(r"[\w ./-]{1,120}", source)
    _need(plain is not None, "encoder_source", source, "up to 120 letters, digits, spaces, - . /")
    bases = _bases(values.get("bases", []))
    if bool(bases) != MODELS[values["model"]].is_stack:
        raise _Unusable(
            f"it names {len(bases) or 'no'} bases, which does not go with {values['model']}"
        )
    return Settings(
        name=values["name"],
        model=values["model"],
        encoder=encoder,
        size=size,
        threshold=threshold,
        run=_run(values["run"]),
        stack_inputs=stack_inputs,
        bases=bases,
        classes=_classes(values.get("classes", [])),
        started_from=_start(values["started_from"]) if "started_from" in values else None,
        patient_hashes=_hashes(values.get("patient_hashes", {})),
        **told,
    )


_OPTIONAL = {
    "loss": (str, "a name"),
    "dataset": (str, "a name"),
    "encoder_source": (str, "a name"),
    "patients": (dict, "numbers by role"),
    "epochs_done": (int, "a number"),
    "best_epoch": (int, "a number"),
    "interrupted": (bool, "true or false"),
    "precision": (str, "a name"),
    "data_key": (str, "a name"),
    "versions": (dict, "versions by package"),
    "git_revision": (str, "a commit"),
}


def _run(values: object) -> Config:
    _need(isinstance(values, dict), "run", values, "a set of settings")
    try:
        return from_json(values)
    except ConfigError as error:
        raise _Unusable(f"run: {_short(str(error), 200)}") from error


def _bases(values: object) -> tuple[Base, ...]:
    good = isinstance(values, list) and len(values) <= _MAX_BASES and all(
        isinstance(base, dict)
        and is_plain_name(base.get("name"))
        and isinstance(base.get("sha256"), str)
        for base in values
    )  # fmt: skip
    if not good:
        raise _Unusable(f"bases are not up to {_MAX_BASES} pairs of a plain name and a sha256")
    return tuple(Base(base["name"], base["sha256"]) for base in values)


def _classes(values: object) -> tuple[str, ...]:
    good = isinstance(values, list) and len(values) <= _MAX_CLASSES and len(values) != 1
    good = good and all(
        isinstance(name, str) and re.fullmatch(r"[\w()+,/ -]{1,40}", name) for name in values
    )
    if not good or len(set(values)) < len(values):
        raise _Unusable(f"classes are not 2 to {_MAX_CLASSES} different names, or none")
    return tuple(values)


def _start(value: object) -> Start:
    good = (
        isinstance(value, dict)
        and is_plain_name(value.get("name"))
        and isinstance(value.get("dataset"), str)
        and all(map(is_plain_name, value["dataset"].split("+")))
        and type(value.get("epochs")) is int
    )
    if not good:
        raise _Unusable("started_from is no plain name with a data set and a number of epochs")
    return Start(value["name"], value["dataset"], value["epochs"])


def _hashes(value: object) -> dict[str, tuple[str, ...]]:
    good = isinstance(value, dict) and all(
        role in HASHED_ROLES
        and isinstance(own, list)
        and all(isinstance(h, str) and re.fullmatch("[0-9a-f]{16}", h) for h in own)
        for role, own in value.items()
    )
    if not good:
        raise _Unusable("patient_hashes are not lists of 16 hexadecimal digits by role")
    return {role: tuple(own) for role, own in value.items()}


def _check_class(smp_class: object, settings: Settings) -> None:
    expected = MODELS[settings.model].smp_class
    if settings.is_stack and settings.run.stack_output == CORRECTION:
        expected = f"Correcting{expected}"
    if smp_class is not None and smp_class != expected:
        raise _Unusable(f"_model_class is {_short(repr(smp_class))}, which {settings.model} is not")


def _need(holds: bool, key: str, value: object, expected: str) -> None:
    if not holds:
        raise _Unusable(f"{key} is {_short(repr(value))}, expected {expected}")


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[:most]}..."
