"""The checkpoint folder: saved in one piece or not at all, loaded without running foreign code.

``<name>/model.safetensors``  weights, fp16 (normalisation counters keep their type)
``<name>/config.json``        all that is needed to rebuild and use the model. smp models keep
                              smp's own keys at the top level, so ``smp.from_pretrained`` loads
                              the folder; ours lie under ``brainseg`` (``_brainseg`` beside a
                              timm encoder)
``<name>/metrics.json``       scores on the validation and the test fold
``<name>/history.csv``        one row per epoch
``<name>/README.md``          the model card
``<name>/origin.json``        of one pulled from the Hub: its repository, commit and checksums
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from brainseg.config import Config
from brainseg.files import writing
from brainseg.scans.preprocessing import VERSION

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
METRICS, HISTORY, ORIGIN = "metrics.json", "history.csv", "origin.json"
_REQUIRED = ("format", "name", "model", "encoder", "preprocessing", "threshold", "run")
_HIDDEN = "_brainseg"
FORMAT = 1
# Bounds far above any real checkpoint, against folders made to exhaust whoever opens them.
_MAX_CONFIG_BYTES = 2**20
_MAX_SIZE = 2048
_MAX_BASES = 16
_SMP_CLASSES = {"unet_resnet34": "Unet", "deeplabv3plus": "DeepLabV3Plus", "unetpp": "UnetPlusPlus"}


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged or not ours; the message names the file."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder whose ``config.json`` has been read and checked; no weights yet.

    settings: the ``brainseg`` part of ``config.json``.
    """

    folder: Path
    settings: dict

    @property
    def name(self) -> str:
        return self.settings["name"]

    @property
    def bases(self) -> list[dict]:
        """``{"name", "sha256"}`` of each base a stack reads; empty for other models."""
        return self.settings.get("bases", [])

    @property
    def total_epochs(self) -> int:
        """Epochs that the weights have seen, those of the weights they started from included."""
        return self.settings["epochs_done"] + self.settings.get("started_from", {}).get("epochs", 0)

    @property
    def origin(self) -> dict | None:
        """Of a checkpoint from the Hub: ``{"repo", "revision", "asked", "sha256"}``, the revision
        being the full commit id. None for others."""
        path = self.folder / ORIGIN
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def sha256(self) -> str:
        with open(self.folder / WEIGHTS, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def read_checkpoint(folder: str | Path) -> Checkpoint:
    """Read and check ``config.json``. Raises CheckpointError for anything not ours."""
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is not a checkpoint folder: expected a folder with {CONFIG} and {WEIGHTS}."
        )
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder} has no {name}: it is no complete checkpoint folder.")
    return Checkpoint(folder, read_settings(folder / CONFIG))


def read_settings(path: Path) -> dict:
    """The ``brainseg`` part of a ``config.json``, checked as something a stranger may have written.

    Raises CheckpointError for anything not ours.
    """
    if path.stat().st_size > _MAX_CONFIG_BYTES:
        raise CheckpointError(
            f"{path} has {path.stat().st_size} bytes: expected at most {_MAX_CONFIG_BYTES}."
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        settings = dict(our_part(config))
        missing = [key for key in _REQUIRED if key not in settings]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is not a brainseg configuration ({type(error).__name__}): expected JSON with "
            "a 'brainseg' section. Train or download the checkpoint again."
        ) from error
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(missing)} in its 'brainseg' section.")
    if settings["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has format {settings['format']}: this version reads {FORMAT}. Update brainseg."
        )
    if unusable := _unusable(config, settings):
        raise CheckpointError(
            f"{path} has a part that can't be used: {unusable}. Train or download it again."
        )
    found = settings["preprocessing"].get("version", VERSION)
    if found != VERSION:
        raise CheckpointError(
            f"{path} was trained on inputs prepared by version {found}, and this brainseg prepares "
            f"them by version {VERSION}: use the brainseg it was trained with, or train it again."
        )
    return settings


def our_part(config: dict) -> dict:
    """What ``config.json`` holds for brainseg. Raises KeyError if there is nothing."""
    return config[_HIDDEN] if _HIDDEN in config else config["brainseg"]


