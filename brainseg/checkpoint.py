"""The checkpoint folder: saved in one piece or not at all, loaded without running foreign code.

``<name>/model.safetensors``  weights, fp16 (normalisation counters keep their type)
``<name>/config.json``        all that is needed to rebuild and use the model. smp models keep
                              smp's own keys at the top level, so ``smp.from_pretrained`` loads
                              the folder; ours lie under ``brainseg`` (``_brainseg`` beside a
                              timm encoder)
``<name>/metrics.json``       scores on the validation and the test fold
``<name>/history.csv``        one row per epoch
``<name>/README.md``          the model card
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from brainseg.preprocessing import VERSION

WEIGHTS, CONFIG, METRICS = "model.safetensors", "config.json", "metrics.json"
CARD = "README.md"
_REQUIRED = ("format", "name", "model", "encoder", "preprocessing", "threshold", "run")
_HIDDEN = "_brainseg"
FORMAT = 1


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
    path = folder / CONFIG
    try:
        settings = dict(our_part(json.loads(path.read_text(encoding="utf-8"))))
        missing = [key for key in _REQUIRED if key not in settings]
    except (ValueError, KeyError, TypeError) as error:
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
    if not _is_usable(settings):
        raise CheckpointError(
            f"{path} has a part that can't be used: expected preprocessing.size and threshold as "
            "numbers, run as settings, and bases with name and sha256. Train or download it again."
        )
    found = settings["preprocessing"].get("version", VERSION)
    if found != VERSION:
        raise CheckpointError(
            f"{path} was trained on inputs prepared by version {found}, and this brainseg prepares "
            f"them by version {VERSION}: use the brainseg it was trained with, or train it again."
        )
    return Checkpoint(folder, settings)


def our_part(config: dict) -> dict:
    """What ``config.json`` holds for brainseg. Raises KeyError if there is nothing."""
    return config[_HIDDEN] if _HIDDEN in config else config["brainseg"]


def _is_usable(settings: dict) -> bool:
    try:
        bases = settings.get("bases", [])
        return (
            isinstance(settings["preprocessing"]["size"], int)
            and isinstance(settings["threshold"], int | float)
            and isinstance(settings["run"], dict)
            and all({"name", "sha256"} <= base.keys() for base in bases)
        )
    except (KeyError, TypeError, AttributeError):
        return False


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
    run = stack.folder.name.partition("-image")[0].partition("-leak")[0]
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
    """The network with its weights in float32, in evaluation mode, on the CPU."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from brainseg.models import ModelError, create_model

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
        state = {  # the file is mapped into memory; only what is converted is copied
            key: value.float() if value.is_floating_point() else value
            for key, value in load_file(path).items()
        }
        try:
            with torch.device("meta"):  # drawing random weights takes longer than reading ours
                module = build()
        except ModelError:  # some encoders compute constants when they are built
            module = build()
        # Strict, and before anything is copied: a foreign file must never be half-loaded.
        module.load_state_dict(state, assign=True)
        if any(tensor.is_meta for tensor in module.buffers()):
            module = build()
            module.load_state_dict(state)
    except (SafetensorError, RuntimeError, ModelError, OSError) as error:
        raise CheckpointError(
            f"{path} could not be loaded ({str(error).splitlines()[0]}): the file is damaged or "
            "belongs to another model. Train or download the checkpoint again."
        ) from error
    return module.eval()


def architecture_json(module) -> dict:
    """smp's own keys, so that smp loads the folder too; nothing for other networks."""
    config = getattr(module, "config", None)
    if config is None:
        return {}
    return {**config, "encoder_weights": None, "_model_class": type(module).__name__}


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
    (target / CONFIG).unlink(missing_ok=True)
    for name in sorted(names, key=lambda n: n == CONFIG):
        os.replace(source / name, target / name)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary sibling to write to; it replaces ``path`` when the block ends without error.

    Raises CheckpointError when it can't be written; what ``path`` held before is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with writing(path):
            yield aside
            os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full or failing disk into one sentence that says what is still safe."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} could not be written ({error}): free some space or check the rights. What was "
            "there before is unharmed; a run goes on with --resume."
        ) from error


def copy_checkpoint(checkpoint: Checkpoint, target: Path) -> None:
    """Copy a checkpoint's files, without resume state, replacing what ``target`` holds."""
    names = [WEIGHTS, CONFIG, "metrics.json", "history.csv", CARD]
    names = [name for name in names if (checkpoint.folder / name).is_file()]
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for name in names:
            shutil.copyfile(checkpoint.folder / name, aside / name)
        _move_files(aside, target, names)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