def is_plain_name(value: object) -> bool:
    """Whether it can be a folder's name, and nothing else: no path, no address, not hidden."""
    return isinstance(value, str) and bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", value))


def _unusable(config: dict, settings: dict) -> str | None:
    """What is wrong with a part, or None. Encoders must be plain names because timm takes some
    with a colon or slash for addresses on the Hub."""
    preprocessing, bases = settings["preprocessing"], settings.get("bases", [])
    size = preprocessing.get("size") if isinstance(preprocessing, dict) else None
    threshold, encoder = settings["threshold"], settings["encoder"]
    for key in ("name", "model"):
        if not is_plain_name(settings[key]):
            return f"{key} is {_short(settings[key])}, expected a plain name"
    if not (encoder is None or is_plain_name(encoder)):
        return f"encoder is {_short(encoder)}, expected null or a plain name"
    if type(size) is not int or size % 32 or not 32 <= size <= _MAX_SIZE:
        return f"preprocessing.size is {_short(size)}, expected a multiple of 32 up to {_MAX_SIZE}"
    if type(threshold) not in (int, float) or not 0 <= threshold <= 1:
        return f"threshold is {_short(threshold)}, expected 0 to 1"
    if not isinstance(settings["run"], dict):
        return "run is no set of settings"
    if not isinstance(bases, list) or len(bases) > _MAX_BASES or not all(map(_is_base, bases)):
        return f"bases are not up to {_MAX_BASES} pairs of a plain name and a sha256"
    if "started_from" in settings and not _is_start(settings["started_from"]):
        return "started_from is no plain name with a data set and a number of epochs"
    smp_class = config.get("_model_class")
    if smp_class is not None and smp_class != _SMP_CLASSES.get(settings["model"]):
        return f"_model_class is {_short(smp_class)}, which {settings['model']} is not"
    return None


def _is_base(base: object) -> bool:
    return (
        isinstance(base, dict)
        and is_plain_name(base.get("name"))
        and isinstance(base.get("sha256"), str)
    )


def _is_start(start: object) -> bool:
    return (
        isinstance(start, dict)
        and is_plain_name(start.get("name"))
        and is_plain_name(start.get("dataset"))
        and type(start.get("epochs")) is int
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def find_checkpoints(root: str | Path) -> tuple[list[Checkpoint], list[str]]:
    """All checkpoints below ``root`` (or ``root`` itself), sorted by name, and why others were
    left out, one sentence each."""
    root = Path(root)
    if not root.is_dir():
        raise CheckpointError(f"{root} is not a folder: expected a folder of checkpoints.")
    # A hidden folder is what a killed save left.
    folders = sorted(
        path.parent
        for path in root.rglob(CONFIG)
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
    found, skipped = [], []
    for folder in folders:
        try:
            found.append(read_checkpoint(folder))
        except CheckpointError as error:
            skipped.append(str(error))
    return sorted(found, key=lambda c: (c.name, str(c.folder))), skipped


def find_base(stack: Checkpoint, base: dict) -> Checkpoint:
    """The checkpoint a stack reads: beside it in ``checkpoints/``, or its sibling in ``runs/``.

    Raises CheckpointError if it isn't there or is not the one the stack was fitted on.
    """
    run = "-".join(stack.folder.name.split("-")[:2])  # without -image and the like
    candidates = [
        stack.folder.parent / base["name"],
        stack.folder.parent.parent / base["name"] / run,
    ]
    for folder in candidates:
        if (folder / CONFIG).is_file():
            found = read_checkpoint(folder)
            if found.sha256() != base["sha256"]:
                raise CheckpointError(
                    f"{stack.folder} was fitted on other weights of {base['name']} than those in "
                    f"{folder}: restore them, or train the stack again."
                )
            return found
    raise CheckpointError(
        f"{stack.folder} reads the predictions of {base['name']}, which is not there: expected "
        f"{candidates[0]}."
    )


def load_module(checkpoint: Checkpoint):
    """The network with its weights in float32, in evaluation mode, on the CPU.

    The header of the weights is compared with the architecture before either takes memory.
    """
    import torch

    from brainseg.checkpoints.weights import WeightsError, read_weights
    from brainseg.models.building import ModelError, create_model

    settings = checkpoint.settings
    path = checkpoint.folder / WEIGHTS

    def build():
        return create_model(
            settings["model"],
            encoder=settings["encoder"],
            stack_inputs=settings.get("stack_inputs", "predictions"),
            bases=[base["name"] for base in checkpoint.bases],
        )

    try:
        try:
            with torch.device("meta"):  # shapes without memory, however large the encoder
                module = build()
        except ModelError:  # some encoders compute constants when they are built
            module = build()
        shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
        state = read_weights(path, shapes)
        module.load_state_dict(state, assign=True)
        if any(tensor.is_meta for tensor in module.buffers()):
            module = build()
            module.load_state_dict(state)
    except (WeightsError, ModelError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0][:300]
        raise CheckpointError(
            f"{path} could not be loaded ({reason}): the file is damaged or belongs to another "
            "model. Train or download the checkpoint again."
        ) from error
    return module.eval()


def architecture_json(module) -> dict:
    """smp's own keys, so that smp loads the folder too; nothing for other networks."""
    config = getattr(module, "config", None)
    if config is None:
        return {}
    return {**config, "encoder_weights": None, "_model_class": type(module).__name__}


def settings_of(config: Config) -> dict:
    """What a run's configuration says of its checkpoint; training adds the rest."""
    from brainseg.models.building import DEFAULT_ENCODERS

    return {
        "name": config.name,
        "model": config.model,
        "loss": config.loss,
        # By name even where it is the default, which may change.
        "encoder": config.encoder or DEFAULT_ENCODERS[config.model],
        "stack_inputs": config.stack_inputs,
        "preprocessing": {
            "version": VERSION,
            "size": config.size,
            "channels": ["T1", "FLAIR", "T1c"],
        },
        "dataset": config.dataset,
        "fold": config.fold,
        "run": config.to_json(),
        "run_hash": config.hash,
    }


def save_checkpoint(
    folder: Path, state: dict, architecture: dict, settings: dict, texts: dict[str, str]
) -> Checkpoint:
    """Write a checkpoint folder in one piece, replacing weights, configuration and texts there.

    state: name to tensor; floating point is stored as fp16.
    texts: further files by name, such as ``metrics.json``, ``history.csv``, ``README.md``.
    """
    import torch
    from safetensors.torch import save_file

    state = {
        key: (value.to(torch.float16) if value.is_floating_point() else value).contiguous().cpu()
        for key, value in state.items()
    }
    # smp hands keys it does not know on to timm encoders, which refuse them, unless hidden.
    key = _HIDDEN if str(architecture.get("encoder_name")).startswith("tu-") else "brainseg"
    config = {**architecture, key: {"format": FORMAT, **settings}}
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with writing(folder):
            save_file(state, aside / WEIGHTS, metadata={"format": "pt"})
            texts = {**texts, CONFIG: json.dumps(config, indent=2, default=list)}
            for name, text in texts.items():
                (aside / name).write_text(text, encoding="utf-8")
            _move_files(aside, folder, [*texts, WEIGHTS])
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return read_checkpoint(folder)


def _move_files(source: Path, target: Path, names: list[str]) -> None:
    # A run folder also holds resume state, so files are replaced one by one. config.json goes
    # away first and comes last: while it is missing, the folder does not count as a checkpoint.
    target.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG, ORIGIN):  # what replaces a pulled checkpoint has another origin
        (target / name).unlink(missing_ok=True)
    for name in sorted(names, key=lambda n: n == CONFIG):
        os.replace(source / name, target / name)


def copy_checkpoint(checkpoint: Checkpoint, target: Path) -> None:
    """Copy a checkpoint's files, without resume state, replacing what ``target`` holds."""
    names = [WEIGHTS, CONFIG, METRICS, HISTORY, CARD, ORIGIN]
    names = [name for name in names if (checkpoint.folder / name).is_file()]
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for name in names:
            shutil.copyfile(checkpoint.folder / name, aside / name)
        _move_files(aside, target, names)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
